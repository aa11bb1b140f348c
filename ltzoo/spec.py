"""What a plugin says about what it serves: models, data sets and judges, as frozen, torch-free records.

A spec is all that listing commands need, so it must be cheap to make: no tensors, no weights, no
network. The heavy part is named by ``loader`` and imported only when a model is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ltzoo.errors import SpecError
from ltzoo.records import Record

__all__ = [
    "Capability",
    "DataSpec",
    "DatasetSpec",
    "FileSpec",
    "Fit",
    "JudgeSpec",
    "LabellerSpec",
    "LatentFile",
    "LatentKind",
    "LatentSpec",
    "Modality",
    "ModelSpec",
    "Source",
    "format_shape",
]

Modality = Literal["image", "audio", "text", "array"]
Capability = Literal["encode", "decode", "sample"]
LatentKind = Literal["vector", "sequence", "grid"]
Fit = Literal["contain", "cover", "ink", "loudest", "refuse"]

Shape = tuple[Annotated[int, Meta(ge=1, le=2**24)] | None, ...]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]

MODEL_ID = re.compile(r"[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*")
# Spaces may stand within: the rest may be a path.
FAMILY_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._-]*:(?=[^\s:])[^\x00-\x1f\x7f]*(?<=\S)")
DATASET_ID = MODEL_ID
LOADER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
SHA256 = re.compile(r"[0-9a-f]{64}")
REVISION = re.compile(r"[0-9a-f]{40}")
REPO = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")

LATENT_KINDS: dict[int, LatentKind] = {1: "vector", 2: "sequence", 3: "grid"}
DATA_RANKS: dict[Modality, int | None] = {"image": 3, "audio": 2, "text": 0, "array": None}
FITS: dict[Modality, tuple[Fit, ...]] = {
    "image": ("contain", "cover", "ink", "refuse"),
    "audio": ("loudest", "refuse"),
    "text": ("refuse",),
    "array": ("refuse",),
}


def format_shape(shape: Shape) -> str:
    """A shape for people: ``64``, ``3 x H x W`` with ``?`` for sizes that vary."""
    return " x ".join("?" if size is None else str(size) for size in shape) or "-"


def _require(condition: bool, owner: str, message: str) -> None:
    if not condition:
        raise SpecError(f"{owner}: {message}")


@dataclass(frozen=True, kw_only=True)
class DataSpec(Record):
    """What one item of a model's data looks like.

    Tensors of data are float32 ``(batch, *shape)``: images in 0..1 as ``(channels, height, width)``,
    sound in -1..1 as ``(channels, samples)``; text is a list of strings and its shape is empty.

    Attributes:
        modality: ``image``, ``audio``, ``text`` or ``array``.
        shape: Sizes of one item; ``None`` where a size may vary.
        sample_rate: Samples per second of audio.
        fit: How a file of another size is brought to ``shape``. Images: ``contain`` (scale, then pad
            with ``background``), ``cover`` (scale, then crop the centre), ``ink`` (as MNIST was made:
            the drawing, whatever its polarity, scaled to 20/28 of the frame and put with its centre of
            mass in the middle). Audio: ``loudest`` (the loudest window; shorter clips are padded with
            silence). ``refuse``: only exact sizes are taken.
        background: Brightness of an image's empty parts, 0 (black) to 1 (white).
        normalize: Audio is scaled so that its peak is this value, clip by clip.
        multiple: Sizes that vary should be multiples of this. The model takes others, too, and pads them at the
            end: images by repeating the edge, sound with silence. What it decodes is as large as the padded item.
    """

    modality: Modality
    shape: Shape = ()
    sample_rate: Annotated[int, Meta(ge=1, le=2**20)] | None = None
    fit: Fit = "refuse"
    background: Annotated[float, Meta(ge=0, le=1)] = 0.0
    normalize: Annotated[float, Meta(gt=0, le=1)] | None = None
    multiple: Annotated[int, Meta(ge=1, le=2**20)] = 1

    def __post_init__(self) -> None:
        rank = DATA_RANKS[self.modality]
        _require(
            rank is None or len(self.shape) == rank,
            "data",
            f"{self.modality} needs a shape of {rank} sizes, not {format_shape(self.shape)}",
        )
        _require(
            (self.sample_rate is not None) == (self.modality == "audio"),
            "data",
            "sample_rate goes with audio, and only with audio",
        )
        _require(
            self.fit in FITS[self.modality],
            "data",
            f"fit '{self.fit}' does not apply to {self.modality} (possible: {', '.join(FITS[self.modality])})",
        )
        _require(
            self.fit != "ink" or None not in self.shape, "data", "fit 'ink' needs a fixed height and width"
        )
        _require(
            self.multiple == 1 or (self.modality in ("image", "audio") and None in self.shape[1:]),
            "data",
            "multiple goes with images and sound whose sizes vary",
        )

    def padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an item as the model pads it."""
        return tuple(
            have if want is not None or place == 0 else -(-have // self.multiple) * self.multiple
            for place, (have, want) in enumerate(zip(shape, self.shape, strict=True))
        )


@dataclass(frozen=True, kw_only=True)
class LatentSpec(Record):
    """The latent space of a model.

    Attributes:
        shape: ``(dims,)`` for a vector, ``(channels, steps)`` for a sequence, ``(channels, height,
            width)`` for a grid; ``None`` where a size depends on the input.
        stochastic: The encoder gives a posterior standard deviation beside the mean.
    """

    shape: Annotated[Shape, Meta(min_length=1, max_length=3)]
    stochastic: bool = False

    def __post_init__(self) -> None:
        _require(len(self.shape) in LATENT_KINDS, "latent", "shape needs 1, 2 or 3 sizes")
        _require(self.shape[0] is not None, "latent", "the first size (dims or channels) cannot vary")

    @property
    def kind(self) -> LatentKind:
        """``vector``, ``sequence`` or ``grid``, by the number of sizes."""
        return LATENT_KINDS[len(self.shape)]

    @property
    def channels(self) -> int:
        """The first size: dims of a vector, channels of a sequence or grid."""
        assert self.shape[0] is not None
        return self.shape[0]

    @property
    def fixed(self) -> bool:
        """Whether every latent of the model has the same shape."""
        return None not in self.shape


@dataclass(frozen=True, kw_only=True)
class FileSpec(Record):
    """One file that must have a known content.

    Attributes:
        name: Path below the source's root, with forward slashes and no ``..``.
        sha256: Of the whole file, 64 hex digits.
    """

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    sha256: str

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        _require(
            not any(part in ("", ".", "..") for part in parts)
            and not re.search(r"[\\:\x00-\x1f]", self.name),
            f"file '{self.name}'",
            "must be a relative path with forward slashes and no '..'",
        )
        _require(bool(SHA256.fullmatch(self.sha256)), f"file '{self.name}'", "sha256 must be 64 hex digits")


@dataclass(frozen=True, kw_only=True)
class Source(Record):
    """Where files come from: a Python package that carries them, a Hub repository at a commit, or a folder.

    Attributes:
        files: The files, each with its hash.
        package: Import name of the installed package whose folder holds the files.
        repo: ``org/name`` on the Hugging Face Hub.
        revision: The full commit, 40 hex digits; goes with ``repo``.
        folder: Absolute path of a folder of this machine.
    """

    files: Annotated[tuple[FileSpec, ...], Meta(max_length=64)] = ()
    package: Text | None = None
    repo: Text | None = None
    revision: str | None = None
    folder: Text | None = None

    def __post_init__(self) -> None:
        places = sum(place is not None for place in (self.package, self.repo, self.folder))
        _require(
            places == 1 or not (places or self.files),
            "source",
            "files need either a package, a repo or a folder",
        )
        _require((self.repo is None) == (self.revision is None), "source", "repo and revision go together")
        _require(
            self.repo is None or bool(REPO.fullmatch(self.repo)), "source", f"'{self.repo}' is not org/name"
        )
        _require(
            self.revision is None or bool(REVISION.fullmatch(self.revision)),
            "source",
            "revision must be a full commit of 40 hex digits, since branches and tags move",
        )

    def file(self, name: str) -> FileSpec:
        """The file of that name.

        Raises:
            SpecError: The source lists no such file.
        """
        for file in self.files:
            if file.name == name:
                return file
        raise SpecError(f"source lists no file '{name}'")


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Record):
    """A frozen model, described without loading it.

    Attributes:
        id: ``namespace/name``, or a reference into an open family (``family:rest``). The namespace,
            or family, is the name of the plugin's entry point.
        title: One line for people.
        data: What the model encodes and decodes.
        latent: What lies between the two.
        capabilities: Which of ``encode``, ``decode`` and ``sample`` the adapter has.
        license: SPDX identifier, or ``other: where to read it``.
        loader: ``module:function``; called as ``function(spec, device=...)``, it gives a
            `ltzoo.model.LatentModel`. Imported only when the model is loaded.
        labels: Names of the classes that the model's data set has, by index; empty if it has none.
        source: The weight files and their hashes.
        adapter_version: Raised by the plugin's author whenever the same weights would give other
            latents (another scaling, another preprocessing).
        reconstruction_mse: The model promises ``mean((decode(encode(x)) - x)**2)`` to stay below this
            on data of its kind; the contract test holds it to that.
    """

    id: Annotated[str, Meta(max_length=512)]
    title: Text
    data: DataSpec
    latent: LatentSpec
    capabilities: frozenset[Capability]
    license: Text
    loader: Text
    labels: Annotated[tuple[Text, ...], Meta(max_length=100_000)] = ()
    source: Source = Source()
    adapter_version: Annotated[int, Meta(ge=1)] = 1
    reconstruction_mse: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        # msgspec has checked the types of what comes from files; a plugin's own call has been checked by nothing.
        owner = f"model '{self.id}'"
        _require(
            bool(MODEL_ID.fullmatch(self.id) or FAMILY_REFERENCE.fullmatch(self.id)),
            owner,
            "the id must be 'namespace/name' in a-z 0-9 . _ -, or 'family:reference'",
        )
        _require(isinstance(self.data, DataSpec), owner, "data must be a DataSpec")
        _require(isinstance(self.latent, LatentSpec), owner, "latent must be a LatentSpec")
        _require(
            bool(self.capabilities), owner, "has no capability; give at least one of encode, decode, sample"
        )
        unknown = set(self.capabilities) - {"encode", "decode", "sample"}
        _require(not unknown, owner, f"unknown capabilities: {', '.join(sorted(map(str, unknown)))}")
        _require(
            "sample" not in self.capabilities or "decode" in self.capabilities,
            owner,
            "'sample' needs 'decode'",
        )
        _require(isinstance(self.license, str) and bool(self.license.strip()), owner, "license must be given")
        _require(
            bool(LOADER.fullmatch(str(self.loader))),
            owner,
            f"loader '{self.loader}' is not 'module:function'",
        )
        _require(len(set(self.labels)) == len(self.labels), owner, "label names must differ")
        _require(
            self.reconstruction_mse is None or {"encode", "decode"} <= set(self.capabilities),
            owner,
            "reconstruction_mse needs both encode and decode",
        )

    @property
    def namespace(self) -> str:
        """The plugin's entry-point name: what stands before the first ``/`` or ``:``."""
        return re.split(r"[/:]", self.id, maxsplit=1)[0]

    @property
    def fingerprint(self) -> str:
        """What the meaning of the latents depends on, as 64 hex digits.

        Two models with equal fingerprints have interchangeable latents: same weights, same scaling,
        same latent shape. Bridges and latent sets store it and refuse other weights.
        """
        return _digest(
            {
                "files": sorted(file.sha256 for file in self.source.files),
                # Without weight files the id is all that tells two models apart.
                "id": None if self.source.files else self.id,
                "latent": list(self.latent.shape),
                "adapter_version": self.adapter_version,
            }
        )

    def can(self, capability: Capability) -> bool:
        """Whether the adapter has ``encode``, ``decode`` or ``sample``."""
        return capability in self.capabilities


