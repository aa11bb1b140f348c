"""Bridges: the shared autoencoder, its training, and its file format.

``config``, ``recipe``, ``report``, ``card`` and ``row`` are torch-free; everything else is imported when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltzoo.bridge.bridge import Bridge
    from ltzoo.bridge.chain import BridgeChain, load_chain
    from ltzoo.bridge.config import BridgeConfig, LabelMap, Metric
    from ltzoo.bridge.extension import extend_bridge
    from ltzoo.bridge.loading import load_bridge
    from ltzoo.bridge.recipe import Recipe, get_recipe, list_recipes
    from ltzoo.bridge.report import TrainingReport
    from ltzoo.bridge.sampling import training_part, validation_part
    from ltzoo.bridge.trainer import train_bridge

__all__ = [
    "Bridge",
    "BridgeChain",
    "BridgeConfig",
    "LabelMap",
    "Metric",
    "Recipe",
    "TrainingReport",
    "extend_bridge",
    "get_recipe",
    "list_recipes",
    "load_bridge",
    "load_chain",
    "train_bridge",
    "training_part",
    "validation_part",
]

_MODULES = {
    "Bridge": "bridge",
    "BridgeChain": "chain",
    "BridgeConfig": "config",
    "LabelMap": "config",
    "Metric": "config",
    "Recipe": "recipe",
    "TrainingReport": "report",
    "extend_bridge": "extension",
    "get_recipe": "recipe",
    "list_recipes": "recipe",
    "load_bridge": "loading",
    "load_chain": "chain",
    "train_bridge": "trainer",
    "training_part": "sampling",
    "validation_part": "sampling",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
