"""Several processes that do one job, as ``torchrun`` and ``accelerate launch`` start them.

They tell each process its place in ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``. Without these there is one process,
and nothing here does or imports anything. torch is imported where processes talk to each other.

If one process fails, all do: the first to fail keeps its error, and the others get an `ElsewhereError` the next time
that they wait for it or ask. What the first one says is all that is said.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ltzoo.errors import ElsewhereError, LtzooError, UsageError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

__all__ = ["World", "await_the_first", "first_to_say", "is_main", "process_group"]

JOIN_SECONDS = 300.0
"""How long the processes wait for each other at the start."""
LONGEST_SECONDS = 86_400.0
"""How long one waits for the others later on; a process that dies is noticed long before."""
GRACE_SECONDS = 10.0
"""How long a process that fails waits for the others to put away what they have in hand."""
LAST_WORDS_SECONDS = 5.0
"""How long a process that has nothing to say leaves the one that has."""
POLL_SECONDS = 0.02

_groups = 0


class World:
    """The processes that do one job, seen by one of them; by default it is alone.

    Args:
        rank: Its place among all processes, from 0.
        size: How many there are.
        local_rank: Its place among those on this machine.
        store: What they share, one that no other job uses; none if the process is alone.

    Attributes:
        rank, size, local_rank: As given.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0, store: Store | None = None) -> None:
        self.rank = rank
        self.size = size
        self.local_rank = local_rank
        self._store = store
        self._barriers = 0

    def __repr__(self) -> str:
        return f"World(process {self.rank} of {self.size})"

    @classmethod
    def from_environment(cls) -> World:
        """The process's place as the launcher gives it; it cannot reach the others yet.

        Raises:
            UsageError: The variables make no sense.
        """
        texts = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
        if texts["RANK"] is None or texts["WORLD_SIZE"] is None:
            return cls()
        try:
            rank, size, local_rank = (int(text or 0) for text in texts.values())
        except ValueError:
            rank, size, local_rank = -1, 0, 0
        if not 0 <= rank < size or local_rank < 0:
            raise UsageError(
                "the environment names no process of a group: "
                + ", ".join(f"{name}={text}" for name, text in texts.items()),
                hint="start the processes with torchrun or accelerate launch, or unset these variables",
            )
        return cls(rank, size, local_rank)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device that this process computes on where ``name`` is asked for: each has a ``cuda`` of its own."""
        return f"cuda:{self.local_rank}" if name == "cuda" and self.size > 1 else name

    def publish(self, name: str, text: str) -> None:
        """Leaves a text where the others find it, in place of the last one of that name by this process."""
        if self._store is not None:
            with self._in_touch():
                self._store.set(f"{name}/{self.rank}", text)

    def published(self, name: str) -> dict[int, str]:
        """What other processes have left under that name, by their ranks."""
        if self._store is None:
            return {}
        with self._in_touch():
            keys = {rank: f"{name}/{rank}" for rank in range(self.size) if rank != self.rank}
            return {
                rank: self._store.get(key).decode() for rank, key in keys.items() if self._store.check([key])
            }

    def check(self) -> None:
        """Makes sure that no other process has failed.

        Raises:
            ElsewhereError: One has.
        """
        if self._store is not None:
            with self._in_touch():
                self._raise_failure()

    def barrier(self, poll: Callable[[], None] | None = None) -> None:
        """Waits until every process has come here.

        Args:
            poll: Called again and again while waiting.

        Raises:
            ElsewhereError: Another process has failed.
        """
        if self._store is None:
            return
        self._barriers += 1
        key = f"barriers/{self._barriers}"
        deadline = time.monotonic() + LONGEST_SECONDS
        with self._in_touch():
            self._store.add(key, 1)
            while True:
                # Asked in this order: one that has been here, gone on and failed since must not hold up the others.
                failed = self._store.check(["failures"])
                if self._store.add(key, 0) >= self.size:
                    return
                if failed:
                    self._raise_failure()
                if poll is not None:
                    poll()
                if time.monotonic() > deadline:
                    raise LtzooError(f"the other processes have not come for {LONGEST_SECONDS:.0f} s")
                time.sleep(POLL_SECONDS)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes, all in one exchange.

        Every process must call it with tensors of the same shapes, dtypes and kinds of device, in the same order;
        afterwards all have the same bits.

        Raises:
            ElsewhereError: Another process has failed.
            LtzooError: Another process is gone.
        """
        if self._store is None:
            return
        import torch
        import torch.distributed as dist

        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        with self._in_touch():
            dist.all_reduce(flat)
        with torch.no_grad():
            for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))

    @contextmanager
    def _in_touch(self) -> Iterator[None]:
        """Says what it means if the others cannot be reached."""
        try:
            yield
        except RuntimeError as error:
            cause = str(error).splitlines()[0]
            with suppress(RuntimeError):
                # One that failed leaves when it has waited long enough for those that do not ask.
                self._raise_failure()
            raise LtzooError(f"another process of this run is gone ({cause})") from error

    def _raise_failure(self) -> None:
        assert self._store is not None
        if self._store.check(["failures"]):
            raise ElsewhereError("another process of this run has failed")

    def _leave(self, error: BaseException) -> bool:
        """Tells the others of an error, and waits until they have left too; gives whether it is the first one."""
        assert self._store is not None
        first = False
        with suppress(RuntimeError):
            if not isinstance(error, ElsewhereError):
                first = self._store.add("failures", 1) == 1
            self._store.add("left", 1)
            deadline = time.monotonic() + GRACE_SECONDS
            while self._store.add("left", 0) < self.size and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        return first


