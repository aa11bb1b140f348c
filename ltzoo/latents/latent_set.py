"""`LatentSet`: latents of one model with posterior std, labels, pair keys and split, in one file.

The file is safetensors: the tensors ``latents``, ``std``, ``labels``, ``keys``, ``split`` and ``sizes``, and one
metadata entry ``ltzoo``, the JSON of a `LatentHeader`. ``latents`` and ``std`` are float16 or float32.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ltzoo.errors import FingerprintError, LatentsError, SpecError
from ltzoo.files import replacing
from ltzoo.records import Record
from ltzoo.spec import ModelSpec, format_shape
from ltzoo.tensor_files import open_tensors

__all__ = ["FORMAT_VERSION", "METADATA_KEY", "SPLITS", "LatentHeader", "LatentSet"]

SPLITS = ("train", "validation", "test")
FORMAT_VERSION = 1
METADATA_KEY = "ltzoo"
TENSORS = ("latents", "std", "labels", "keys", "split", "sizes")
UNLABELLED = -1
MAX_NAME = 512


@dataclass(frozen=True, kw_only=True)
class LatentHeader(Record):
    """What a latent set's file says about itself beside its tensors."""

    format_version: int
    model: Annotated[str, Meta(min_length=1, max_length=512)]
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    label_names: Annotated[tuple[str, ...], Meta(max_length=100_000)] = ()
    license: str | None = None
    keys_of: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)] | None = None

    def metadata(self) -> dict[str, str]:
        """The metadata of the safetensors file."""
        return {METADATA_KEY: self.to_json()}


