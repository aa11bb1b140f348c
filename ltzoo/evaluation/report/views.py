"""Views: what the charts of a report are drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.report import TrainingReport
from ltzoo.evaluation.bench_records import Bench, Way
from ltzoo.evaluation.report.charts import Chart, Line, Mark, Svg, colour, shape_of, single_mark
from ltzoo.evaluation.report.names import class_names
from ltzoo.evaluation.workbench import Workbench

__all__ = ["Pareto", "SharedView", "Training", "pareto", "shared_view", "training"]

POINTS = 250
AGAINST = (
    ("clean_class_fid", "transfer_accuracy_share"),
    ("neighbourhood_overlap", "clean_class_fid"),
    ("seconds", "clean_class_fid"),
)
LOGARITHMIC = {"clean_class_fid", "seconds"}
TITLES = {
    "transfer_accuracy_share": "accuracy, share of retrieval's (more is better)",
    "clean_class_fid": "class-wise Fréchet distance (less is better)",
    "neighbourhood_overlap": "neighbourhood overlap (more is better)",
    "seconds": "seconds until it can translate (less is better)",
}
LEAST_SECONDS = 0.01
LABEL = 20
"""Letters of a way's name in a chart."""


@dataclass(frozen=True)
class SharedView:
    """z′ of a bridge in two dimensions, with the key to it.

    Attributes:
        by_class: The drawing, coloured by class; by model, where there are no classes.
        by_model: The same points, coloured by model; None where the first one is.
        explained: Share of the variance of z′ that it shows.
        points: Points a model, at most.
        classes: Class and its colour.
        models: Model and a drawing of its shape.
    """

    by_class: Svg
    by_model: Svg | None
    explained: float
    points: int
    classes: list[tuple[str, str]]
    models: list[tuple[str, Svg]]


@dataclass(frozen=True)
class Training:
    """The loss curve of a training, with the key to it: term and its colour."""

    chart: Svg
    terms: list[tuple[str, str]]
    seconds: float
    steps: int


@dataclass(frozen=True)
class Pareto:
    """The ways of one direction against each other.

    Attributes:
        source: Id of the model translated from.
        target: Id of the model translated to.
        charts: One a pair of criteria.
        front: Ways that no other one beats.
        behind: The other ones.
        without: Ways that lack a figure and are not drawn.
    """

    source: str
    target: str
    charts: list[Svg]
    front: list[str]
    behind: list[str]
    without: list[str]


