"""``ltzoo eval``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option, report_option
from ltzoo.cli.output import note, print_json, print_table, progress_bar
from ltzoo.cli.params import BRIDGE
from ltzoo.cli.references import offline_option, pin
from ltzoo.cli.train import load_latents, parse_data
from ltzoo.errors import LtzooError, UsageError

if TYPE_CHECKING:
    from ltzoo.evaluation.protocol import DirectionResult, Evaluation, Figure

LOCAL = "local:"
BETTER = {"higher": "up", "lower": "down", "one": "1"}


@click.command(cls=Command)
@click.argument("bridge", type=BRIDGE)
@click.option(
    "--data",
    multiple=True,
    metavar="MODEL=FILE",
    help="Latent set of a model; what its plugin ships by default.",
)
@click.option("--items", type=click.IntRange(min=2), help="Held-out latents of a direction; 2000 by default.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 3), default=0, show_default=True, help="First of three seeds."
)
@click.option("--sample", is_flag=True, help="Draw the shared latent rather than take its mean.")
@click.option(
    "--require", metavar="LIST", help='Exit 1 unless every direction keeps this: "transfer_accuracy>=0.9,..."'
)
@click.option("--write", is_flag=True, help="Store the figures in the bridge's config.json and card.")
@report_option
@device_option
@offline_option
@json_option
def evaluate(
    bridge: str,
    data: tuple[str, ...],
    items: int | None,
    seed: int,
    sample: bool,
    require: str | None,
    write: bool,
    report: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Measure BRIDGE on held-out latents, with true labels and a judge that nothing was trained on.

    BRIDGE is an id of 'ltzoo bridges', local:PATH, hf:org/repo, or hf:org/repo@commit. Each figure is the mean of
    three seeds, with its deviation over them and the 95 % interval over items.
    """
    if write and not bridge.startswith(LOCAL):
        raise UsageError(f"--write changes the bridge's files, so it takes {LOCAL}PATH, not '{bridge}'")

    from ltzoo.bridge import load_bridge
    from ltzoo.evaluation.gates import parse_requirements, shortfalls
    from ltzoo.evaluation.measuring import bridge_workbench, evaluate_bridge
    from ltzoo.evaluation.protocol import Protocol
    from ltzoo.zoo import get_model

    requirements = parse_requirements(require) if require is not None else ()
    bridge = pin(bridge)
    used = load_bridge(bridge, device=device)
    models = tuple(get_model(model) for model in used.models)
    given = parse_data(data, models)
    seeds = (seed, seed + 1, seed + 2)
    protocol = (
        Protocol(seeds=seeds, sample=sample)
        if items is None
        else Protocol(seeds=seeds, sample=sample, items=items)
    )
    latents = {model.id: load_latents(model, given) for model in models}
    workbench = bridge_workbench(used, protocol=protocol, latents=latents, device=device)
    with progress_bar() as progress:
        evaluation = evaluate_bridge(used, name=bridge, workbench=workbench, progress=progress)
    if report is not None:
        from ltzoo.evaluation.report import write_bridge_report

        write_bridge_report(report, used, evaluation, workbench)
        note(f"the report is {report}")
    if write:
        from ltzoo.evaluation.recording import record

        folder = Path(bridge.removeprefix(LOCAL)).expanduser()
        record(used, evaluation, folder, command=shlex.join(["ltzoo", *sys.argv[1:]]))
    if as_json:
        print_json("evaluation", evaluation.to_dict())
    else:
        _print(evaluation)
    if short := shortfalls(requirements, evaluation.directions):
        raise LtzooError("the bridge falls short: " + "; ".join(short))


def _print(evaluation: Evaluation) -> None:
    rows = [_row(figure) for figure in evaluation.figures]
    print_table(("MEASURE", "DIRECTION", "VALUE", "STD", "95 %", "N", "BETTER"), rows)
    for text in evaluation.notes:
        note(text)
    for direction in evaluation.directions:
        for text in _omissions(direction):
            note(text)
    note(f"measured in {evaluation.seconds:.0f} s")


def _row(figure: Figure) -> tuple[str, ...]:
    from ltzoo.evaluation.measures import get_measure

    measure = get_measure(figure.name)
    return (
        figure.name,
        f"{figure.source} -> {figure.target}",
        f"{figure.value:.4g}",
        "-" if figure.std is None else f"{figure.std:.2g}",
        "-" if figure.low is None else f"{figure.low:.4g} .. {figure.high:.4g}",
        str(figure.n),
        BETTER[measure.better] if measure else "-",
    )


def _omissions(direction: DirectionResult) -> list[str]:
    """One line a reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in direction.omitted.items():
        by_reason.setdefault(reason, []).append(name)
    where = f"{direction.source} -> {direction.target}"
    return [f"{where}: not measured: {', '.join(names)} ({reason})" for reason, names in by_reason.items()]
