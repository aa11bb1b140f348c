"""``ltzoo bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option, report_option
from ltzoo.cli.output import note, print_json, print_table, progress_bar, progress_wanted
from ltzoo.cli.params import MODEL
from ltzoo.cli.references import offline_option
from ltzoo.cli.train import check_models, complete_recipe, joined_name, load_latents, parse_data
from ltzoo.errors import UsageError
from ltzoo.spec import ModelSpec

if TYPE_CHECKING:
    from ltzoo.evaluation.bench_records import Bench, Standing, Way

MAX_SEED = 2**31 - 1

HEADINGS = {
    "transfer_accuracy_share": "ACCURACY",
    "clean_class_fid": "CLASS FID",
    "coverage": "COVERAGE",
    "recall": "RECALL",
    "clean_spread": "SPREAD",
    "neighbourhood_overlap": "OVERLAP",
    "noisy_cycle_r2": "NOISY CYCLE",
    "paired_r2": "PAIR R2",
    "top1_retrieval": "TOP-1",
}
"""Of the measures that are ranked by."""


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """``0,1,2`` as numbers."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and int(part) <= MAX_SEED for part in parts):
        raise click.BadParameter(f"'{value}' is not a list of seeds such as 0,1,2", context, parameter)
    seeds = tuple(int(part) for part in parts)
    if len(set(seeds)) < len(seeds):
        raise click.BadParameter(f"'{value}' lists a seed twice", context, parameter)
    return seeds


@click.command(cls=Command)
@click.argument("models", nargs=-1, required=True, type=MODEL, metavar="MODEL MODEL...")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="NAME|FILE",
    shell_complete=complete_recipe,
    help="A recipe to train with, instead of those that take minutes; can be given several times.",
)
@click.option(
    "--seeds",
    default="0,1,2",
    show_default=True,
    metavar="N,N,...",
    callback=_seeds,
    help="Of training and of measuring.",
)
@click.option("--items", type=click.IntRange(min=2), help="Held-out latents of a direction; 2000 by default.")
@click.option(
    "--data",
    multiple=True,
    metavar="MODEL=FILE",
    help="Latent set of a model; what its plugin ships by default.",
)
@click.option(
    "--labels", default="auto", show_default=True, metavar="auto|none|FILE", help="How labels correspond."
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of results and bridges; named after the models by default.",
)
@report_option
@device_option
@offline_option
@json_option
def bench(
    models: tuple[ModelSpec, ...],
    recipes: tuple[str, ...],
    seeds: tuple[int, ...],
    items: int | None,
    data: tuple[str, ...],
    labels: str,
    work: Path | None,
    report: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Train and measure every way to bridge two or more models, and rank them.

    The ways are the recipes and the references that any bridge must be seen beside: one prototype a
    class, retrieval of real latents, draws from a class, decoding and encoding again. All are measured
    on the same held-out latents by the same judges and seeds. What is done is kept in the work folder:
    the same command goes on where it was interrupted.
    """
    check_models(models)

    from ltzoo.bridge import get_recipe
    from ltzoo.evaluation.bench import BenchRunner
    from ltzoo.evaluation.protocol import Protocol
    from ltzoo.evaluation.workfolder import WorkFolder

    folder = work or Path(f"{joined_name(models)}.bench")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder}: the folder {folder.absolute().parent} does not exist")
    chosen = [get_recipe(name) for name in recipes] if recipes else None
    protocol = Protocol(seeds=seeds) if items is None else Protocol(seeds=seeds, items=items)
    given = parse_data(data, models)
    runner = BenchRunner(
        models,
        {model.id: load_latents(model, given) for model in models},
        WorkFolder(folder),
        recipes=chosen,
        labels=labels,
        protocol=protocol,
        device=device,
    )
    try:
        with progress_bar() as progress:
            found = runner.run(progress, training_bar=progress_wanted())
    except KeyboardInterrupt:
        note(f"what is done is in {folder}; give the same command again to go on")
        raise
    if report is not None:
        from ltzoo.evaluation.report import write_bench_report

        write_bench_report(report, found, runner)
        note(f"the report is {report}")
    if as_json:
        print_json("bench", found.to_dict())
    else:
        _print(found)


def _print(bench: Bench) -> None:
    measures = bench.ranking.measures
    ways = {way.name: way for way in bench.ways}
    print_table(
        ("RANK", "WAY", "PLACE", "DIRECTION", *(HEADINGS[name] for name in measures), "SECONDS"),
        [
            row
            for standing in bench.ranking.standings
            for row in _rows(standing, ways[standing.way], measures)
        ],
    )
    note(bench.ranking.rule)
    note("* = the way has it by construction; the figure does not count for it")
    for standing in bench.ranking.standings:
        note(f"{standing.way}: {standing.why}")
    for way in bench.ways:
        for direction, reason in way.unavailable.items():
            note(f"{way.name}: does not apply to {direction}: {reason}")
    for text in bench.notes:
        note(text)


def _rows(standing: Standing, way: Way, measures: tuple[str, ...]) -> list[tuple[str, ...]]:
    """One row a direction; what is the same in all stands in the first."""
    rows = []
    for index, result in enumerate(way.directions):
        first = index == 0
        cells = []
        for name in measures:
            value = result.value(name)
            mark = "*" if name in standing.left_out else ""
            cells.append("-" if value is None else f"{value:.3g}{mark}")
        rows.append(
            (
                str(standing.rank) if first else "",
                way.name if first else "",
                f"{standing.place:.2f}" if first else "",
                f"{result.source} -> {result.target}",
                *cells,
                f"{way.seconds:.1f}" if first else "",
            )
        )
    return rows