@dataclass(frozen=True, eq=False)
class LatentSet:
    """Latents of one model, with what training a bridge needs beside them.

    Attributes:
        model: Id or reference of the model.
        fingerprint: `ltzoo.spec.ModelSpec.fingerprint` of the model at encoding time.
        latents: float32 ``(n, *latent_shape)``: posterior means where the model has a posterior.
        std: float32, of the same shape: posterior standard deviations, if the model has any.
        labels: int64 ``(n,)``, indices into ``label_names``; -1 = unlabelled.
        keys: int64 ``(n,)``; equal keys in two sets mark a pair, if both sets' keys number the same items.
        split: uint8 ``(n,)``, indices into `SPLITS`.
        sizes: int64 ``(n, sizes of an item)``: height and width, or samples, of the data before the model padded it,
            where it pads.
        label_names: Class names by index; empty if the classes have no names.
        license: Licence of the data that the latents were made from.
        keys_of: Name of what the keys number, for example ``mnist/train+test``. Sets pair only if both have
            the same name: keys of different data sets collide.

    Raises:
        LatentsError: A tensor has the wrong dtype or shape, a label or split is out of range, or there is
            a name of what the keys number, but it is empty or there are no keys.
    """

    model: str
    fingerprint: str
    latents: Tensor
    std: Tensor | None = None
    labels: Tensor | None = None
    keys: Tensor | None = None
    split: Tensor | None = None
    sizes: Tensor | None = None
    label_names: tuple[str, ...] = ()
    license: str | None = None
    keys_of: str | None = None

    def __post_init__(self) -> None:
        if self.latents.ndim < 2:
            raise LatentsError(
                f"latents of {self.model}: shape {format_shape(tuple(self.latents.shape))}, "
                "but it must be items x latent shape"
            )
        shape, items = tuple(self.latents.shape), (len(self.latents),)
        self._check("latents", self.latents, torch.float32, shape)
        self._check("std", self.std, torch.float32, shape, 0)
        self._check("labels", self.labels, torch.int64, items, UNLABELLED, len(self.label_names) or None)
        self._check("keys", self.keys, torch.int64, items)
        self._check("split", self.split, torch.uint8, items, 0, len(SPLITS))
        if self.sizes is not None:
            count = self.sizes.shape[1] if self.sizes.ndim == 2 else 1
            self._check("sizes", self.sizes, torch.int64, (*items, count), 1)
        if self.keys_of is not None and (self.keys is None or not 0 < len(self.keys_of) <= MAX_NAME):
            raise LatentsError(
                f"latents of {self.model}: keys_of must name what the keys number, in 1 to {MAX_NAME} "
                "characters, and only where there are keys"
            )

    def _check(
        self,
        name: str,
        tensor: Tensor | None,
        dtype: torch.dtype,
        shape: tuple[int, ...],
        low: int | None = None,
        high: int | None = None,
    ) -> None:
        """Refuses a tensor of another dtype or shape, or with values outside ``low <= value < high``."""
        if tensor is None:
            return
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            raise LatentsError(
                f"latents of {self.model}: '{name}' must be {_dtype_name(dtype)} {format_shape(shape)}, "
                f"not {_dtype_name(tensor.dtype)} {format_shape(tuple(tensor.shape))}"
            )
        out = torch.zeros_like(tensor, dtype=torch.bool)
        if low is not None:
            out |= tensor < low
        if high is not None:
            out |= tensor >= high
        if bool(out.any()):
            bounds = f"at least {low}" + ("" if high is None else f" and below {high}")
            row = int(out.nonzero()[0, 0])
            raise LatentsError(f"latents of {self.model}: '{name}' of row {row} must be {bounds}")

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one latent."""
        return tuple(self.latents.shape[1:])

    def select(self, index: Tensor) -> LatentSet:
        """The rows at ``index``: int64 positions, or a bool mask of length ``n``."""

        def rows(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[index.to(tensor.device)]

        return replace(
            self,
            latents=self.latents[index.to(self.latents.device)],
            std=rows(self.std),
            labels=rows(self.labels),
            keys=rows(self.keys),
            split=rows(self.split),
            sizes=rows(self.sizes),
        )

    def part(self, split: str) -> LatentSet:
        """The rows of one split, in their order.

        Args:
            split: One of `SPLITS`.

        Raises:
            LatentsError: The set has no split, or no rows in that one.
        """
        if split not in SPLITS:
            raise LatentsError(f"'{split}' is not a split", hint=f"splits: {', '.join(SPLITS)}")
        if self.split is None:
            raise LatentsError(f"latents of {self.model} are not split into {', '.join(SPLITS)}")
        mask = self.split == SPLITS.index(split)
        if not bool(mask.any()):
            present = [SPLITS[int(index)] for index in torch.unique(self.split)]
            raise LatentsError(
                f"latents of {self.model} have no {split} part", hint=f"parts: {', '.join(present) or 'none'}"
            )
        return self.select(mask)

    def save(self, path: str | os.PathLike[str], *, dtype: torch.dtype = torch.float32) -> None:
        """Writes the set into one safetensors file, which appears whole or not at all.

        Args:
            path: The file; an existing one is replaced.
            dtype: Of the stored latents and std: ``torch.float32`` or ``torch.float16``.

        Raises:
            LatentsError: A value is NaN or infinite, too large for float16, or the file cannot be written.
        """
        tensors = {"latents": to_stored(self.latents, dtype, "latents", where=f"latents of {self.model}")}
        if self.std is not None:
            tensors["std"] = to_stored(self.std, dtype, "std", where=f"latents of {self.model}")
        for name in ("labels", "keys", "split", "sizes"):
            tensor = getattr(self, name)
            if tensor is not None:
                tensors[name] = tensor.cpu().contiguous()
        header = LatentHeader(
            format_version=FORMAT_VERSION,
            model=self.model,
            fingerprint=self.fingerprint,
            label_names=self.label_names,
            license=self.license,
            keys_of=self.keys_of,
        )
        try:
            with replacing(path) as temporary:
                save_file(tensors, temporary, metadata=header.metadata())
        except (OSError, SafetensorError) as error:
            raise LatentsError(f"{os.fspath(path)}: cannot be written: {_cause(error)}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, model: ModelSpec | None = None) -> LatentSet:
        """Reads a set from its file.

        Args:
            path: A file written by `save` or `ltzoo.latents.encode_to_file`.
            model: The model that the latents are to be used with; its id, fingerprint and latent shape
                must be those of the file.

        Raises:
            LatentsError: The file cannot be read, is not a latent set, holds values that are NaN or
                infinite, or latents of another shape than the model's.
            FingerprintError: The latents were made by another model, or by other weights.
        """
        where = os.fspath(path)
        header, tensors = _read(Path(path), where)
        if model is not None:
            _check_model(header, model, where)
        dtype = tensors["latents"].dtype
        if dtype not in (torch.float16, torch.float32):
            raise LatentsError(f"{where}: latents are {_dtype_name(dtype)}, but must be float16 or float32")
        for name in ("latents", "std"):
            if name in tensors:
                if tensors[name].is_floating_point():
                    tensors[name] = tensors[name].float()
                check_finite(tensors[name], name, where=where)
        try:
            latents = cls(
                model=header.model,
                fingerprint=header.fingerprint,
                label_names=header.label_names,
                license=header.license,
                keys_of=header.keys_of,
                **tensors,
            )
        except LatentsError as error:
            raise LatentsError(f"{where}: {error.message}", hint=error.hint) from error
        if model is not None:
            check_latent_shape(latents.latent_shape, model, where=where)
        return latents


def to_stored(values: Tensor, dtype: torch.dtype, name: str, *, where: str, first_row: int = 0) -> Tensor:
    """The values as they are stored: on the CPU, contiguous, float16 or float32, all finite.

    Args:
        values: ``(n, *latent_shape)``.
        dtype: ``torch.float16`` or ``torch.float32``.
        name: Of the tensor, for messages.
        where: The file or set, for messages.
        first_row: The row of the set that ``values[0]`` is, for messages.

    Raises:
        LatentsError: A value is NaN or infinite, or too large for float16, or ``dtype`` is another one.
    """
    if dtype not in (torch.float16, torch.float32):
        raise LatentsError(
            f"{where}: cannot be stored as {_dtype_name(dtype)}", hint="use float16 or float32"
        )
    check_finite(values, name, where=where, first_row=first_row)
    stored = values.detach().cpu().to(dtype).contiguous()
    overflown = ~stored.isfinite()
    if bool(overflown.any()):
        row = int(overflown.nonzero()[0, 0])
        raise LatentsError(
            f"{where}: '{name}' of row {first_row + row} reaches {float(values[row].abs().max()):.6g}, "
            f"beyond float16 ({torch.finfo(torch.float16).max:.0f})",
            hint="store them as float32",
        )
    return stored


def check_dtype(dtype: torch.dtype, *, where: str) -> None:
    """Refuses a dtype that latents are not stored in.

    Raises:
        LatentsError: It is neither float16 nor float32.
    """
    if dtype not in (torch.float16, torch.float32):
        raise LatentsError(
            f"{where}: cannot be stored as {_dtype_name(dtype)}", hint="use float16 or float32"
        )


def check_finite(values: Tensor, name: str, *, where: str, first_row: int = 0) -> None:
    """Refuses NaN and infinities, naming the first row that has one.

    Raises:
        LatentsError: There is one.
    """
    bad = ~values.isfinite()
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0]) if values.ndim else 0
        raise LatentsError(f"{where}: '{name}' of row {first_row + row} has NaN or infinite values")


def check_latent_shape(shape: tuple[int, ...], model: ModelSpec, *, where: str) -> None:
    """Refuses latents whose shape is not the model's.

    Raises:
        LatentsError: The number of sizes differs, or a size that the model fixes.
    """
    wanted = model.latent.shape
    if len(shape) != len(wanted) or any(b is not None and a != b for a, b in zip(shape, wanted, strict=True)):
        raise LatentsError(
            f"{where}: latents have shape {format_shape(shape)}, but those of {model.id} have {format_shape(wanted)}"
        )


def _read(path: Path, where: str) -> tuple[LatentHeader, dict[str, Tensor]]:
    """The header and the known tensors of a file."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise LatentsError(f"{where}: {found}; a latent set is one safetensors file")
    try:
        with open_tensors(path) as file:
            metadata = file.metadata() or {}
            header = _header(metadata, where)
            names = set(file.keys())
            tensors = {name: file.get_tensor(name) for name in TENSORS if name in names}
    except (SafetensorError, OSError) as error:
        raise LatentsError(f"{where}: cannot be read as safetensors: {_cause(error)}") from error
    unknown = names - set(TENSORS)
    if unknown:
        raise LatentsError(f"{where}: unknown tensor '{min(unknown)}' (known: {', '.join(TENSORS)})")
    if "latents" not in tensors:
        raise LatentsError(f"{where}: has no tensor 'latents'")
    return header, tensors


def _header(metadata: dict[str, str], where: str) -> LatentHeader:
    if METADATA_KEY not in metadata:
        raise LatentsError(f"{where}: not a latent set (no '{METADATA_KEY}' in its metadata)")
    try:
        header = LatentHeader.from_json(metadata[METADATA_KEY], where=where)
    except SpecError as error:
        raise LatentsError(error.message, hint=error.hint) from error
    if header.format_version != FORMAT_VERSION:
        raise LatentsError(
            f"{where}: has format version {header.format_version}, this ltzoo reads {FORMAT_VERSION}",
            hint="pip install -U ltzoo",
        )
    return header


def _check_model(header: LatentHeader, model: ModelSpec, where: str) -> None:
    if header.model != model.id:
        raise FingerprintError(f"{where}: latents of {header.model}, not of {model.id}")
    if header.fingerprint != model.fingerprint:
        raise FingerprintError(
            f"{where}: made with other weights of {model.id} (fingerprint {header.fingerprint[:12]}) than those "
            f"at hand ({model.fingerprint[:12]})",
            hint=f"encode the data again with {model.id}",
        )


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _cause(error: Exception) -> str:
    """The cause in a few words: an `OSError` says its path again, which the message already does."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
