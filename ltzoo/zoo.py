"""The zoo: what is installed and published, found by name, and models loaded.

The module's functions work on the plugins of this process; `Zoo` is for a set of plugins of one's own.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ltzoo.errors import (
    LtzooError,
    OfflineError,
    PluginError,
    PluginMissingError,
    SpecError,
    UnknownModelError,
    UsageError,
)
from ltzoo.model import Judge, Labeller, LatentModel
from ltzoo.plugins import PluginHost, PluginInfo, warn
from ltzoo.published import PublishedBridge, PublishedBridges
from ltzoo.registries import own_sources
from ltzoo.registry import Registry, RegistrySource, bundled_registry
from ltzoo.spec import DatasetSpec, Modality, ModelSpec
from ltzoo.suggestions import suggest

if TYPE_CHECKING:
    from ltzoo.routes import Route

__all__ = [
    "Zoo",
    "dataset_of",
    "default_zoo",
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
    "set_default_zoo",
]

S = TypeVar("S", ModelSpec, DatasetSpec)


class Zoo:
    """Models, data sets and bridges of one set of plugins.

    Args:
        host: The plugins; those of this environment, as the settings allow them, by default.
    """

    def __init__(self, host: PluginHost | None = None) -> None:
        self.host = host or PluginHost.from_settings()

    # Models

    @property
    def models(self) -> dict[str, ModelSpec]:
        """The registered models by id, in order. Members of open families are not among them."""
        return self._served(self._models)

    @cached_property
    def _models(self) -> dict[str, ModelSpec]:
        return self._registered("register_models", ModelSpec)

    def list_models(
        self,
        pattern: str | Iterable[str] = "*",
        *,
        modality: Modality | None = None,
        plugin: str | None = None,
    ) -> list[str]:
        """Ids of the registered models, in order.

        Args:
            pattern: Wildcards as in a shell (``*/vae``), one or several; a model listed by any is in.
            modality: Only models of this modality.
            plugin: Only models of this plugin.
        """
        patterns = [pattern] if isinstance(pattern, str) else list(pattern)
        return [
            id
            for id, spec in self.models.items()
            if any(fnmatchcase(id, pattern) for pattern in patterns)
            and modality in (None, spec.data.modality)
            and plugin in (None, spec.namespace)
        ]

    def get_model(self, ref: str) -> ModelSpec:
        """The spec of a registered model, or of a member of an open family.

        Args:
            ref: ``namespace/name``, or ``family:reference``.

        Raises:
            UnknownModelError: No such model.
            PluginMissingError: The plugin that serves it is known, but not installed.
            PluginError: The plugin that serves it is broken.
            LtzooError: Whatever the plugin of an open family says of the reference: the Hub cannot be reached,
                there is no such repository, what lies there is not of the family.
        """
        if spec := self.models.get(ref):
            return spec
        namespace = re.split(r"[/:]", ref, maxsplit=1)[0]
        if re.match(r"[a-z0-9][a-z0-9._-]*:", ref):
            for info, spec in self.host.call("resolve_model", only=namespace, answers=LtzooError, ref=ref):
                if spec is not None:
                    return self._checked(info, spec, ModelSpec)
        self._check_plugin(namespace, f"model '{ref}'")
        raise UnknownModelError(f"no model '{ref}'", hint=suggest(ref, self.models, "ltzoo models"))

    def load_model(self, ref: str | ModelSpec, *, device: str = "cpu") -> LatentModel:
        """Loads a model: imports torch and reads the weights.

        Args:
            ref: The model's id or reference, or its spec.
            device: Where it computes: ``cpu``, ``cuda``, ``mps``.

        Raises:
            UnknownModelError: No such model.
            PluginError: Its plugin is missing or broken, or its loader raised.
        """
        spec = ref if isinstance(ref, ModelSpec) else self.get_model(ref)
        model: LatentModel = self._run_loader(spec.loader, spec, f"model '{spec.id}'", spec.namespace, device)
        methods = {*spec.capabilities, *(("posterior",) if spec.latent.stochastic else ())}
        if missing := sorted(name for name in methods if not callable(getattr(model, name, None))):
            raise PluginError(
                f"model '{spec.id}' promises {', '.join(missing)}, but its adapter has no such method"
            )
        return model

    # Data sets, judges and labellers

    @property
    def datasets(self) -> dict[str, DatasetSpec]:
        """The registered data sets by id, in order."""
        return self._served(self._datasets)

    @cached_property
    def _datasets(self) -> dict[str, DatasetSpec]:
        return self._registered("register_datasets", DatasetSpec)

    def get_dataset(self, id: str) -> DatasetSpec:
        """The data set of that id.

        Raises:
            UsageError: No such data set.
        """
        if spec := self.datasets.get(id):
            return spec
        self._check_plugin(id.split("/", maxsplit=1)[0], f"data set '{id}'")
        raise UsageError(f"no data set '{id}'", hint=suggest(id, self.datasets, "ltzoo models"))

    def dataset_of(self, model: str) -> DatasetSpec | None:
        """The first data set that ships latents of that model."""
        return next((spec for spec in self.datasets.values() if spec.latents_of(model)), None)

    def load_judge(self, dataset: str | DatasetSpec, *, device: str = "cpu") -> Judge:
        """Loads the judge of a data set.

        Raises:
            UsageError: The data set has no judge.
            PluginError: The judge's loader raised.
        """
        spec = dataset if isinstance(dataset, DatasetSpec) else self.get_dataset(dataset)
        if spec.judge is None:
            raise UsageError(f"data set '{spec.id}' has no judge")
        what = f"the judge of '{spec.id}'"
        judge: Judge = self._run_loader(spec.judge.loader, spec.judge, what, spec.namespace, device)
        return judge

    def load_labeller(self, dataset: str | DatasetSpec, *, device: str = "cpu") -> Labeller:
        """Loads the labeller of a data set.

        Raises:
            UsageError: The data set has no labeller.
            PluginError: The labeller's loader raised.
        """
        spec = dataset if isinstance(dataset, DatasetSpec) else self.get_dataset(dataset)
        if spec.labeller is None:
            having = ", ".join(id for id, other in self.datasets.items() if other.labeller)
            raise UsageError(
                f"data set '{spec.id}' has no labeller",
                hint=f"data sets with one: {having}" if having else None,
            )
        what = f"the labeller of '{spec.id}'"
        labeller: Labeller = self._run_loader(
            spec.labeller.loader, spec.labeller, what, spec.namespace, device
        )
        return labeller

    # Bridges

    @cached_property
    def registries(self) -> list[tuple[RegistrySource, Registry]]:
        """The registries in order of precedence: the user's own, the bundled one, those of plugins.

        What cannot be read, or lies on the Hub and not in the cache, is left out and said.
        """
        return [*self._own_registries, *_load_registries(self.plugin_registries)]

    @cached_property
    def plugin_registries(self) -> list[RegistrySource]:
        """Where the registries of plugins lie, in order of the plugins' names."""
        found = []
        for info, sources in self.host.call("register_registries"):
            if isinstance(sources, list) and all(isinstance(one, RegistrySource) for one in sources):
                found += sources
            else:
                self.host.fail(info, "register_registries() must return RegistrySources")
        return found

    @cached_property
    def _own_registries(self) -> list[tuple[RegistrySource, Registry]]:
        """Those that need no plugin."""
        return _load_registries([*own_sources(), bundled_registry()])

    @cached_property
    def published(self) -> PublishedBridges:
        """What the registries list."""
        return PublishedBridges(self.registries)

    @property
    def bridges(self) -> dict[str, PublishedBridge]:
        """The published bridges by id, in order; see `PublishedBridges`."""
        return self.published.by_id

    def list_bridges(
        self, pattern: str | Iterable[str] = "*", *, source: str | None = None, target: str | None = None
    ) -> list[str]:
        """Ids of the published bridges; see `PublishedBridges.matching`."""
        return self.published.matching(pattern, source=source, target=target)

    def get_bridge(self, id: str) -> PublishedBridge:
        """The published bridge of that id; see `PublishedBridges.get`."""
        return self.published.get(id)

    def find_bridge(self, source: str, target: str) -> PublishedBridge:
        """The published bridge that translates best on its own; see `PublishedBridges.find`."""
        return self.published.find(source, target)

    def find_route(self, source: str, target: str) -> Route:
        """The best way through published bridges; see `PublishedBridges.find_route`."""
        return self.published.find_route(source, target)

    # Internals

    def _registered(self, hook: str, kind: type[S]) -> dict[str, S]:
        found: dict[str, S] = {}
        for info, specs in self.host.call(hook):
            own: dict[str, S] = {}
            try:
                for spec in specs:
                    spec = self._checked(info, spec, kind)
                    if spec.id in own:
                        raise SpecError(f"{hook}() gave '{spec.id}' twice")
                    own[spec.id] = spec
            except SpecError as error:
                # All of a plugin's specs or none: half a plugin would be harder to understand than none.
                if info.status == "ok":
                    self.host.fail(info, str(error))
                continue
            except TypeError as error:
                self.host.fail(info, f"{hook}() must return specs: {error}")
                continue
            found.update(own)
        return dict(sorted(found.items()))

    def _served(self, specs: dict[str, S]) -> dict[str, S]:
        """Without those of plugins that failed in another hook since: a plugin serves all or nothing."""
        working = {info.name for info in self.host.found if info.status == "ok"}
        return {id: spec for id, spec in specs.items() if spec.namespace in working}

    def _checked(self, info: PluginInfo, spec: Any, kind: type[S]) -> S:
        if not isinstance(spec, kind):
            raise SpecError(f"a hook gave a {type(spec).__name__} where a {kind.__name__} belongs")
        if spec.namespace != info.name:
            self.host.fail(
                info,
                f"'{spec.id}' is outside the plugin's namespace, which is '{info.name}'",
                status="conflict",
            )
            raise SpecError(f"'{spec.id}' is outside the namespace '{info.name}'")
        return spec

    def _check_plugin(self, namespace: str, wanted: str) -> None:
        """Explains a miss by its plugin: broken, blocked, or known but not installed."""
        info = self.host.info(namespace)
        if info is not None and info.status != "ok":
            raise PluginError(
                f"{wanted} needs plugin '{info.name}' ({info.distribution} {info.version}), "
                f"which is {info.status}: {info.error}",
                hint=f"ltzoo plugins --check, then {info.remedy}"
                if info.status != "blocked"
                else "enable the plugin",
            )
        if info is None and (package := self.package_of(namespace)):
            raise PluginMissingError(
                f"{wanted} needs the plugin {package}, which is not installed",
                hint=f"ltzoo install {package}",
            )

    def package_of(self, namespace: str) -> str | None:
        """The package of a known plugin, installed or not; imports no plugin."""
        for _, registry in self._own_registries:
            for row in registry.plugins:
                if row.name == namespace:
                    return row.package
        return None

    def _run_loader(self, loader: str, spec: Any, what: str, namespace: str, device: str) -> Any:
        module, _, function = loader.partition(":")
        try:
            load: Callable[..., Any] = getattr(importlib.import_module(module), function)
            return load(spec, device=device)
        except LtzooError:
            raise
        except Exception as error:
            info = self.host.info(namespace)
            label = f" (plugin {info.distribution} {info.version})" if info else ""
            raise PluginError(
                f"{what} cannot be loaded{label}: {type(error).__name__}: {error}",
                hint=f"ltzoo plugins --check, or ltzoo install -U {info.distribution if info else namespace}",
            ) from error


