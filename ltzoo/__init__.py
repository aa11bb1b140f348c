"""ltzoo: translate between the latent spaces of frozen generative models.

The names below are imported on first use, so that ``import ltzoo`` costs next to nothing and torch is
imported only where tensors are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltzoo.bridge import Bridge as Bridge
    from ltzoo.bridge import BridgeChain as BridgeChain
    from ltzoo.bridge import Recipe as Recipe
    from ltzoo.bridge import TrainingReport as TrainingReport
    from ltzoo.bridge import get_recipe as get_recipe
    from ltzoo.bridge import list_recipes as list_recipes
    from ltzoo.bridge import load_bridge as load_bridge
    from ltzoo.bridge import load_chain as load_chain
    from ltzoo.bridge import train_bridge as train_bridge
    from ltzoo.errors import LtzooError as LtzooError
    from ltzoo.hookspecs import hookimpl as hookimpl
    from ltzoo.latents import LatentSet as LatentSet
    from ltzoo.media import read_media as read_media
    from ltzoo.media import write_media as write_media
    from ltzoo.model import Judge as Judge
    from ltzoo.model import Labeller as Labeller
    from ltzoo.model import LatentModel as LatentModel
    from ltzoo.plugins import PluginInfo as PluginInfo
    from ltzoo.registry import RegistrySource as RegistrySource
    from ltzoo.routes import Hop as Hop
    from ltzoo.routes import Route as Route
    from ltzoo.spec import DatasetSpec as DatasetSpec
    from ltzoo.spec import DataSpec as DataSpec
    from ltzoo.spec import FileSpec as FileSpec
    from ltzoo.spec import JudgeSpec as JudgeSpec
    from ltzoo.spec import LabellerSpec as LabellerSpec
    from ltzoo.spec import LatentFile as LatentFile
    from ltzoo.spec import LatentSpec as LatentSpec
    from ltzoo.spec import ModelSpec as ModelSpec
    from ltzoo.spec import Source as Source
    from ltzoo.zoo import dataset_of as dataset_of
    from ltzoo.zoo import find_route as find_route
    from ltzoo.zoo import get_bridge as get_bridge
    from ltzoo.zoo import get_dataset as get_dataset
    from ltzoo.zoo import get_model as get_model
    from ltzoo.zoo import list_bridges as list_bridges
    from ltzoo.zoo import list_datasets as list_datasets
    from ltzoo.zoo import list_models as list_models
    from ltzoo.zoo import list_plugins as list_plugins
    from ltzoo.zoo import load_judge as load_judge
    from ltzoo.zoo import load_labeller as load_labeller
    from ltzoo.zoo import load_model as load_model

__version__ = "0.1.0"

_HOMES = {
    "ltzoo.bridge": (
        "Bridge",
        "BridgeChain",
        "Recipe",
        "TrainingReport",
        "get_recipe",
        "list_recipes",
        "load_bridge",
        "load_chain",
        "train_bridge",
    ),
    "ltzoo.errors": ("LtzooError",),
    "ltzoo.hookspecs": ("hookimpl",),
    "ltzoo.latents": ("LatentSet",),
    "ltzoo.media": ("read_media", "write_media"),
    "ltzoo.model": ("Judge", "Labeller", "LatentModel"),
    "ltzoo.plugins": ("PluginInfo",),
    "ltzoo.registry": ("RegistrySource",),
    "ltzoo.routes": ("Hop", "Route"),
    "ltzoo.spec": (
        "DataSpec",
        "DatasetSpec",
        "FileSpec",
        "JudgeSpec",
        "LabellerSpec",
        "LatentFile",
        "LatentSpec",
        "ModelSpec",
        "Source",
    ),
    "ltzoo.zoo": (
        "dataset_of",
        "find_route",
        "get_bridge",
        "get_dataset",
        "get_model",
        "list_bridges",
        "list_datasets",
        "list_models",
        "list_plugins",
        "load_judge",
        "load_labeller",
        "load_model",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if module := _HOME_OF.get(name):
        return getattr(import_module(module), name)
    raise AttributeError(f"module 'ltzoo' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
