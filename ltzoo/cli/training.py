"""What the commands that train share: their options, what they are about to do, and what comes out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ltzoo.cli.output import note, print_ids, print_json
from ltzoo.distributed import is_main
from ltzoo.errors import UsageError
from ltzoo.spec import format_shape

if TYPE_CHECKING:
    from ltzoo.bridge import Bridge, TrainingReport
    from ltzoo.latents import LatentSet

__all__ = [
    "check_new",
    "command_line",
    "keep_bridge",
    "latents_plan",
    "print_plan",
    "print_trained",
    "resumable",
    "run_options",
    "seed_option",
]

F = TypeVar("F", bound=Callable[..., Any])

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."
)


def run_options(command: F) -> F:
    """The options ``--overwrite``, ``--no-resume`` and ``--dry-run``."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
        click.option("--no-resume", is_flag=True, help="Start anew even if a checkpoint is there."),
        click.option("--overwrite", is_flag=True, help="Replace a bridge that is already at OUTPUT."),
    ):
        command = option(command)
    return command


def check_new(folder: Path, *, overwrite: bool) -> None:
    """Refuses to write over what is there, unless that is asked for.

    Raises:
        UsageError: The folder exists.
    """
    if folder.exists() and not overwrite:
        raise UsageError(f"{folder} exists already", hint="give -o ANOTHER, or --overwrite")


def latents_plan(sets: Sequence[LatentSet]) -> dict[str, dict[str, Any]]:
    """How many latents of each model are trained on, and their shapes."""
    return {
        one.model: {
            "training": len(one.part("train") if one.split is not None else one),
            "shape": format_shape(one.latent_shape),
        }
        for one in sets
    }


def print_plan(command: str, plan: dict[str, Any], *, as_json: bool) -> None:
    """Prints what would be done."""
    if as_json:
        print_json(f"{command}-plan", plan)
    elif is_main():
        for name, value in plan.items():
            click.echo(f"{name.ljust(8)}  {value}")


def command_line() -> str:
    """What the user typed, for the bridge's config."""
    return shlex.join(["ltzoo", *sys.argv[1:]])


@contextmanager
def resumable(folder: Path) -> Iterator[Path]:
    """The file that keeps the state of a run until its bridge is at ``folder``; if interrupted, says how to go on."""
    checkpoint = folder.with_name(f"{folder.name}.checkpoint.safetensors")
    try:
        yield checkpoint
    except KeyboardInterrupt:
        note(f"the checkpoint is {checkpoint}; give the same command again to go on")
        raise


def keep_bridge(bridge: Bridge, report: TrainingReport, folder: Path, checkpoint: Path, dtype: str) -> None:
    """Tells the plugins of a trained bridge, writes its folder, and removes the checkpoint."""
    import torch

    from ltzoo.zoo import default_zoo

    for _ in default_zoo().host.call("bridge_trained", bridge=bridge, report=report):
        pass
    bridge.save_pretrained(folder, dtype=torch.float16 if dtype == "float16" else torch.float32)
    checkpoint.unlink(missing_ok=True)


def print_trained(
    command: str, plan: dict[str, Any], report: TrainingReport, folder: Path, *, as_json: bool
) -> None:
    """Prints what came out of a run."""
    if as_json:
        print_json(command, {**plan, "report": report.to_dict()})
        return
    for row in report.held_out:
        accuracy = (
            "" if row.classifier_accuracy is None else f", class read from z′: {row.classifier_accuracy:.3f}"
        )
        note(
            f"{row.model}: {row.items} held-out latents, reconstruction R² {row.reconstruction_r2:.3f}{accuracy}"
        )
    note(f"{report.steps} steps in {report.seconds:.0f} s; use it with --bridge local:{folder}")
    print_ids([str(folder)])
