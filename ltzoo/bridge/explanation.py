"""What there is to tell of a bridge to somebody who wants to use it. Torch-free; nothing is loaded.

Of a registry's bridge the row says most, and nothing is downloaded for the rest; of a folder or a Hub repository the
config does. What the row cannot say of a model, its plugin does if it is installed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from shlex import quote

from ltzoo.bridge.config import BridgeConfig, read_config
from ltzoo.bridge.files import bridge_folder
from ltzoo.errors import HubError, LtzooError, PluginError
from ltzoo.hub import cached_file, check_file, fetch_file, package_file, repository_files
from ltzoo.published import PublishedBridge
from ltzoo.references import parse_hub_reference, reference_kind
from ltzoo.registry import BRIDGE_FILES, BridgeRow
from ltzoo.routes import Measured
from ltzoo.spec import ModelSpec, format_shape
from ltzoo.zoo import default_zoo, get_bridge

__all__ = ["Explained", "ExplainedDirection", "ExplainedModel", "Requirement", "explain_bridge"]

CONFIG = "config.json"
ITEMS = {"image": "images", "audio": "sounds", "text": "texts", "array": "arrays"}


@dataclass(frozen=True, kw_only=True)
class ExplainedModel:
    """One of the models that a bridge joins. Of one whose plugin is not installed much may be unknown: None.

    Attributes:
        id: Its id.
        title: One line.
        modality: Of its data.
        items: What its data are called, in the plural: ``digits``, or else ``images``.
        latent: Its latents, in words.
        license: Of its weights.
        capabilities: Of ``encode``, ``decode``, ``sample``.
        size: Bytes of its weights, if they are on this machine.
    """

    id: str
    title: str | None = None
    modality: str | None = None
    items: str = "items"
    latent: str | None = None
    license: str | None = None
    capabilities: tuple[str, ...] | None = None
    size: int | None = None

    def can(self, capability: str) -> bool:
        """Whether it can, as far as is known."""
        return self.capabilities is None or capability in self.capabilities


@dataclass(frozen=True, kw_only=True)
class ExplainedDirection:
    """One direction of a bridge.

    Attributes:
        source: Id of the model translated from.
        target: Id of the model translated to.
        figures: What was measured, by name.
        command: That translates in this direction; None if one of the models cannot take part.
    """

    source: str
    target: str
    figures: dict[str, float]
    command: str | None


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A package that is needed to run a bridge.

    Attributes:
        package: Its requirement, such as ``ltzoo-mnist>=0.1``; None if nothing at hand tells which it is.
        serves: The namespace of the models that it serves.
        status: Of its plugin, as `ltzoo.plugins.PluginInfo` has it; None if it is not installed.
    """

    package: str | None
    serves: str
    status: str | None


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A bridge, explained.

    Attributes:
        reference: That it is used by.
        models: What it joins.
        directions: From each model to each other one.
        classes: What each model calls the bridge's classes, class by class; empty without labels.
        recipe: Name of its recipe.
        date: Day of its training or publication.
        training: Command that trained it.
        measuring: Command that measured it.
        trained_on: Model -> how many of its latents, where the config is at hand.
        pairs: How many pairs it was trained with, where the config is at hand.
        license: Of its weights; None if only its card says it.
        data_licenses: Of the data behind the latents, where the config is at hand.
        size: Bytes of its files; None if they cannot be found out.
        needs: Packages that serve its models.
    """

    reference: str
    models: tuple[ExplainedModel, ...]
    directions: tuple[ExplainedDirection, ...]
    classes: tuple[tuple[str, ...], ...]
    recipe: str
    date: str
    training: str | None
    measuring: str | None
    trained_on: dict[str, int]
    pairs: int
    license: str | None
    data_licenses: tuple[str, ...]
    size: int | None
    needs: tuple[Requirement, ...]

    def model(self, id: str) -> ExplainedModel:
        """The model of that id, which is one of the bridge's."""
        return next(model for model in self.models if model.id == id)


def explain_bridge(reference: str) -> Explained:
    """Explains a bridge.

    Args:
        reference: A registry's id, ``hf:org/repo``, ``hf:org/repo@revision``, or ``local:PATH``. Of a registry's
            bridge nothing is downloaded, of a Hub repository its config alone.

    Raises:
        UnknownBridgeError: No registry lists the id, or the folder does not exist.
        UsageError: The reference has none of these forms.
        BridgeError, SpecError: The config is not valid.
        OfflineError, HubError: The config cannot be fetched.
    """
    kind = reference_kind(reference)
    if kind == "id":
        published = get_bridge(reference)
        return _explained(reference, published.row, _config_at_hand(published), published.row.size)
    if kind == "local":
        folder = bridge_folder(reference)
        files = [path for name in BRIDGE_FILES if (path := folder / name).is_file()]
        size: int | None = sum(path.stat().st_size for path in files)
        return _explained(reference, None, _read(folder / CONFIG), size)
    at = parse_hub_reference(reference).pin()
    assert at.revision is not None
    config, size = _read(fetch_file(at.repo, at.revision, CONFIG)), None
    with suppress(HubError):
        size = sum(file.size for file in repository_files(at.repo, at.revision) if file.name in BRIDGE_FILES)
    return _explained(str(at), None, config, size)


