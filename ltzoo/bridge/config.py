"""A bridge's ``config.json``: what it joins, what it is built of and how it was trained. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ltzoo.bridge.recipe import Recipe
from ltzoo.errors import BridgeError, SpecError
from ltzoo.records import Record
from ltzoo.spec import LatentSpec, ModelSpec, format_shape

__all__ = [
    "FORMAT_VERSION",
    "Architecture",
    "BridgeConfig",
    "BridgeEnd",
    "EntranceShape",
    "LabelMap",
    "Metric",
    "PairedOn",
    "Provenance",
    "TrainedOn",
    "read_config",
]

FORMAT_VERSION = 1

MAX_NUMBERS = 2**24
"""In one latent as the network takes it."""

Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Classes = Annotated[tuple[Text, ...], Meta(max_length=10_000)]
LabelsOfModel = Annotated[dict[str, Text], Meta(max_length=100_000)]


@dataclass(frozen=True, kw_only=True)
class BridgeEnd(Record):
    """A model that the bridge joins, as it was when the bridge was trained.

    Attributes:
        spec: The model's spec at that time.
        fingerprint: `ltzoo.spec.ModelSpec.fingerprint` of that spec: the weights that the bridge needs.
    """

    spec: ModelSpec
    fingerprint: Digest

    def __post_init__(self) -> None:
        if self.fingerprint != self.spec.fingerprint:
            raise SpecError(f"bridge: the fingerprint given for {self.spec.id} is not that of its spec")


@dataclass(frozen=True, kw_only=True)
class EntranceShape(Record):
    """In which form a model's latents reach the network; see `ltzoo.bridge.entrances`.

    Attributes:
        kind: ``flat``: their numbers in a row; ``pooled``: resampled and projected onto principal axes;
            ``folded``: blocks of positions folded into channels.
        shape: The latents' shape, for ``pooled`` the one resampled to; for ``folded`` the shape of a block,
            one number a dimension that has positions.
    """

    kind: Literal["flat", "pooled", "folded"]
    shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=2**24)], ...], Meta(min_length=1, max_length=3)]

    def __post_init__(self) -> None:
        if math.prod(self.shape) > MAX_NUMBERS:
            raise SpecError(f"bridge: latents of shape {format_shape(self.shape)} are too large")

    def fits(self, latent: LatentSpec, size: int) -> bool:
        """Whether a model's latents go through it and come out with ``size`` numbers, or channels."""
        if self.kind == "folded":
            return (
                len(self.shape) == len(latent.shape) - 1 and latent.channels * math.prod(self.shape) == size
            )
        same = len(self.shape) == len(latent.shape) and all(
            theirs in (None, own) for own, theirs in zip(self.shape, latent.shape, strict=True)
        )
        if self.kind == "flat":
            return same and latent.fixed and math.prod(self.shape) == size
        return same and math.prod(self.shape) >= size


