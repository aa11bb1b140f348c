"""Encoding a data set of any size into one `LatentSet` file: in constant memory, and resumable.

The file grows as ``PATH.partial`` beside ``PATH``; ``PATH.partial.json`` says how far it has come. Both
are gone when ``PATH`` is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from ltzoo.distributed import World
from ltzoo.errors import CapabilityError, LatentsError
from ltzoo.latents.latent_set import (
    FORMAT_VERSION,
    SPLITS,
    UNLABELLED,
    LatentHeader,
    check_dtype,
    check_latent_shape,
    to_stored,
)
from ltzoo.latents.layout import Layout
from ltzoo.latents.partial import EncodingProgress, PartialFile
from ltzoo.latents.spans import count, missing, shares
from ltzoo.model import Data, LatentModel
from ltzoo.spec import format_shape

__all__ = ["ItemSource", "encode_to_file"]

Rows: TypeAlias = tuple[Data, Tensor | None, Tensor | None, Tensor | None]
"""Data, labels (int64), keys (int64) and split (uint8) of some items."""


class ItemSource(Protocol):
    """Items of data that can be read in order, from any row on, without holding them all."""

    @property
    def fields(self) -> frozenset[str]:
        """Which of ``labels``, ``keys`` and ``split`` every batch has."""
        ...

    @property
    def keys_of(self) -> str | None:
        """What the keys number, as `ltzoo.latents.LatentSet.keys_of` says it; None if nothing is known."""
        ...

    @property
    def digest(self) -> str:
        """Differs between sources whose items differ: a resumed run goes on only with the same source."""
        ...

    def __len__(self) -> int: ...

    def batches(self, start: int, size: int) -> Iterator[Rows]:
        """The items from row ``start`` on.

        A batch has at most ``size`` items, all of one shape. Batches are the same, whether reading
        starts at row 0 or at the first row of any later batch.
        """
        ...

    def starts(self, size: int) -> Sequence[int]:
        """First rows of batches, in order, row 0 among them: as many as are known without reading the items."""
        ...

    def describe(self, row: int) -> str:
        """The item's file, or its place in one, for messages."""
        ...


def encode_to_file(
    model: LatentModel,
    items: ItemSource,
    path: str | os.PathLike[str],
    *,
    batch_size: int = 64,
    dtype: torch.dtype = torch.float32,
    label_names: tuple[str, ...] | None = None,
    license: str | None = None,
    keys_of: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
    resume: bool = True,
    world: World | None = None,
    method: str | None = None,
) -> None:
    """Encodes all items into one latent set.

    Memory does not grow with the number of items. A run that was killed and is started again with the
    same arguments goes on where it was, and the file is the same as that of an undisturbed run. An
    error that starting again cannot mend leaves nothing behind.

    Several processes share the work when each calls this with the same arguments, within
    `ltzoo.distributed.process_group`; the file is the one that a single process writes. An interrupted run
    may be taken up by another number of them.

    Args:
        model: The model; it must be able to encode.
        items: What to encode.
        path: The file; an existing one is replaced at the end.
        batch_size: Items given to the model at once.
        dtype: Of the stored latents and std: ``torch.float32`` or ``torch.float16``.
        label_names: Class names by index; those of the model unless given.
        license: Licence of the data.
        keys_of: What the items' keys number; what the source says unless given.
        progress: Called with the number of items done and of all items, at the start and after each batch;
            those of other processes are counted about once a second.
        say: Called with one line when a half-done file is taken up again or given up.
        resume: Take up a half-done file, if it is of the same model and items.
        world: The processes that share the work; only this one by default.
        method: How the model encodes, where it can in several ways: only a half-done file of the same method
            is taken up again.

    Raises:
        CapabilityError: The model cannot encode.
        LatentsError: There are no items, latents are not of the model's shape or not all of one shape,
            not finite, or too large for ``dtype``, or the file cannot be written.
        MediaError: An item cannot be read.
        ElsewhereError: Another process has failed.
    """
    world = world or World()
    spec = model.spec
    if not spec.can("encode"):
        raise CapabilityError(f"{spec.id} cannot encode")
    check_dtype(dtype, where=os.fspath(path))
    if not len(items):
        raise LatentsError(f"{os.fspath(path)}: there is nothing to encode")
    names = (spec.labels if label_names is None else label_names) if "labels" in items.fields else ()
    header = LatentHeader(
        format_version=FORMAT_VERSION,
        model=spec.id,
        fingerprint=spec.fingerprint,
        label_names=names,
        license=license,
        keys_of=(keys_of or items.keys_of) if "keys" in items.fields else None,
    )
    encoder = _Encoder(model, items, dtype=dtype, labels=len(names) or None, method=method)
    layout = Layout.of(encoder.tensors(), header.metadata())
    partial = PartialFile(path, layout, encoder.goal(), world=world, say=say)
    total = len(items)

    def report() -> None:
        if progress is not None:
            progress(count(partial.done), total)

    begun = partial.begin(resume=resume)
    try:
        report()
        share = shares(missing(begun, total), items.starts(batch_size), world.size)[world.rank]
        for first, stop in share:
            for rows in _batches_between(items, first, stop, batch_size):
                partial.write(encoder.rows(rows, first_row=first), first)
                first += len(rows[0])
                report()
        partial.finish(report)
        if world.size > 1:
            report()
    except BaseException as error:
        # Starting again mends a full disk, an interruption or a file that can be read the next time; it does
        # not mend latents that cannot be stored.
        again = not isinstance(error, LatentsError) or isinstance(error.__cause__, OSError)
        partial.stop(keep=again)
        raise