def shared_view(bridge: Bridge, workbench: Workbench) -> SharedView:
    """The two principal components of z′ over held-out latents of all models."""
    codes: list[Tensor] = []
    classes: list[int] = []
    models: list[int] = []
    for index, model in enumerate(bridge.models):
        side = workbench.side(model)
        held_out = side.held_out
        if len(held_out) > POINTS:
            held_out = held_out.select(torch.arange(POINTS) * len(held_out) // POINTS)
        codes.append(bridge.shared(held_out.latents, source=model).cpu())
        found = side.classes_of(held_out)
        classes += [0] * len(held_out) if found is None else found.tolist()
        models += [index] * len(held_out)
    points, explained = _principal(torch.cat(codes))
    names = class_names(workbench.labels, bridge.models)
    of_classes = [colour(index, len(names)) for index in range(len(names))]
    of_models = [colour(index, len(bridge.models)) for index in range(len(bridge.models))]

    def draw(what: str, colours: list[str]) -> Svg:
        marks = [
            Mark(
                x,
                y,
                title=f"{bridge.models[model]}: {names[label]}" if names else bridge.models[model],
                colour=mark,
                shape=shape_of(model),
            )
            for (x, y), label, model, mark in zip(points.tolist(), classes, models, colours, strict=True)
        ]
        # In turn rather than one model on top of the other.
        order = torch.randperm(len(marks), generator=torch.Generator().manual_seed(0)).tolist()
        return Chart(
            f"z′ of held-out latents in two dimensions, coloured by {what}",
            "first principal component",
            "second principal component",
            marks=[marks[index] for index in order],
            ticks=False,
            width=560,
            height=440,
        ).svg()

    by_model = draw("model", [of_models[model] for model in models])
    return SharedView(
        by_class=draw("class", [of_classes[label] for label in classes]) if names else by_model,
        by_model=by_model if names else None,
        explained=explained,
        points=POINTS,
        classes=list(zip(names, of_classes, strict=True)),
        models=[
            (model, single_mark(shape_of(index), of_models[index]))
            for index, model in enumerate(bridge.models)
        ],
    )


def _principal(codes: Tensor) -> tuple[Tensor, float]:
    """The two principal components ``(n, 2)``, and the share of the variance that they have."""
    centred = codes.double() - codes.double().mean(0)
    _, values, axes = torch.linalg.svd(centred, full_matrices=False)
    kept = axes[:2]
    # An axis has no direction of its own: its largest weight is made positive.
    largest = kept.gather(1, kept.abs().argmax(1, keepdim=True))
    points = centred @ (kept * largest.sign()).T
    if points.shape[1] < 2:
        points = torch.nn.functional.pad(points, (0, 2 - points.shape[1]))
    energy = values.square()
    return points, float(energy[:2].sum() / energy.sum()) if energy.sum() > 0 else 0.0


def training(report: TrainingReport) -> Training | None:
    """The loss curve; None if there are fewer than two points."""
    rows = report.losses
    if len(rows) < 2:
        return None
    series: dict[str, list[tuple[float, float]]] = {"objective": [(row.step, row.loss) for row in rows]}
    for name in rows[0].terms:
        series[name] = [(row.step, row.terms[name]) for row in rows if name in row.terms]
    log = all(y > 0 for points in series.values() for _, y in points)
    names = list(series)
    lines = [
        Line(series[name], name, "#222222" if index == 0 else colour(index - 1, len(names)))
        for index, name in enumerate(names)
    ]
    chart = Chart(
        "the objective and its terms", "step", "loss", lines=lines, log_y=log, width=560, height=300
    )
    return Training(
        chart=chart.svg(),
        terms=[(line.title.replace("_", " "), line.colour) for line in lines],
        seconds=report.seconds,
        steps=report.steps,
    )


def pareto(bench: Bench, source: str, target: str) -> Pareto:
    """The ways of one direction by accuracy, fidelity, structure and time."""
    found: dict[str, dict[str, float]] = {}
    without = []
    for way in bench.ways:
        values = _criteria(way, source, target)
        if values is None:
            without.append(way.name)
        else:
            found[way.name] = values
    front = {
        name: not any(_dominates(other, own) for key, other in found.items() if key != name)
        for name, own in found.items()
    }
    kinds = {way.name: way.kind for way in bench.ways}
    charts = []
    for x, y in AGAINST if found else ():
        marks = [
            Mark(
                values[x],
                values[y],
                title=f"{name}: {values[x]:.3g}, {values[y]:.3g}",
                colour=colour(0 if kinds[name] == "recipe" else 9, 10),
                size=5,
                label=name if len(name) <= LABEL else name[: LABEL - 1] + "…",
                hollow=not front[name],
            )
            for name, values in found.items()
        ]
        chart = Chart(
            f"{TITLES[y]} against {TITLES[x]}",
            TITLES[x],
            TITLES[y],
            marks=marks,
            log_x=_can_be_log(x, found),
            log_y=_can_be_log(y, found),
        )
        charts.append(chart.svg())
    return Pareto(
        source,
        target,
        charts,
        front=[name for name in found if front[name]],
        behind=[name for name in found if not front[name]],
        without=without,
    )


def _can_be_log(criterion: str, found: dict[str, dict[str, float]]) -> bool:
    return criterion in LOGARITHMIC and all(values[criterion] > 0 for values in found.values())


def _criteria(way: Way, source: str, target: str) -> dict[str, float] | None:
    result = way.direction(source, target)
    values = {name: result.value(name) if result else None for pair in AGAINST for name in pair}
    values["seconds"] = max(way.seconds, LEAST_SECONDS)
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return known if len(known) == len(values) else None


def _dominates(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether one is nowhere worse and somewhere better."""
    first, second = _goodness(one), _goodness(other)
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))


def _goodness(values: dict[str, float]) -> Sequence[float]:
    return (
        min(values["transfer_accuracy_share"], 1.0),
        -values["clean_class_fid"],
        values["neighbourhood_overlap"],
        -values["seconds"],
    )
