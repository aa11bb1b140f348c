"""What each of several processes does in tests/test_distributed_training.py: ``torchrun training_processes.py ...``.

Arguments are a scenario and a folder; each process writes what it has found to FOLDER/RANK.json.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from bridge_samples import make_latents, make_spec, plain_recipe, tiny_recipe
from safetensors.torch import save_file
from toy_plugin import toy_zoo

from ltzoo import distributed
from ltzoo.bridge import get_recipe, train_bridge
from ltzoo.bridge.networks import make_architecture, make_network
from ltzoo.bridge.randomness import Purpose, generator
from ltzoo.bridge.run import Run
from ltzoo.bridge.sharding import ShardedNetwork
from ltzoo.distributed import World, process_group
from ltzoo.errors import LtzooError, TrainingError

A, B, C = make_spec("a"), make_spec("b"), make_spec("c", size=6)
SETS = [make_latents(A), make_latents(B, seed=1), make_latents(C, seed=2)]
# Of some latents the class has to be inferred.
PARTLY = replace(SETS[0], labels=torch.where(torch.arange(60) % 4 > 0, SETS[0].labels, -1))
UNLABELLED = [make_latents(spec, seed=seed, labelled=False) for seed, spec in enumerate((A, B))]

SOME_PAIRS = [replace(one, keys=torch.arange(len(one)), keys_of="things") for one in SETS[1:]]
PAIRED = [replace(one, keys=torch.arange(len(one)), keys_of="things") for one in UNLABELLED]

RUNS = {
    # 5 and 2 turns of 3 classes: shares of 2 and 3 processes are uneven, and one of 3 has nothing to do.
    "default": {"latents": [PARTLY, *SETS[1:]], "models": (A, B, C), "recipe": tiny_recipe(batch=15)},
    "few rows": {"latents": SETS[:2], "models": (A, B), "recipe": tiny_recipe(batch=6)},
    "no classes": {"latents": UNLABELLED, "models": (A, B), "recipe": tiny_recipe(batch=13)},
    "pairs": {"latents": PAIRED, "models": (A, B), "recipe": tiny_recipe(batch=13)},
    # The second and the third have pairs, so that the pair term stands beside the others.
    "some pairs": {
        "latents": [SETS[0], *SOME_PAIRS],
        "models": (A, B, C),
        "recipe": tiny_recipe(batch=15, pair_weight=1),
    },
    "plain": {"latents": SETS, "models": (A, B, C), "recipe": plain_recipe(cycle_weight=0.5)},
    "paper": {
        "latents": SETS[:2],
        "models": (A, B),
        # 32 rows are no whole turns of 3 classes.
        "recipe": get_recipe("tian-engel-2019", steps=30, batch=32, width=16, projections=16),
    },
}


def train(name: str, folder: Path | None = None, world: World | None = None, **options):
    """One of the runs; with a folder, weights go to FOLDER/NAME.RANK."""
    bridge, report = train_bridge(**{**RUNS[name], **options}, world=world)
    if folder is not None:
        save_file(bridge.network.state_dict(), folder / f"{name}.{world.rank if world else 'one'}")
    return bridge, report


def gradients(world: World | None = None) -> dict[str, torch.Tensor]:
    """Of a loss that mixes rows between one call of the network and the next."""
    network = make_network(make_architecture(tiny_recipe(), (4, 6), 3))
    rng = generator(0, Purpose.WEIGHTS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(rng.standard_normal(parameter.shape)) / 4)
    network.double()
    x = torch.from_numpy(rng.standard_normal((15, 4))).requires_grad_()
    calls = ShardedNetwork(network, world) if world else network
    mean, std = calls.encode(x, 0, known=True)
    other = calls.decode((mean + std).flip(0)[:12], 1)
    (
        calls.inference_logits(other, 1).square().sum() + calls.encode(other, 1)[0].cumsum(0).square().sum()
    ).backward()
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    if world:
        world.sum_(list(found.values()))
    return {**found, "input": x.grad}


def same(folder: Path) -> dict:
    """Trains as one process does."""
    found: dict = {}
    for name in sys.argv[3:] or RUNS:
        with process_group() as world:
            bridge, report = train(name, folder, world)
        found[name] = {"report": report.to_dict(), "trained": bridge.config.trained.to_dict()}
    with process_group() as world:
        save_file(gradients(world), folder / f"gradients.{world.rank}")
    return found


def attempt(work) -> list[str]:
    """The error's type and message."""
    try:
        with process_group() as world:
            work(world)
    except (LtzooError, KeyboardInterrupt, RuntimeError) as error:
        return [type(error).__name__, str(error)]
    return []


class Patched:
    """Something that happens in one process before one of the steps, or before each."""

    def __init__(self, rank: int, step: int | None, act) -> None:
        self.rank, self.step, self.act = rank, step, act

    def __enter__(self) -> None:
        self.advance = advance = Run.advance

        def advance_and_act(run) -> None:
            if self.step in (None, run.step) and run.world.rank == self.rank:
                self.act()
            advance(run)

        Run.advance = advance_and_act

    def __exit__(self, *exception) -> None:
        Run.advance = self.advance


def interrupted(folder: Path) -> dict:
    """One process is interrupted, all stop; they go on together, and one where several have begun."""
    found: dict = {}
    for name, rank, number in (("term", 1, signal.SIGTERM), ("ctrl-c", 0, signal.SIGINT)):
        path = folder / f"{name}.checkpoint"
        with Patched(rank, 11, lambda number=number: os.kill(os.getpid(), number)):
            found[name] = attempt(lambda world, path=path: train("default", world=world, checkpoint=path))
        found[f"{name} kept"] = path.exists()
    found["handlers"] = [
        signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
    ]
    for name, file in (("resumed", "term"), ("begun by one", "begun by one")):
        with process_group() as world:
            # What only the main process can see is enough.
            path = folder / f"{file}.checkpoint" if world.is_main else folder / "elsewhere"
            _, report = train("default", folder, world, checkpoint=path)
        found[name] = report.to_dict()
        os.rename(folder / f"default.{world.rank}", folder / f"{name}.{world.rank}")
    return found


def failing(folder: Path) -> dict:
    """One process fails, or is asked for something else."""
    found: dict = {}
    distributed.GRACE_SECONDS = 0.5

    def fail() -> None:
        raise TrainingError("this one fails")

    for rank in (0, 1):
        with Patched(rank, 5, fail):
            found[f"failing {rank}"] = attempt(lambda world: train("default", world=world))
    found["differ"] = attempt(lambda world: train("default", world=world, seed=world.rank))
    path = folder / "run"
    path.write_text("no checkpoint")
    found["damaged"] = attempt(lambda world: train("default", world=world, checkpoint=path))
    return found


def command(folder: Path) -> dict:
    """Runs the command line on the toy models; with PRESS in the environment, the launcher gets a Ctrl-C."""
    from ltzoo.cli.main import run
    from ltzoo.zoo import set_default_zoo

    set_default_zoo(toy_zoo())
    if "PRESS" in os.environ:
        with Patched(0, int(os.environ["PRESS"]), lambda: os.kill(os.getppid(), signal.SIGINT)):
            sys.exit(run(sys.argv[3:]))
    sys.exit(run(sys.argv[3:]))


SCENARIOS = {"same": same, "interrupted": interrupted, "failing": failing, "command": command}

if __name__ == "__main__":
    torch.set_num_threads(1)
    found = SCENARIOS[sys.argv[1]](Path(sys.argv[2]))
    Path(sys.argv[2], f"{os.environ['RANK']}.json").write_text(json.dumps(found))
