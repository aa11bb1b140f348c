"""A latent set's file while it grows, and the record of how far it has come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, BinaryIO

from msgspec import Meta
from torch import Tensor

from ltzoo.errors import LatentsError, SpecError
from ltzoo.files import replaceable
from ltzoo.latents.layout import Layout
from ltzoo.records import Record

__all__ = ["EncodingProgress", "PartialFile"]

CHECKPOINT_SECONDS = 1.0
"""A run that is killed loses no more than this and a batch."""


@dataclass(frozen=True, kw_only=True)
class EncodingProgress(Record):
    """How far an encoding has come, and what it is an encoding of.

    Attributes:
        model: Id of the model.
        fingerprint: Of the model.
        items: Number of all items.
        source: Digest of the items' source.
        done: Number of items that are in the file.
    """

    model: str
    fingerprint: str
    items: Annotated[int, Meta(ge=0)]
    source: str
    done: Annotated[int, Meta(ge=0)]


class PartialFile:
    """``PATH.partial`` and ``PATH.partial.json``: rows are added in order; at the end ``PATH`` is there.

    Args:
        path: The file that is to be.
        layout: Where its tensors lie.
        goal: The progress record when all is done.
        say: Called with one line when a half-done file is taken up again or given up.

    Raises:
        LatentsError: ``path`` cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layout: Layout,
        goal: EncodingProgress,
        *,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.name = os.fspath(path)
        self.layout = layout
        self.goal = goal
        self.done = 0
        self._say = say or (lambda line: None)
        self._file: BinaryIO | None = None
        self._saved_at = 0.0
        try:
            self.target = replaceable(path)
        except OSError as error:
            raise self._failed(error) from error
        if self.target.exists() and not self.target.is_file():
            raise LatentsError(f"{self.name}: cannot be written piece by piece: it is not a regular file")
        self.partial = Path(f"{self.target}.partial")
        self.record = Path(f"{self.target}.partial.json")
        self._next_record = Path(f"{self.target}.partial.json.new")

    def begin(self, *, resume: bool) -> int:
        """Opens the file, new or half done, and gives the number of items that are in it."""
        try:
            self.done = self._resumable() if resume else 0
            if not self.done:
                self._create()
            self._file = self.partial.open("r+b")
        except OSError as error:
            raise self._failed(error) from error
        self._saved_at = time.monotonic()
        return self.done

    def write(self, rows: Mapping[str, Tensor]) -> int:
        """Adds the next rows of every tensor and gives the number of items done."""
        assert self._file is not None
        count = len(rows["latents"])
        if self.done + count > self.goal.items or rows.keys() != self.layout.places.keys():
            raise LatentsError(
                f"{self.name}: got rows {sorted(rows)} up to item {self.done + count}, unannounced"
            )
        try:
            for name, place in self.layout.places.items():
                self._file.seek(place.offset + self.done * place.row_bytes)
                self._file.write(rows[name].contiguous().numpy().tobytes())
            self.done += count
            if time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
                self._checkpoint()
        except OSError as error:
            raise self._failed(error) from error
        return self.done

    def finish(self) -> None:
        """Puts the whole file in its place."""
        assert self._file is not None
        try:
            self._sync()
            self._file.close()
            os.replace(self.partial, self.target)
            self._forget()
        except OSError as error:
            raise self._failed(error) from error

    def stop(self, *, keep: bool) -> None:
        """Closes a file that is not finished; kept if there is something to go on from."""
        # Another error is on its way, and says more than that the disk is full.
        with suppress(OSError):
            if self._file is not None and not self._file.closed:
                if keep and self.done:
                    self._checkpoint()
                self._file.close()
        if not (keep and self.done):
            with suppress(OSError):
                self._forget()
                self.partial.unlink(missing_ok=True)

    def _resumable(self) -> int:
        """How many items of a half-done file can be kept."""
        if not self.record.exists() or not self.partial.exists():
            return 0
        try:
            begun = EncodingProgress.from_json(self.record.read_bytes(), where=str(self.record))
        except SpecError:
            self._say(f"{self.partial}: its record is not readable; starting again")
            return 0
        differs = [
            what
            for what in ("model", "fingerprint", "items", "source")
            if getattr(begun, what) != getattr(self.goal, what)
        ]
        with self.partial.open("rb") as file:
            header = file.read(len(self.layout.header))
        if differs:
            self._say(f"{self.partial}: begun with another {' and '.join(differs)}; starting again")
        elif header != self.layout.header or self.partial.stat().st_size != self.layout.size:
            self._say(f"{self.partial}: begun with another dtype, labels or licence; starting again")
        elif 0 < begun.done <= self.goal.items:
            self._say(f"{self.partial}: going on after {begun.done} of {self.goal.items} items")
            return begun.done
        return 0

    def _create(self) -> None:
        # The record goes first: at no moment does it describe another file than the one beside it.
        self._forget()
        with self.partial.open("wb") as file:
            file.write(self.layout.header)
            file.truncate(self.layout.size)

    def _forget(self) -> None:
        self.record.unlink(missing_ok=True)
        self._next_record.unlink(missing_ok=True)

    def _checkpoint(self) -> None:
        self._sync()
        # A name of its own, not a random one: a run that is killed here must not leave litter.
        self._next_record.write_text(replace(self.goal, done=self.done).to_json(), encoding="utf-8")
        os.replace(self._next_record, self.record)
        self._saved_at = time.monotonic()

    def _sync(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())

    def _failed(self, error: OSError) -> LatentsError:
        return LatentsError(f"{self.name}: cannot be written: {error.strerror or error}")
