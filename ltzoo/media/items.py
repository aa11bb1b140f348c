"""Items of a data set of any size, read in order without ever being whole in memory.

Each kind gives batches of data, labels, pair keys and split, as `ltzoo.latents.encode_to_file` takes them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.media.keys import file_digest, keys_of_names, listing_digest
from ltzoo.media.reading import Item, read_media
from ltzoo.media.text import MAX_BYTES, decode_text
from ltzoo.model import Data
from ltzoo.spec import DataSpec

__all__ = ["Batch", "FileItems", "MemoryItems", "TextLines", "digest_of"]

FIELDS = ("labels", "keys", "split")
MOST_NOTES = 5


class Batch(NamedTuple):
    """Some items in order: data, and int64 labels, int64 keys and uint8 split where the source has them."""

    data: Data
    labels: Tensor | None = None
    keys: Tensor | None = None
    split: Tensor | None = None


class MemoryItems:
    """Items that are in memory already.

    Args:
        data: float32 ``(n, *data_shape)``, or a list of strings.
        labels: int64 ``(n,)``.
        keys: int64 ``(n,)``.
        split: uint8 ``(n,)``, indices into `ltzoo.latents.SPLITS`.
        keys_of: What the keys number.
    """

    def __init__(
        self,
        data: Data,
        *,
        labels: Tensor | None = None,
        keys: Tensor | None = None,
        split: Tensor | None = None,
        keys_of: str | None = None,
    ) -> None:
        self.keys_of = keys_of
        self._all = Batch(data, labels, keys, split)
        for name in FIELDS:
            column = getattr(self._all, name)
            if column is not None and tuple(column.shape) != (len(data),):
                raise MediaError(f"{len(data)} items, but {name} of shape {tuple(column.shape)}")

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(name for name in FIELDS if getattr(self._all, name) is not None)

    @property
    def digest(self) -> str:
        digest = hashlib.sha256()
        for part in self._all:
            digest.update(
                part.contiguous().numpy().tobytes() if isinstance(part, Tensor) else repr(part).encode()
            )
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._all.data)

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        for first in range(start, len(self), size):
            rows = slice(first, first + size)
            data, labels, keys, split = self._all
            yield Batch(
                data[rows],
                None if labels is None else labels[rows],
                None if keys is None else keys[rows],
                None if split is None else split[rows],
            )

    def starts(self, size: int) -> Sequence[int]:
        return range(0, len(self), size)

    def describe(self, row: int) -> str:
        return f"item {row}"


class FileItems:
    """Files, one item each, read as the model takes them.

    Keys are made of the files' names; see `ltzoo.media.keys`.

    Args:
        paths: The files, in the order of the items.
        data: What the model takes.
        labels: One per file; -1 = unlabelled.
        split: One per file, indices into `ltzoo.latents.SPLITS`.
        folder: Names of the files count from here; by default from the folder that all share.
        model: The model's id, for messages.
        say: Called with one line for each of the first conversions.
    """

    def __init__(
        self,
        paths: Sequence[str],
        data: DataSpec,
        *,
        labels: Sequence[int] | None = None,
        split: Sequence[int] | None = None,
        folder: str | None = None,
        model: str | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.paths = paths
        self.data = data
        self.model = model
        self._labels = None if labels is None else torch.tensor(labels, dtype=torch.int64)
        self._split = None if split is None else torch.tensor(split, dtype=torch.uint8)
        self._say = say or (lambda line: None)
        self._told = 0
        self._folder = folder
        self._keys = torch.tensor(keys_of_names(paths, folder), dtype=torch.int64)

    @property
    def fields(self) -> frozenset[str]:
        present = {"labels": self._labels, "keys": self._keys, "split": self._split}
        return frozenset(name for name, column in present.items() if column is not None)

    @cached_property
    def keys_of(self) -> str:
        """A digest that is the same for the same files at the same place below their folder."""
        return listing_digest(self.paths, self._folder)

    @property
    def digest(self) -> str:
        return digest_of(self.data, self.paths, [self._labels, self._split])

    def __len__(self) -> int:
        return len(self.paths)

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        items: list[Item] = []
        for row in range(start, len(self)):
            item, notes = read_media(self.paths[row], self.data, model=self.model)
            for note in notes:
                self._tell(note)
            if items and _shape(item) != _shape(items[0]):
                yield self._batch(items, row)
                items = []
            items.append(item)
            # Counted from row 0, not from the last change of shape: so `starts` knows it without reading.
            if (row + 1) % size == 0 or row + 1 == len(self):
                yield self._batch(items, row + 1)
                items = []

    def starts(self, size: int) -> Sequence[int]:
        return range(0, len(self), size)

    def _tell(self, note: str) -> None:
        self._told += 1
        if self._told <= MOST_NOTES:
            self._say(note)
        elif self._told == MOST_NOTES + 1:
            self._say("further conversions are not listed")

    def _batch(self, items: list[Item], stop: int) -> Batch:
        rows = slice(stop - len(items), stop)
        return Batch(
            _stack(items),
            labels=None if self._labels is None else self._labels[rows],
            keys=self._keys[rows],
            split=None if self._split is None else self._split[rows],
        )

    def describe(self, row: int) -> str:
        return self.paths[row]


class TextLines:
    """The lines of a text file, one item each. Keys are their numbers, from 0.

    Args:
        path: A UTF-8 file. No line may be blank: items and lines would not match.

    Raises:
        MediaError: The file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], data: DataSpec) -> None:
        self.path = os.fspath(path)
        self.data = data
        self._count = sum(1 for _ in self._lines())

    @property
    def fields(self) -> frozenset[str]:
        return frozenset({"keys"})

    @cached_property
    def keys_of(self) -> str:
        """Digest of the file."""
        return file_digest(self.path)

    @property
    def digest(self) -> str:
        return digest_of(self.data, [self.path], [])

    def __len__(self) -> int:
        return self._count

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        texts: list[str] = []
        for row, line in enumerate(self._lines()):
            if row < start:
                continue
            texts.append(decode_text(line, self.describe(row)))
            if len(texts) == size or row + 1 == len(self):
                yield Batch(texts, keys=torch.arange(row + 1 - len(texts), row + 1))
                texts = []

    def starts(self, size: int) -> Sequence[int]:
        return range(0, len(self), size)

    def _lines(self) -> Iterator[bytes]:
        try:
            with Path(self.path).open("rb") as file:
                row = 0
                while line := file.readline(MAX_BYTES + 1):
                    if len(line) > MAX_BYTES:
                        raise MediaError(f"{self.describe(row)}: has more than {MAX_BYTES} bytes")
                    yield line
                    row += 1
        except OSError as error:
            raise MediaError(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def describe(self, row: int) -> str:
        return f"{self.path} line {row + 1}"


def _shape(item: Item) -> tuple[int, ...] | None:
    return tuple(item.shape) if isinstance(item, Tensor) else None


def _stack(items: list[Item]) -> Data:
    tensors = [item for item in items if isinstance(item, Tensor)]
    return torch.stack(tensors) if tensors else [item for item in items if isinstance(item, str)]


def digest_of(data: DataSpec, paths: Sequence[str], columns: Sequence[Tensor | None]) -> str:
    """Changes when a file is changed or another, or is read for another kind of data."""
    digest = hashlib.sha256(json.dumps(data.to_dict(), sort_keys=True).encode())
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise MediaError(f"{path}: cannot be read: {error.strerror or error}") from error
        name = os.path.basename(path)
        digest.update(f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}".encode())
    for column in columns:
        digest.update(b"-" if column is None else column.numpy().tobytes())
    return digest.hexdigest()