@dataclass(frozen=True, kw_only=True)
class Architecture(Record):
    """The sizes of the shared autoencoder, which fix every tensor of ``model.safetensors``.

    Attributes:
        sizes: Length of each model's latents as the network sees them, in the order of the models; channels,
            where it works position by position.
        classes: Number of classes that the classifier on z' tells apart; 0 for no classifier.
        layers: ReLU layers in each trunk; 0 only on a base that nothing was learned on top of.
        width: Units of each of those layers.
        shared_dim: Dimensions of z'.
        classifier: Form of the classifier on z'; None on a base, where z' holds the classes themselves.
        base: The network corrects closed-form maps (`ltzoo.bridge.based`) instead of learning all.
        members: On a base, networks that infer the classes, per model.
        temperature: Of the inferred classes.
        trunk: ``vector``, or ``convolution`` for a network that works position by position.
        entrances: How each model's latents get that form; none if they are vectors to begin with.
        added: How many of the models, the last ones, were added to a trained bridge. Without a base each of
            them has layers of its own into and out of the network, whose size they do not change.
        paired: The base was fitted to pairs: one map a model, whatever the class, and no limit to the code.
    """

    sizes: Annotated[tuple[Annotated[int, Meta(ge=1, le=2**16)], ...], Meta(min_length=2, max_length=64)]
    classes: Annotated[int, Meta(ge=0, le=10_000)]
    layers: Annotated[int, Meta(ge=0, le=64)]
    width: Annotated[int, Meta(ge=1, le=8192)]
    shared_dim: Annotated[int, Meta(ge=1, le=16384)]
    classifier: Literal["linear", "gated"] | None = None
    base: bool = False
    members: Annotated[int, Meta(ge=1, le=16)] = 1
    temperature: Annotated[float, Meta(gt=0, le=100)] = 1.0
    trunk: Literal["vector", "convolution"] = "vector"
    entrances: Annotated[tuple[EntranceShape, ...], Meta(max_length=64)] = ()
    added: Annotated[int, Meta(ge=0, le=62)] = 0
    paired: bool = False

    def __post_init__(self) -> None:
        if self.entrances and len(self.entrances) != len(self.sizes):
            raise SpecError("bridge: the architecture has no entrance for each model")
        if any((form.kind == "folded") != (self.trunk == "convolution") for form in self.entrance_shapes):
            raise SpecError(f"bridge: an entrance does not go with the trunk '{self.trunk}'")
        if self.trunk == "convolution" and (self.classes or not self.base):
            raise SpecError("bridge: a convolutional trunk has a base, and no classes")
        if self.added > len(self.sizes) - 2:
            raise SpecError(
                f"bridge: {self.added} of {len(self.sizes)} models cannot have been added: a bridge starts with two"
            )
        if self.base == (self.classifier is not None):
            raise SpecError("bridge: the architecture has a classifier on z' exactly where it has no base")
        if self.paired and not self.base:
            raise SpecError("bridge: the architecture is fitted to pairs, but has no base")
        if not self.base and not self.layers:
            raise SpecError("bridge: the architecture has no layers")
        if self.base and self.shared_dim <= self.classes:
            raise SpecError(
                f"bridge: {self.shared_dim} dimensions of z' cannot hold {self.classes} classes and a code"
            )

    @property
    def first_sizes(self) -> tuple[int, ...]:
        """Sizes of the models that the bridge was first trained between."""
        return self.sizes[: len(self.sizes) - self.added]

    @property
    def common(self) -> int:
        """Length of the vectors between a model's own layers and the shared network: the largest first size."""
        return max(self.first_sizes)

    @property
    def entrance_shapes(self) -> tuple[EntranceShape, ...]:
        """The entrances, also where all latents are vectors."""
        return self.entrances or tuple(EntranceShape(kind="flat", shape=(size,)) for size in self.sizes)

    @property
    def code_dim(self) -> int:
        """Dimensions of z' without those that hold the classes."""
        return self.shared_dim - self.classes if self.base else self.shared_dim


@dataclass(frozen=True, kw_only=True)
class LabelMap(Record):
    """Which labels of the models mean the same class.

    Attributes:
        origin: How the map came about: equal label ``names``, equal ``position`` in the lists of names,
            ``given`` by the user, or ``none`` (no labels: there are no classes).
        classes: Names of the shared classes, by index.
        models: Model id -> label name -> class name. A label that is left out has no class; its items
            are not trained on.
    """

    origin: Literal["names", "position", "given", "none"]
    classes: Classes = ()
    models: Annotated[dict[str, LabelsOfModel], Meta(max_length=64)] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise SpecError("label map: class names must differ")
        if (self.origin == "none") != (not self.classes) or bool(self.models) != bool(self.classes):
            raise SpecError(f"label map: origin '{self.origin}' does not go with {len(self.classes)} classes")
        for model, names in self.models.items():
            unknown = sorted(set(names.values()) - set(self.classes))
            if unknown:
                raise SpecError(f"label map: '{unknown[0]}' of {model} is not among the classes")
            missing = sorted(set(self.classes) - set(names.values()))
            if missing:
                raise SpecError(f"label map: {model} has no label for class '{missing[0]}'")


@dataclass(frozen=True, kw_only=True)
class Metric(Record):
    """One measured figure of a bridge.

    Attributes:
        name: What was measured, for example ``transfer accuracy``.
        source: Id of the model translated from.
        target: Id of the model translated to.
        value: The figure; the mean if it was measured with several seeds.
        std: Its standard deviation over seeds.
        seeds: How many seeds.
        n: How many latents.
        command: The command that measured it.
    """

    name: Text
    source: Text
    target: Text
    value: float
    std: Annotated[float, Meta(ge=0)] | None = None
    seeds: Annotated[int, Meta(ge=1)] = 1
    n: Annotated[int, Meta(ge=1)] | None = None
    command: Text | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or not math.isfinite(self.std or 0.0):
            raise SpecError(f"metric '{self.name}': {self.value} +- {self.std} is not finite")