def _read(path: Path) -> BridgeConfig:
    return read_config(path.read_bytes(), where=str(path))


def _config_at_hand(published: PublishedBridge) -> BridgeConfig | None:
    """The config of a registry's bridge, if it is on this machine and the one that the row lists."""
    row = published.row
    path = (
        published.folder / CONFIG
        if published.folder
        else cached_file(row.repo or "", row.revision or "", CONFIG)
    )
    if path is None or not path.is_file():
        return None
    # What is wrong with files is for 'bridges verify' to say: the row is enough to explain the bridge.
    with suppress(LtzooError, OSError):
        check_file(path, next(file for file in row.files if file.name == CONFIG))
        return _read(path)
    return None


def _explained(
    reference: str, row: BridgeRow | None, config: BridgeConfig | None, size: int | None
) -> Explained:
    known = {end.spec.id: end.spec for end in config.models} if config else {}
    ids = row.models if row else tuple(known)
    models = tuple(_model(id, known.get(id)) for id in ids)
    metrics = row.metrics if row else (config.metrics if config else ())
    runs = (config.trained, *config.extended) if config else ()
    commands = [run.command for run in runs if run.command]
    measured_by = {metric.command for metric in config.metrics if metric.command} if config else set()
    return Explained(
        reference=reference,
        models=models,
        directions=tuple(_direction(reference, a, b, metrics) for a, b in permutations(models, 2)),
        classes=_classes(config) if config else (),
        recipe=row.recipe if row else (config.recipe.name if config else ""),
        date=row.date if row else (runs[-1].date if runs else ""),
        training=row.command if row else (" && ".join(commands) or None),
        measuring=row.metrics_command if row else next(iter(sorted(measured_by)), None),
        trained_on={one.model: one.items for run in runs for one in run.latents},
        pairs=sum(one.items for run in runs for one in run.pairs),
        license=row.license if row else None,
        data_licenses=tuple(dict.fromkeys(one.license for run in runs for one in run.latents if one.license)),
        size=size,
        needs=_needs(row, models),
    )


def _model(id: str, spec: ModelSpec | None) -> ExplainedModel:
    """What is known of a model, from its plugin or else from a bridge's config."""
    zoo = default_zoo()
    spec = zoo.models.get(id, spec)
    if spec is None:
        return ExplainedModel(id=id)
    dataset = zoo.dataset_of(id)
    items = re.split("/", dataset.id)[-1].replace("-", " ") if dataset else ITEMS[spec.data.modality]
    return ExplainedModel(
        id=id,
        title=spec.title,
        modality=spec.data.modality,
        items=items,
        latent=f"{spec.latent.kind} {format_shape(spec.latent.shape)}",
        license=spec.license,
        capabilities=tuple(sorted(spec.capabilities)),
        size=_weights_size(spec),
    )


def _weights_size(spec: ModelSpec) -> int | None:
    """Bytes of a model's weight files, if all of them are on this machine."""
    source, total = spec.source, 0
    for file in source.files:
        path: Path | None = None
        if source.package:
            with suppress(PluginError):
                path = package_file(source.package, file)
        else:
            path = cached_file(source.repo or "", source.revision or "", file.name)
        if path is None:
            return None
        total += path.stat().st_size
    return total


def _direction(
    reference: str, source: ExplainedModel, target: ExplainedModel, metrics: tuple[Measured, ...]
) -> ExplainedDirection:
    figures = {m.name: m.value for m in metrics if (m.source, m.target) == (source.id, target.id)}
    command = None
    if source.can("encode") and target.can("decode"):
        ends = f"--from {quote(source.id)} --to {quote(target.id)}"
        command = f"ltzoo translate INPUT {ends} --bridge {quote(reference)} -o OUTPUT"
    return ExplainedDirection(source=source.id, target=target.id, figures=figures, command=command)


def _classes(config: BridgeConfig) -> tuple[tuple[str, ...], ...]:
    """The names of each class, one a model."""
    labels = config.labels
    ids = [end.spec.id for end in config.models]
    return tuple(
        tuple(", ".join(k for k, v in labels.models[id].items() if v == name) for id in ids)
        for name in labels.classes
    )


def _needs(row: BridgeRow | None, models: tuple[ExplainedModel, ...]) -> tuple[Requirement, ...]:
    """The packages, one a namespace, with the bounds that the row gives."""
    zoo, found = default_zoo(), {}
    bounds = {re.split(r"[<>=!~ ]", text, maxsplit=1)[0]: text for text in row.plugins} if row else {}
    for model in models:
        namespace = re.split(r"[/:]", model.id, maxsplit=1)[0]
        info = zoo.host.info(namespace)
        package = info.distribution if info else zoo.package_of(namespace)
        if package is None:
            # By convention, and only if the row names it: no package is guessed.
            package = f"ltzoo-{namespace}" if f"ltzoo-{namespace}" in bounds else None
        found[namespace] = Requirement(
            package=bounds.get(package, package) if package else None,
            serves=namespace,
            status=info.status if info else None,
        )
    return tuple(found[namespace] for namespace in sorted(found))
