"""Pages: an evaluation's or a bench's figures and exhibits, rendered to one HTML file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from ltzoo.bridge.bridge import Bridge
from ltzoo.errors import LtzooError
from ltzoo.evaluation.bench import BenchRunner
from ltzoo.evaluation.bench_records import Bench, Way
from ltzoo.evaluation.measures import get_measure
from ltzoo.evaluation.protocol import Evaluation
from ltzoo.evaluation.report.exhibits import Exhibit, exhibit
from ltzoo.evaluation.report.pictures import SOUND_SECONDS
from ltzoo.evaluation.report.views import SharedView, Training, pareto, shared_view, training
from ltzoo.evaluation.translation import Translator
from ltzoo.evaluation.workbench import Workbench
from ltzoo.files import replacing

__all__ = ["LIMIT", "write_bench_report", "write_bridge_report"]

LIMIT = 10_000_000
"""Bytes that a report may have."""

COLUMNS = (10, 6, 3, 1)
"""Items a grid; fewer are shown where the file would be too large."""

BETTER = {"higher": "more is better", "lower": "less is better", "one": "1 is best"}


@dataclass(frozen=True)
class WayPart:
    """What a bench's report shows of one way."""

    way: Way
    exhibits: list[Exhibit]
    view: SharedView | None
    training: Training | None


def write_bridge_report(path: Path, bridge: Bridge, evaluation: Evaluation, workbench: Workbench) -> None:
    """Writes what was measured of a bridge, and what it does.

    Args:
        path: The HTML file; it appears whole or not at all.
        bridge: The bridge.
        evaluation: What was measured of it.
        workbench: What it was measured on.

    Raises:
        LtzooError: The file cannot be written, or would be too large.
    """
    view = shared_view(bridge, workbench)

    def render(columns: int) -> str:
        exhibits = _exhibits(bridge, workbench, evaluation.models, columns)
        return _render(
            "bridge.html", evaluation=evaluation, config=bridge.config, exhibits=exhibits, view=view
        )

    _write(path, render)


def write_bench_report(path: Path, bench: Bench, runner: BenchRunner) -> None:
    """Writes what a bench found, and what each way does.

    Args:
        path: The HTML file; it appears whole or not at all.
        bench: What was found.
        runner: Gives the ways themselves.

    Raises:
        LtzooError: The file cannot be written, or would be too large.
        BridgeError: A bridge in the work folder cannot be read.
    """
    workbench = runner.workbench
    ways = {way.name: way for way in bench.ways}
    directions = list(itertools.permutations(bench.models, 2))
    fronts = [pareto(bench, source, target) for source, target in directions]
    standings = [(standing, ways[standing.way]) for standing in bench.ranking.standings]

    def render(columns: int) -> str:
        parts = [_way_part(way, runner, workbench, columns) for way in bench.ways if way.directions]
        return _render("bench.html", bench=bench, standings=standings, fronts=fronts, parts_of_ways=parts)

    _write(path, render)


def _way_part(way: Way, runner: BenchRunner, workbench: Workbench, columns: int) -> WayPart:
    translator = runner.translator(way)
    report = runner.training(way)
    exhibits = [
        exhibit(translator, one.source, one.target, workbench, columns=columns) for one in way.directions
    ]
    return WayPart(
        way=way,
        exhibits=exhibits,
        view=shared_view(translator, workbench) if isinstance(translator, Bridge) else None,
        training=training(report) if report else None,
    )


def _exhibits(
    translator: Translator, workbench: Workbench, models: tuple[str, ...], columns: int
) -> list[Exhibit]:
    return [
        exhibit(translator, source, target, workbench, columns=columns)
        for source, target in itertools.permutations(models, 2)
    ]


def _write(path: Path, render: Callable[[int], str]) -> None:
    """Renders with as many items as fit."""
    for columns in COLUMNS:
        content = render(columns).encode()
        if len(content) < LIMIT:
            break
    else:
        raise LtzooError(f"{path}: the report would have {len(content) / 1e6:.0f} MB; 10 MB is the limit")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise LtzooError(f"{path}: cannot be written: {error.strerror or error}") from error


def _render(template: str, **content: Any) -> str:
    return _environment().get_template(template).render(sound_seconds=SOUND_SECONDS, **content)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ltzoo.evaluation.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(measure=_title, better=_better, figure=_figure, reasons=_reasons)
    return environment


def _title(name: str) -> str:
    return name.replace("_", " ")


def _better(name: str) -> str:
    measure = get_measure(name)
    return BETTER[measure.better] if measure else ""


def _figure(value: float | None, beside: float | None = None) -> str:
    """A number with as many decimals as its size, or that of the one that it stands beside, asks for."""
    if value is None:
        return "–"
    size = abs(value if beside is None else beside)
    return f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def _reasons(omitted: dict[str, str]) -> list[tuple[str, str]]:
    """The measures that were omitted, by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in omitted.items():
        by_reason.setdefault(reason, []).append(_title(name))
    return [(", ".join(names), reason) for reason, names in by_reason.items()]
