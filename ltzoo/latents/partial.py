"""A latent set's file while it grows, and the record of how far it has come.

Several processes may write into it, each its own rows; the main one keeps the record for all.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, BinaryIO

from msgspec import Meta
from torch import Tensor

from ltzoo.distributed import World
from ltzoo.errors import LatentsError, LtzooError, SpecError
from ltzoo.files import replaceable
from ltzoo.latents.layout import Layout
from ltzoo.latents.spans import Span, count, union
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
        done: The rows that are in the file, as spans ``(first, stop)``.
    """

    model: str
    fingerprint: str
    items: Annotated[int, Meta(ge=0)]
    source: str
    done: tuple[tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]], ...]

    def __post_init__(self) -> None:
        if any(not first < stop <= self.items for first, stop in self.done):
            raise SpecError(f"spans {self.done} of {self.items} items")


class PartialFile:
    """``PATH.partial`` and ``PATH.partial.json``: rows are added in any order; at the end ``PATH`` is there.

    Args:
        path: The file that is to be.
        layout: Where its tensors lie.
        goal: The progress record when all is done.
        world: The processes that write it; all see it under the same path.
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
        world: World | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.name = os.fspath(path)
        self.layout = layout
        self.goal = goal
        self.world = world or World()
        self._begun: tuple[Span, ...] = ()
        self._own: tuple[Span, ...] = ()
        self._others: tuple[Span, ...] = ()
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

    @property
    def done(self) -> tuple[Span, ...]:
        """The rows that are in the file; of those of other processes, the ones that the record has."""
        return union((*self._begun, *self._own, *self._others))

    def begin(self, *, resume: bool) -> tuple[Span, ...]:
        """Opens the file, new or half done, and gives the rows that were in it before any process began."""
        self._agree()
        try:
            if self.world.is_main:
                self._begun = self._resumable() if resume else ()
                if not self._begun:
                    self._create()
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._open()
        except BaseException as error:
            # What was taken up stays as it was.
            self.stop(keep=True)
            if isinstance(error, OSError):
                raise self._failed(error) from error
            raise
        self._saved_at = time.monotonic()
        return self._begun

    def _agree(self) -> None:
        """Makes sure that all processes write the same, and that what they said of an earlier file is forgotten."""
        plan = hashlib.sha256(self.layout.header).hexdigest()
        self.world.publish("plan", plan)
        self.world.publish("done", "[]")
        self.world.barrier()
        for rank, theirs in self.world.published("plan").items():
            if theirs != plan:
                raise LatentsError(
                    f"{self.name}: processes {self.world.rank} and {rank} do not see the same items",
                    hint="give all processes the same arguments and data",
                )

    def _open(self) -> None:
        if self.world.is_main:
            self.world.publish("begun", json.dumps(self._begun))
        self.world.barrier()
        if not self.world.is_main:
            self._begun = _spans(json.loads(self.world.published("begun")[0]))
            if not self.partial.exists():
                raise LatentsError(
                    f"{self.partial}: process {self.world.rank} does not see the file of process 0",
                    hint="write to a folder that all machines share",
                )
        self._file = self.partial.open("r+b")

    def write(self, rows: Mapping[str, Tensor], first: int) -> None:
        """Puts rows of every tensor in their place: those from row ``first`` on."""
        assert self._file is not None
        stop = first + len(rows["latents"])
        if stop > self.goal.items or rows.keys() != self.layout.places.keys():
            raise LatentsError(f"{self.name}: got rows {sorted(rows)} up to item {stop}, unannounced")
        try:
            for name, place in self.layout.places.items():
                self._file.seek(place.offset + first * place.row_bytes)
                self._file.write(rows[name].contiguous().numpy().tobytes())
            self._own = union((*self._own, (first, stop)))
            self.keep_record()
        except OSError as error:
            raise self._failed(error) from error

    def keep_record(self) -> None:
        """Brings the record up to date, if the last time was long enough ago."""
        if time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            self.world.check()
            self._checkpoint()

    def finish(self, poll: Callable[[], None] | None = None) -> None:
        """Puts the whole file in its place, once all processes have done their part.

        Args:
            poll: Called again and again while waiting for them.
        """

        def wait() -> None:
            if self.world.is_main:
                self.keep_record()
            if poll is not None:
                poll()

        assert self._file is not None
        try:
            if self.world.size == 1:
                self._sync()
            else:
                self._checkpoint()
            if not self.world.is_main:
                self._file.close()
            self.world.barrier(wait)
            if not self.world.is_main:
                return
            self._collect()
            if count(self.done) != self.goal.items:
                raise LatentsError(
                    f"{self.name}: {self.goal.items} items were announced, but {count(self.done)} came"
                )
            self._file.close()
            os.replace(self.partial, self.target)
            self._forget()
        except OSError as error:
            raise self._failed(error) from error

    def stop(self, *, keep: bool) -> None:
        """Closes a file that is not finished; kept if there is something to go on from.

        The main process does that for all: it heeds what another one has said of its rows before it left.
        """
        # Another error is on its way, and says more than that the disk is full or the others are gone.
        with suppress(LtzooError):
            if not keep:
                self.world.publish("unusable", "")
            elif self.world.published("unusable"):
                keep = False
        with suppress(OSError, LtzooError):
            if self._file is not None and not self._file.closed:
                if keep and self.done:
                    self._checkpoint()
                self._file.close()
        if self.world.is_main and not (keep and self.done):
            with suppress(OSError):
                self._forget()
                self.partial.unlink(missing_ok=True)

    def _resumable(self) -> tuple[Span, ...]:
        """The rows of a half-done file that can be kept."""
        if not self.record.exists() or not self.partial.exists():
            return ()
        try:
            begun = EncodingProgress.from_json(self.record.read_bytes(), where=str(self.record))
        except SpecError:
            self._say(f"{self.partial}: its record is not readable; starting again")
            return ()
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
        elif begun.done:
            self._say(f"{self.partial}: going on after {count(begun.done)} of {self.goal.items} items")
            return begun.done
        return ()

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
        self._saved_at = time.monotonic()
        if not self.world.is_main:
            self.world.publish("done", json.dumps(self._own))
            return
        self._collect()
        # A name of its own, not a random one: a run that is killed here must not leave litter.
        self._next_record.write_text(replace(self.goal, done=self.done).to_json(), encoding="utf-8")
        os.replace(self._next_record, self.record)

    def _collect(self) -> None:
        """Takes note of what other processes have written and flushed."""
        self._others = union(
            span for text in self.world.published("done").values() for span in _spans(json.loads(text))
        )

    def _sync(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())

    def _failed(self, error: OSError) -> LatentsError:
        return LatentsError(f"{self.name}: cannot be written: {error.strerror or error}")


def _spans(pairs: list[list[int]]) -> tuple[Span, ...]:
    """Spans as JSON gives them."""
    return tuple((first, stop) for first, stop in pairs)
