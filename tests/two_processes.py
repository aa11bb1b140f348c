"""What each of two processes does in tests/test_distributed.py: ``torchrun two_processes.py SCENARIO FOLDER``.

Each writes what it has found to FOLDER/RANK.json.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch
from fakes import IMAGE, VARYING, FakeModel, model_spec
from toy_plugin import toy_zoo

from ltzoo import distributed
from ltzoo.distributed import process_group
from ltzoo.errors import LatentsError, LtzooError
from ltzoo.latents import encode_to_file, partial
from ltzoo.media import ArrayItems, open_items

RANK = int(os.environ["RANK"])


class Failing(FakeModel):
    """Raises, or gives NaN, in one of the processes, once it has encoded some batches and others have too."""

    def __init__(self, spec, batches: int, error: BaseException | None = None, *, rank: int = 1) -> None:
        super().__init__(spec)
        self.left = batches
        self.error = error
        self.rank = rank

    def encode(self, x):
        if self.rank != RANK:
            time.sleep(0.05)
            return super().encode(x)
        self.left -= 1
        if self.left < 0:
            time.sleep(0.2)
            if self.error is not None:
                raise self.error
            return super().encode(x) * float("nan")
        return super().encode(x)


def attempt(work) -> list[str]:
    """The error's type and message."""
    try:
        work()
    except (LtzooError, OSError, KeyboardInterrupt) as error:
        return [type(error).__name__, str(error)]
    return []


def talk(folder: Path) -> dict:
    """What the processes tell each other."""
    found: dict = {}
    with process_group() as world:
        found["world"] = [world.rank, world.size, world.is_main, world.device("cuda"), world.device("cpu")]
        world.publish("colour", ["red", "blue"][world.rank])
        found["early"] = sorted(world.published("number"))
        world.barrier()
        found["published"] = world.published("colour")
        a, b = torch.full((2, 3), float(world.rank + 1)), torch.arange(4.0, requires_grad=True)
        world.sum_([a, b])
        found["sums"] = [a.tolist(), b.tolist()]
        found["initialized"] = torch.distributed.is_initialized()
        started = time.monotonic()
        if world.rank == 1:
            time.sleep(0.3)
        polls: list[float] = []
        world.barrier(lambda: polls.append(time.monotonic()))
        found["polls"] = len(polls)
        found["waited"] = time.monotonic() - started
    found["afterwards"] = torch.distributed.is_initialized()

    def fail_together() -> None:
        with process_group() as world:
            world.barrier()
            raise LatentsError("both")

    def fail_alone() -> None:
        with process_group() as world:
            if world.rank == 1:
                raise LatentsError("one")
            world.sum_([torch.ones(3)])

    def fail_before_a_barrier() -> None:
        with process_group() as world:
            if world.rank == 0:
                raise LatentsError("main")
            world.barrier()

    found["together"] = attempt(fail_together)
    distributed.GRACE_SECONDS = 0.5
    found["alone"] = attempt(fail_alone)
    found["before a barrier"] = attempt(fail_before_a_barrier)
    with process_group() as world:
        found["again"] = world.published("colour")
    return found


def encode(folder: Path) -> dict:
    """Encodes as one process does, in the whole and after interruptions."""
    array, files = ArrayItems(folder / "data.npz", IMAGE), open_items([folder / "images"], VARYING)
    spec = model_spec(stochastic=True)
    varying = FakeModel(model_spec(data=VARYING, latent=(3, None, None)))
    found: dict = {}
    model = FakeModel(spec)
    progress: list = []

    def run(model, items, name: str, **options) -> None:
        with process_group() as world:
            encode_to_file(model, items, folder / name, batch_size=8, world=world, **options)

    run(model, array, "array", progress=lambda *counts: progress.append(counts), license="MIT")
    found["encoded"] = sum(model.batch_sizes)
    found["progress"] = [progress[0], progress[-1]]
    run(varying, files, "files")

    partial.CHECKPOINT_SECONDS = 0.0
    said: list = []
    # One process has begun it.
    found["resumed"] = attempt(lambda: run(FakeModel(spec), array, "begun by one", say=said.append))
    found["said"] = said
    # Two begin it, one of them is interrupted; one process goes on.
    interrupted = Failing(spec, 2, KeyboardInterrupt())
    found["interrupted"] = attempt(lambda: run(interrupted, array, "begun by two"))
    broken = Failing(spec, 2, OSError(5, "the network drive has gone"), rank=0)
    found["broken"] = attempt(lambda: run(broken, array, "broken"))
    found["unusable"] = attempt(lambda: run(Failing(spec, 2), array, "unusable"))
    found["unusable at main"] = attempt(lambda: run(Failing(spec, 2, rank=0), array, "unusable at main"))

    def differ() -> None:
        with process_group() as world:
            encode_to_file(model, array, folder / "differ", license=str(world.rank), world=world)

    found["differ"] = attempt(differ)
    return found


def killed(folder: Path) -> dict:
    """One process is killed; the launcher ends the other."""
    partial.CHECKPOINT_SECONDS = 0.0

    class Killed(FakeModel):
        def encode(self, x):
            time.sleep(0.02)
            if RANK == 1 and len(self.batch_sizes) == 3:
                # Not before the main process has taken note of some rows of this one, which begin at 32.
                record = folder / "killed.partial.json"
                while not record.exists() or json.loads(record.read_text())["done"][-1][1] <= 32:
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)
            return super().encode(x)

    with process_group() as world:
        items = ArrayItems(folder / "data.npz", IMAGE)
        encode_to_file(
            Killed(model_spec(stochastic=True)), items, folder / "killed", batch_size=8, world=world
        )
    return {}


def command(folder: Path) -> dict:
    """Runs the command line on the toy models."""
    from ltzoo.cli.main import run
    from ltzoo.zoo import set_default_zoo

    set_default_zoo(toy_zoo())
    sys.exit(run(sys.argv[3:]))


SCENARIOS = {"talk": talk, "encode": encode, "killed": killed, "command": command}

if __name__ == "__main__":
    torch.set_num_threads(1)
    found = SCENARIOS[sys.argv[1]](Path(sys.argv[2]))
    Path(sys.argv[2], f"{RANK}.json").write_text(json.dumps(found))