@dataclass(frozen=True, kw_only=True)
class _ClassifierSpec(Record):
    """What judges and labellers have in common."""

    loader: Text
    source: Source
    accuracy: Annotated[float, Meta(ge=0, le=1)]
    command: Text
    license: Text

    def __post_init__(self) -> None:
        _require(
            bool(LOADER.fullmatch(str(self.loader))),
            "labeller" if isinstance(self, LabellerSpec) else "judge",
            f"loader '{self.loader}' is not 'module:function'",
        )


@dataclass(frozen=True, kw_only=True)
class JudgeSpec(_ClassifierSpec):
    """A classifier on data that scores translations.

    A judge has never been used to label, select or train anything that it scores.

    Attributes:
        loader: ``module:function``; called as ``function(spec, device=...)``, it gives a
            `ltzoo.model.Judge`.
        source: Its weight files.
        accuracy: On the data set's official test part, 0..1.
        command: The command that measured ``accuracy``.
        license: SPDX identifier of the weights.
    """


@dataclass(frozen=True, kw_only=True)
class LabellerSpec(_ClassifierSpec):
    """A classifier on data that labels what a model without an encoder draws. Never the judge.

    Attributes:
        loader: ``module:function``; called as ``function(spec, device=...)``, it gives a
            `ltzoo.model.Labeller`.
        source: Its weight files, none of which is the judge's.
        accuracy: On the data set's official test part, 0..1.
        command: The command that measured ``accuracy``.
        license: SPDX identifier of the weights.
    """