def _load_registries(sources: Iterable[RegistrySource]) -> list[tuple[RegistrySource, Registry]]:
    """Reads registries; says which cannot be read, and goes on without them."""
    loaded = []
    for source in sources:
        try:
            loaded.append((source, Registry.load(source)))
        except (SpecError, OfflineError) as error:
            warn(
                f"registry '{source.name}' is left out: {error}"
                + (f"; try: {error.hint}" if error.hint else "")
            )
    return loaded


_override: Zoo | None = None


@functools.cache
def _environment_zoo() -> Zoo:
    return Zoo()


def default_zoo() -> Zoo:
    """The zoo that the functions of this module work on."""
    return _override or _environment_zoo()


def set_default_zoo(zoo: Zoo | None) -> None:
    """Makes the functions of this module work on another zoo; None brings back the environment's."""
    global _override
    _override = zoo


def list_models(
    pattern: str | Iterable[str] = "*", *, modality: Modality | None = None, plugin: str | None = None
) -> list[str]:
    """Ids of the registered models; see `Zoo.list_models`."""
    return default_zoo().list_models(pattern, modality=modality, plugin=plugin)


def get_model(ref: str) -> ModelSpec:
    """The spec of a model, without loading it; see `Zoo.get_model`."""
    return default_zoo().get_model(ref)