def _batches_between(items: ItemSource, first: int, stop: int, size: int) -> Iterator[Rows]:
    """The batches from row ``first`` on; the last one ends at ``stop``, or where the items end."""
    for data, *columns in items.batches(first, size):
        # Batches end at a stop that is not the last, unless the run was begun with batches of another size.
        most = stop - first if stop < len(items) else None
        labels, keys, split = (None if column is None else column[:most] for column in columns)
        yield data[:most], labels, keys, split
        first += len(data)
        if stop <= first < len(items):
            return


class _Encoder:
    """Turns batches of data into rows of the file's tensors, and refuses those that do not fit."""

    def __init__(
        self,
        model: LatentModel,
        items: ItemSource,
        *,
        dtype: torch.dtype,
        labels: int | None,
        method: str | None,
    ) -> None:
        self.model = model
        self.items = items
        self.dtype = dtype
        self.labels = labels
        self.method = method
        shape = model.spec.latent.shape
        # The shape of latents that vary is that of the first item.
        self.shape = (
            tuple(size for size in shape if size is not None)
            if model.spec.latent.fixed
            else tuple(self._encode(next(iter(items.batches(0, 1)))[0], 0)[0].shape[1:])
        )

    def goal(self) -> EncodingProgress:
        """The encoding when all is done."""
        spec, n = self.model.spec, len(self.items)
        source = self.items.digest if self.method is None else f"{self.items.digest} {self.method}"
        return EncodingProgress(
            model=spec.id, fingerprint=spec.fingerprint, items=n, source=source, done=((0, n),)
        )

    def tensors(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """dtype and shape of the file's tensors."""
        n = len(self.items)
        kinds = {"latents": self.dtype, "labels": torch.int64, "keys": torch.int64, "split": torch.uint8}
        tensors: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
            name: (kinds[name], (n,)) for name in self.items.fields
        }
        tensors["latents"] = (self.dtype, (n, *self.shape))
        if self.model.spec.latent.stochastic:
            tensors["std"] = (self.dtype, (n, *self.shape))
        if self.model.spec.data.multiple > 1:
            tensors["sizes"] = (torch.int64, (n, len(self.model.spec.data.shape) - 1))
        return tensors

    def rows(self, batch: Rows, *, first_row: int) -> dict[str, Tensor]:
        """The batch's rows of each tensor, as they are stored."""
        data, labels, keys, split = batch
        latents, std = self._encode(data, first_row)
        where = self.model.spec.id
        if tuple(latents.shape[1:]) != self.shape:
            raise LatentsError(
                f"{self.items.describe(first_row)}: its latent has shape {format_shape(tuple(latents.shape[1:]))}, "
                f"but that of {self.items.describe(0)} has {format_shape(self.shape)}; "
                "all latents of a set have one shape",
                hint="bring the files to one size first",
            )
        rows = {"latents": to_stored(latents, self.dtype, "latents", where=where, first_row=first_row)}
        if std is not None:
            rows["std"] = to_stored(std, self.dtype, "std", where=where, first_row=first_row)
        if labels is not None:
            self._check_range("label", labels, UNLABELLED, self.labels, first_row)
            rows["labels"] = labels.to(torch.int64)
        if keys is not None:
            rows["keys"] = keys.to(torch.int64)
        if split is not None:
            self._check_range("split", split, 0, len(SPLITS), first_row)
            rows["split"] = split.to(torch.uint8)
        if self.model.spec.data.multiple > 1:
            assert isinstance(data, Tensor)
            rows["sizes"] = torch.tensor(data.shape[2:]).expand(len(data), -1)
        return rows

    def _check_range(self, name: str, values: Tensor, low: int, high: int | None, first_row: int) -> None:
        for index, value in enumerate(values.tolist()):
            if value < low or (high is not None and value >= high):
                raise LatentsError(
                    f"{self.items.describe(first_row + index)}: {name} {value} must be at least {low}"
                    + ("" if high is None else f" and below {high}")
                )

    @torch.no_grad()
    def _encode(self, data: Data, first_row: int) -> tuple[Tensor, Tensor | None]:
        std: Tensor | None = None
        if self.model.spec.latent.stochastic:
            latents, std = self.model.posterior(data)
        else:
            latents = self.model.encode(data)
        if len(latents) != len(data) or (std is not None and std.shape != latents.shape):
            raise LatentsError(
                f"{self.model.spec.id}: gives {len(latents)} latents for {len(data)} items, "
                f"or a std of another shape"
            )
        check_latent_shape(tuple(latents.shape[1:]), self.model.spec, where=self.items.describe(first_row))
        return latents, std