@dataclass(frozen=True, kw_only=True)
class LatentFile(Record):
    """A data set as one model sees it: a `ltzoo.latents.LatentSet` file that the plugin ships."""

    model: Text
    file: FileSpec


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Record):
    """A data set: its classes, its latents under the models that ship them, and its judge.

    Attributes:
        id: ``namespace/name``.
        title: One line for people.
        data: What one item looks like.
        labels: Class names, by index.
        license: Licence of the data that the latents were made from.
        latents: One latent set per model; items are in the same order in each, so that they pair up.
        source: Where the latent sets lie.
        judge: The classifier that scores translations into this data, if there is one.
        labeller: The classifier that labels draws of models of this data, if there is one.
    """

    id: Text
    title: Text
    data: DataSpec
    license: Text
    labels: tuple[Text, ...] = ()
    latents: tuple[LatentFile, ...] = ()
    source: Source = Source()
    judge: JudgeSpec | None = None
    labeller: LabellerSpec | None = None

    def __post_init__(self) -> None:
        owner = f"data set '{self.id}'"
        _require(
            bool(DATASET_ID.fullmatch(self.id)), owner, "the id must be 'namespace/name' in a-z 0-9 . _ -"
        )
        _require(isinstance(self.data, DataSpec), owner, "data must be a DataSpec")
        _require(isinstance(self.license, str) and bool(self.license.strip()), owner, "license must be given")
        for latents in self.latents:
            self.source.file(latents.file.name)
        if self.judge is not None and self.labeller is not None:
            shared = set(self.judge.source.files) & set(self.labeller.source.files)
            _require(not shared, owner, "the labeller must not be the judge, but they share weights")

    @property
    def namespace(self) -> str:
        """The plugin's entry-point name."""
        return self.id.split("/", maxsplit=1)[0]

    def latents_of(self, model: str) -> LatentFile | None:
        """The latent set of that model, if the data set ships one."""
        return next((latents for latents in self.latents if latents.model == model), None)


def _digest(value: Any) -> str:
    import hashlib

    # Keys in order and no spaces: the same content gives the same bytes.
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
