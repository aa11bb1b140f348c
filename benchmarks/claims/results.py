"""The results: one small JSON file a run, and the figures over the seeds. Torch-free."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from benchmarks.claims.variants import DIRECTIONS, VARIANTS
from ltzoo.files import replacing
from ltzoo.records import Record

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
COST = "cost.json"
DIGITS = 5


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """One variant, run with one seed.

    Attributes:
        variant: Its name.
        seed: Of training and measuring.
        settings: `Variant.settings` when it was run.
        labelled_items: Labelled latents that it was trained on, one number a model; empty if nothing was trained.
        train_seconds: Time of training, on one thread, while other programs may have run.
        figures: Direction -> measure -> value.
        command: What runs it.
        ltzoo: Version.
        torch: Version.
    """

    variant: str
    seed: int
    settings: dict[str, Any]
    labelled_items: tuple[int, ...] = ()
    train_seconds: Annotated[float, Meta(ge=0)] = 0.0
    figures: dict[str, dict[str, float]]
    command: str
    ltzoo: str
    torch: str


@dataclass(frozen=True, kw_only=True)
class BaseCost(Record):
    """What training one base model costs.

    Attributes:
        model: Its id.
        step_seconds: Processor seconds of one step, one figure a round.
        steps: Steps of its whole training.
    """

    model: str
    step_seconds: tuple[float, ...]
    steps: Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Cost(Record):
    """What training costs, all measured in turn by one process on one thread.

    Attributes:
        bridge_step_seconds: Processor seconds of one step of the laptop recipe, one figure a round.
        bridge_steps: Its steps.
        bases: The two base models.
        command: What measured it.
        torch: Version.
    """

    bridge_step_seconds: tuple[float, ...]
    bridge_steps: Annotated[int, Meta(ge=1)]
    bases: tuple[BaseCost, ...]
    command: str
    torch: str

    @property
    def bridge_seconds(self) -> Figure:
        """Of the whole training of the bridge."""
        return Figure(tuple(self.bridge_steps * one for one in self.bridge_step_seconds))

    @property
    def base_seconds(self) -> Figure:
        """Of the whole training of both base models."""
        return Figure(tuple(map(sum, zip(*map(_whole, self.bases), strict=True))))

    @property
    def ratio(self) -> Figure:
        """How many bridges could be trained in the time of the base models."""
        pairs = zip(self.base_seconds.values, self.bridge_seconds.values, strict=True)
        return Figure(tuple(base / bridge for base, bridge in pairs))


def _whole(base: BaseCost) -> list[float]:
    return [base.steps * one for one in base.step_seconds]


@dataclass(frozen=True)
class Figure:
    """A figure over the seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation over the seeds; 0 for one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def __str__(self) -> str:
        size = abs(self.mean)
        digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
        deviation = f" ± {self.std:.{digits}f}" if len(self.values) > 1 else ""
        return f"{self.mean:.{digits}f}{deviation}"


@dataclass(frozen=True)
class Results:
    """All that was run.

    Attributes:
        runs: By variant; each variant's in the order of the seeds.
        cost: What training costs; None if it was not measured.
    """

    runs: dict[str, list[Result]] = field(default_factory=dict)
    cost: Cost | None = None

    def has(self, *variants: str) -> bool:
        """Whether all of these were run."""
        return all(name in self.runs for name in variants)

    def figure(self, variant: str, measure: str, direction: str) -> Figure:
        """A measure of a variant in one direction."""
        return Figure(tuple(run.figures[direction][measure] for run in self.runs[variant]))

    def mean_figure(self, variant: str, measure: str) -> Figure:
        """The same as the mean over both directions, seed by seed."""
        return Figure(
            tuple(
                statistics.fmean(run.figures[direction][measure] for direction in DIRECTIONS)
                for run in self.runs[variant]
            )
        )


def path_of(folder: Path, variant: str, seed: int) -> Path:
    """The file of a run."""
    return folder / f"{variant}-{seed}.json"


def write(path: Path, record: Record) -> None:
    """Writes a result, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(record.to_json(), encoding="utf-8")


def read(folder: Path = RESULTS) -> Results:
    """All results in a folder.

    Raises:
        SpecError: A file is not a result.
    """
    runs: dict[str, list[Result]] = {}
    for variant in VARIANTS:
        found = sorted(folder.glob(f"{variant.name}-[0-9]*.json"))
        of_variant = [Result.from_json(path.read_bytes(), where=str(path)) for path in found]
        own = sorted((one for one in of_variant if one.variant == variant.name), key=lambda one: one.seed)
        if own:
            runs[variant.name] = own
    cost = folder / COST
    return Results(runs, Cost.from_json(cost.read_bytes(), where=str(cost)) if cost.exists() else None)


def rounded(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Values with as many digits as anybody needs: the files are kept in the repository."""
    return {name: float(f"{value:.{DIGITS}g}") for name, value in values}


def rounded_all(values: Sequence[float]) -> tuple[float, ...]:
    """The same of a list."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
