"""Items in the rows of .npy and .npz files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltzoo.errors import MediaError
from ltzoo.media.array import StoredArray, open_arrays
from ltzoo.media.convert import items_of_rows
from ltzoo.media.items import Batch, digest_of
from ltzoo.media.keys import file_digest
from ltzoo.model import Data
from ltzoo.spec import DataSpec

__all__ = ["PARTS", "ArrayItems"]

PARTS = {"train": 0, "validation": 1, "test": 2}
"""The indices that `ltzoo.latents.SPLITS` has, by name."""


@dataclass(frozen=True)
class _Part:
    """Arrays of equal length: ``x`` and what goes with it."""

    split: int | None
    columns: dict[str, StoredArray]

    def __len__(self) -> int:
        return len(self.columns["x"])


class ArrayItems:
    """The rows of a .npy file, or of an .npz file with ``x`` and, if it has them, ``y``, ``keys`` and ``split``.

    Items without keys are numbered from 0. An .npz file may instead have parts, ``x_train``, ``y_train``, ``keys_train``, ``x_test`` and so on, which
    follow one another and give the split. Sound may come with its ``sample_rate``. Other arrays are not read.

    Args:
        path: The file.
        data: What the model takes.
        model: The model's id, for messages.

    Raises:
        MediaError: The file cannot be read, has none of those arrays, or arrays that do not go together.
    """

    def __init__(self, path: str | os.PathLike[str], data: DataSpec, *, model: str | None = None) -> None:
        self.path = os.fspath(path)
        self.data = data
        self.model = model
        arrays = open_arrays(Path(path))
        self._parts = _parts(arrays, self.path)
        self._rate = _sample_rate(arrays, self.path) if data.modality == "audio" else None

    @property
    def fields(self) -> frozenset[str]:
        columns = self._parts[0].columns
        fields = {"labels": "y" in columns, "keys": True}
        fields["split"] = "split" in columns or self._parts[0].split is not None
        return frozenset(name for name, present in fields.items() if present)

    @cached_property
    def keys_of(self) -> str:
        """Digest of the file."""
        return file_digest(self.path)

    @property
    def digest(self) -> str:
        return digest_of(self.data, [self.path], [])

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        before = 0
        for part in self._parts:
            if start < len(part):
                yield from self._part_batches(part, start, size, before)
            start = max(0, start - len(part))
            before += len(part)

    def starts(self, size: int) -> Sequence[int]:
        starts: list[int] = []
        before = 0
        for part in self._parts:
            starts += range(before, before + len(part), size)
            before += len(part)
        return starts

    def _part_batches(self, part: _Part, start: int, size: int, before: int) -> Iterator[Batch]:
        columns = {name: array.rows(start, size) for name, array in part.columns.items()}
        for x in columns["x"]:
            column = {name: next(columns[name]).astype(np.int64) for name in columns if name != "x"}
            labels, keys, split = (
                torch.from_numpy(column[name]) if name in column else None for name in ("y", "keys", "split")
            )
            if keys is None:
                keys = torch.arange(before + start, before + start + len(x))
            if part.split is not None:
                split = torch.full((len(x),), part.split)
            yield Batch(self._items(x, part, start), labels, keys, split)
            start += len(x)

    def _items(self, rows: Any, part: _Part, start: int) -> Data:
        return items_of_rows(
            rows,
            self.data,
            lambda index: f"{part.columns['x'].name} row {start + index}",
            rate=self._rate,
            model=self.model,
        )

    def describe(self, row: int) -> str:
        for part in self._parts:
            if row < len(part):
                return f"{part.columns['x'].name} row {row}"
            row -= len(part)
        raise IndexError(row)


def _parts(arrays: dict[str, StoredArray], where: str) -> list[_Part]:
    if "x" in arrays:
        columns = {name: array for name, array in arrays.items() if name in ("x", "y", "keys", "split")}
        parts = [_Part(split=None, columns=columns)]
    else:
        parts = [
            _Part(
                split=index,
                columns={
                    name: arrays[f"{name}_{part}"]
                    for name in ("x", "y", "keys")
                    if f"{name}_{part}" in arrays
                },
            )
            for part, index in PARTS.items()
            if f"x_{part}" in arrays
        ]
    if not parts:
        raise MediaError(
            f"{where}: holds the arrays {', '.join(sorted(arrays))}, but no 'x' and no 'x_train' or 'x_test'",
            hint="save the items as x, their labels as y",
        )
    for part in parts:
        _check_part(part, parts[0])
    return parts


def _check_part(part: _Part, first: _Part) -> None:
    x = part.columns["x"]
    if not x.shape:
        raise MediaError(f"{x.name}: is a single value, not rows of items")
    if part.columns.keys() != first.columns.keys():
        raise MediaError(f"{x.name}: has not the same companions (y, keys) as {first.columns['x'].name}")
    if part.columns["x"].shape[1:] != first.columns["x"].shape[1:]:
        raise MediaError(
            f"{x.name}: its items have shape {x.shape[1:]}, those of {first.columns['x'].name} "
            f"{first.columns['x'].shape[1:]}"
        )
    for name, array in part.columns.items():
        if name != "x" and (array.shape != x.shape[:1] or array.dtype.kind not in "iu"):
            raise MediaError(
                f"{array.name}: is {array.dtype} of shape {array.shape}, but must be whole numbers, one for each of "
                f"the {len(x)} rows of {x.name}"
            )


def _sample_rate(arrays: dict[str, StoredArray], where: str) -> int | None:
    if "sample_rate" not in arrays:
        return None
    values = arrays["sample_rate"].whole()
    if values.size != 1 or values.dtype.kind not in "iuf" or not 1 <= float(values.item()) <= 2**20:
        raise MediaError(f"{where}: its sample_rate must be one number of samples per second")
    return int(values.item())