@contextmanager
def process_group() -> Iterator[World]:
    """Joins the processes of this run for the length of the block; all leave it together.

    A process group of torch is there meanwhile: gloo for tensors in memory, and NCCL for those on CUDA devices.
    Alone, nothing is set up.

    Yields:
        This process's `World`.

    Raises:
        UsageError: The launcher's variables make no sense.
        LtzooError: The others cannot be reached.
        ElsewhereError: The block of another process raised first.
    """
    place = World.from_environment()
    if place.size == 1:
        yield place
        return
    import datetime

    import torch
    import torch.distributed as dist

    # Default arguments there keep the group that exists at the import, which an optimiser's first step does; then nobody
    # would notice before its end that this process has left.
    import torch.distributed.nn.functional
    from torch.distributed.distributed_c10d import PrefixStore

    global _groups
    _groups += 1
    try:
        # Keys of its own for every group: what a store holds, it holds until the end.
        store = PrefixStore(f"ltzoo/{_groups}", _store(JOIN_SECONDS))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=PrefixStore("torch", store),
            rank=place.rank,
            world_size=place.size,
            timeout=datetime.timedelta(seconds=LONGEST_SECONDS),
        )
    except (RuntimeError, ValueError) as error:
        raise LtzooError(
            f"process {place.rank} of {place.size} cannot join the others: {str(error).splitlines()[0]}",
            hint="start the processes with torchrun or accelerate launch",
        ) from error
    world = World(place.rank, place.size, place.local_rank, store)
    try:
        yield world
        world.barrier()
    except BaseException as error:
        if world._leave(error) or isinstance(error, ElsewhereError):
            raise
        raise ElsewhereError("another process of this run has failed before") from error
    finally:
        dist.destroy_process_group()


def is_main() -> bool:
    """Whether this process speaks for all: it is alone, or the first of several."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def first_to_say(text: str) -> bool:
    """Whether no other process has asked for that text, so that what all find out is said once.

    Without an agent, which torchrun and accelerate have, nobody is there to ask, and every process is the first.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    import hashlib

    key = f"ltzoo/said/{hashlib.sha256(text.encode()).hexdigest()}"
    try:
        return bool(_store(GRACE_SECONDS).add(key, 1) == 1)
    except (RuntimeError, ValueError):
        return True


def await_the_first() -> None:
    """Gives the process that failed first the time to say why and to end.

    When it ends, the launcher ends this one; if this one ended before, the launcher would end that one, perhaps in
    mid-sentence.
    """
    time.sleep(LAST_WORDS_SECONDS)


def _store(seconds: float) -> Store:
    """The store that the launcher's variables name; it gives up after that time."""
    import datetime

    from torch.distributed.rendezvous import rendezvous

    store: Store = next(iter(rendezvous("env://", timeout=datetime.timedelta(seconds=seconds))))[0]
    return store