def load_model(ref: str | ModelSpec, *, device: str = "cpu") -> LatentModel:
    """Loads a model; see `Zoo.load_model`."""
    return default_zoo().load_model(ref, device=device)


def list_datasets() -> list[str]:
    """Ids of the registered data sets."""
    return list(default_zoo().datasets)


def get_dataset(id: str) -> DatasetSpec:
    """The data set of that id; see `Zoo.get_dataset`."""
    return default_zoo().get_dataset(id)


def dataset_of(model: str) -> DatasetSpec | None:
    """The first data set that ships latents of that model."""
    return default_zoo().dataset_of(model)


def load_judge(dataset: str | DatasetSpec, *, device: str = "cpu") -> Judge:
    """Loads the judge of a data set; see `Zoo.load_judge`."""
    return default_zoo().load_judge(dataset, device=device)


def load_labeller(dataset: str | DatasetSpec, *, device: str = "cpu") -> Labeller:
    """Loads the labeller of a data set; see `Zoo.load_labeller`."""
    return default_zoo().load_labeller(dataset, device=device)


def list_bridges(
    pattern: str | Iterable[str] = "*", *, source: str | None = None, target: str | None = None
) -> list[str]:
    """Ids of the published bridges; see `Zoo.list_bridges`."""
    return default_zoo().list_bridges(pattern, source=source, target=target)


def get_bridge(id: str) -> PublishedBridge:
    """The published bridge of that id; see `Zoo.get_bridge`."""
    return default_zoo().get_bridge(id)


def find_route(source: str, target: str) -> Route:
    """The best way from one model to another through published bridges; see `Zoo.find_route`."""
    return default_zoo().find_route(source, target)


def list_plugins() -> list[PluginInfo]:
    """Every installed plugin with its status, after the light import."""
    zoo = default_zoo()
    infos = zoo.host.infos
    # Status is only known once the hooks have been asked too.
    _ = zoo.models, zoo.datasets
    return infos