@dataclass(frozen=True, kw_only=True)
class TrainedOn(Record):
    """The latents of one model that a bridge was trained on.

    Attributes:
        model: Id of the model.
        items: How many latents.
        sha256: Digest of their values, posterior std and classes.
        license: Licence of the data that they were made from.
    """

    model: Text
    items: Count
    sha256: Digest
    license: Text | None = None


@dataclass(frozen=True, kw_only=True)
class PairedOn(Record):
    """The pairs of two models that a bridge was trained on.

    Attributes:
        models: Ids of the two models.
        items: How many pairs.
        sha256: Digest of their row numbers among what was trained on.
    """

    models: tuple[Text, Text]
    items: Count
    sha256: Digest


@dataclass(frozen=True, kw_only=True)
class Provenance(Record):
    """How a bridge was trained.

    Attributes:
        seed: Of everything random in training.
        steps: Optimiser steps.
        seconds: Time spent in them.
        device: For example ``cpu``.
        threads: Of torch on the CPU; the same weights need the same number.
        processes: That shared the work; the same weights need the same number. None if there was one.
        date: Day on which training ended, ISO 8601, UTC.
        ltzoo: Version.
        torch: Version.
        latents: What it was trained on, one a model.
        pairs: Which of them were known to be pairs.
        command: The command line, if there was one.
    """

    seed: Annotated[int, Meta(ge=0)]
    steps: Count
    seconds: Seconds
    device: Text
    threads: Annotated[int, Meta(ge=1)]
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
    ltzoo: Text
    torch: Text
    latents: tuple[TrainedOn, ...]
    processes: Annotated[int, Meta(ge=2)] | None = None
    pairs: tuple[PairedOn, ...] = ()
    command: Text | None = None


@dataclass(frozen=True, kw_only=True)
class BridgeConfig(Record):
    """A bridge, described without loading its weights.

    Attributes:
        format_version: Of the folder's layout.
        models: The models it joins, in the order of its one-hots.
        architecture: The sizes of its network.
        recipe: What it was trained with.
        labels: Its classes, and what each model calls them.
        metrics: What was measured of it.
        trained: How it was trained.
        extended: How each model that was added later was trained, in the order of the models. The others
            were left as they were.
    """

    format_version: Literal[1] = 1
    models: Annotated[tuple[BridgeEnd, ...], Meta(min_length=2, max_length=64)]
    architecture: Architecture
    recipe: Recipe
    labels: LabelMap
    metrics: Annotated[tuple[Metric, ...], Meta(max_length=10_000)] = ()
    trained: Provenance
    extended: Annotated[tuple[Provenance, ...], Meta(max_length=62)] = ()

    def __post_init__(self) -> None:
        ids = [end.spec.id for end in self.models]
        if len(set(ids)) != len(ids):
            raise SpecError("bridge: a model is listed twice")
        if len(self.architecture.sizes) != len(ids):
            raise SpecError(
                f"bridge: the architecture is for {len(self.architecture.sizes)} models, but it joins {len(ids)}"
            )
        for end, form, size in zip(
            self.models, self.architecture.entrance_shapes, self.architecture.sizes, strict=True
        ):
            if not form.fits(end.spec.latent, size):
                raise SpecError(
                    f"bridge: latents of {end.spec.id} have shape {format_shape(end.spec.latent.shape)}, which does "
                    f"not become {size} by the entrance '{form.kind}' of shape {format_shape(form.shape)}"
                )
        if self.architecture.added != len(self.extended):
            raise SpecError(
                f"bridge: the architecture has {self.architecture.added} models that were added, "
                f"the config says how {len(self.extended)} of them were trained"
            )
        if self.architecture.classes != len(self.labels.classes):
            raise SpecError(
                f"bridge: the architecture has {self.architecture.classes} classes, "
                f"the label map has {len(self.labels.classes)}"
            )
        if self.labels.classes and set(self.labels.models) != set(ids):
            raise SpecError("bridge: the label map's models are not the bridge's")


def read_config(text: bytes, *, where: str) -> BridgeConfig:
    """A bridge's config from the text of its ``config.json``.

    Raises:
        BridgeError: It has the format version of another ltzoo.
        SpecError: It is not JSON, or not a valid config.
    """
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError(f"{where}: not valid JSON: {error}") from error
    # First of all: a config of another version need not be valid in this one.
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise BridgeError(
            f"{where}: format version {version!r}, but this ltzoo reads version {FORMAT_VERSION}",
            hint="pip install -U ltzoo" if newer else None,
        )
    return BridgeConfig.from_dict(data, where=where)
