"""The hooks that a plugin may implement; see ``docs/hooks.md``.

A plugin is a module named by an entry point of the group ``ltzoo``; the entry point's name is the
plugin's namespace. Importing the module must be cheap: no torch, no weights, no network. Each hook
is a function of the module, marked with `ltzoo.hookimpl`, that returns records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ltzoo.bridge import Bridge, TrainingReport
    from ltzoo.registry import RegistrySource
    from ltzoo.spec import DatasetSpec, ModelSpec

__all__ = ["HOOK_NAMES", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("ltzoo")
hookimpl = pluggy.HookimplMarker("ltzoo")


@hookspec
def register_models() -> Iterable[ModelSpec]:  # type: ignore[empty-body]
    """The models that the plugin serves, each id in the plugin's namespace.

    Called once per process, when models are first listed or looked up.
    """


@hookspec(firstresult=True)
def resolve_model(ref: str) -> ModelSpec | None:
    """The model that a reference into an open family means, or None if it is not of this family.

    Called only for references of the form ``family:rest`` whose family is the plugin's namespace.
    May read a local folder or ask the Hub, but must not load weights. The spec's id is a reference that
    goes on meaning the same model: at a full commit, or an absolute path. A `ltzoo.LtzooError` that it
    raises is the answer to the user.
    """


@hookspec
def register_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """Data sets with labels, latents and judges, each id in the plugin's namespace.

    Called when a bridge is trained or evaluated, or data sets are listed.
    """


@hookspec
def register_registries() -> Iterable[RegistrySource]:  # type: ignore[empty-body]
    """More registries of published bridges: a file that the plugin ships, or a Hub repository at a commit.

    Called when bridges are listed or looked up.
    """


@hookspec
def bridge_trained(bridge: Bridge, report: TrainingReport) -> None:
    """Called after a bridge is trained and before it is saved: for loggers and trackers.

    A plugin that raises here is reported and loses nothing of the bridge.
    """


HOOK_NAMES = (
    "register_models",
    "resolve_model",
    "register_datasets",
    "register_registries",
    "bridge_trained",
)
