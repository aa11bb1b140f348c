"""The protocol's settings, and the records that it gives: figures, a direction's result, an evaluation.

Torch-free, so that reports and tables can be made of stored results without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from ltzoo.bridge.config import Metric
from ltzoo.errors import SpecError
from ltzoo.records import Record
from ltzoo.registry import MetricRow

__all__ = ["DirectionResult", "Evaluation", "Figure", "Protocol"]

Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Seed = Annotated[int, Meta(ge=0, lt=2**31)]


@dataclass(frozen=True, kw_only=True)
class Protocol(Record):
    """How translations are measured. Figures compare only under equal protocols.

    Attributes:
        items: Held-out latents of a direction; of larger test parts evenly spaced ones are taken.
        seeds: For all that is random: retrieval's draws, noise, latent classifiers, sampling of z'.
            Figures are means over them.
        sample: Bridges sample z' instead of taking its mean.
        manifold_neighbours: k of precision, recall, density and coverage.
        neighbours: k of the neighbourhood overlap.
        paths: Interpolations of the smoothness.
        path_steps: Steps of each.
        draws: Bootstrap resamples.
        frechet_draws: Bootstrap resamples of Fréchet distances and spreads, which take longer.
        level: Share of the resamples that an interval holds.
        batch: Latents decoded at a time.
    """

    items: Annotated[int, Meta(ge=2, le=10**6)] = 2000
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1, max_length=100)] = (0, 1, 2)
    sample: bool = False
    manifold_neighbours: Annotated[int, Meta(ge=1, le=1000)] = 5
    neighbours: Annotated[int, Meta(ge=1, le=1000)] = 10
    paths: Annotated[int, Meta(ge=1, le=10**5)] = 100
    path_steps: Annotated[int, Meta(ge=2, le=1000)] = 8
    draws: Annotated[int, Meta(ge=10, le=10**6)] = 1000
    frechet_draws: Annotated[int, Meta(ge=10, le=10**6)] = 50
    level: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    batch: Annotated[int, Meta(ge=1, le=10**6)] = 500

    def __post_init__(self) -> None:
        if len(set(self.seeds)) != len(self.seeds):
            raise SpecError("protocol: a seed is listed twice")


@dataclass(frozen=True, kw_only=True)
class Figure(Record):
    """One measured number of one direction.

    Attributes:
        name: Of the measure, one of `ltzoo.evaluation.measures.MEASURES`.
        source: Id of the model translated from.
        target: Id of the model translated to.
        value: Mean over the seeds.
        std: Sample standard deviation over the seeds; None where nothing is random.
        low: Lower end of the bootstrap interval over items, mean over the seeds.
        high: Its upper end.
        n: Items that it was measured on.
        seeds: How many seeds there were.
    """

    name: Text
    source: Text
    target: Text
    value: float
    std: Annotated[float, Meta(ge=0)] | None = None
    low: float | None = None
    high: float | None = None
    n: Annotated[int, Meta(ge=1)]
    seeds: Annotated[int, Meta(ge=1)] = 1

    def row(self) -> MetricRow:
        """The figure as a registry's row has it."""
        return MetricRow(
            name=self.name, source=self.source, target=self.target, value=self.value, std=self.std
        )

    def metric(self, command: str | None = None) -> Metric:
        """The figure as a bridge's config has it.

        Args:
            command: The command that measured it.
        """
        return Metric(
            name=self.name,
            source=self.source,
            target=self.target,
            value=self.value,
            std=self.std,
            seeds=self.seeds,
            n=self.n,
            command=command,
        )


@dataclass(frozen=True, kw_only=True)
class DirectionResult(Record):
    """What was measured of one direction.

    Attributes:
        translator: What translated: ``bridge``, a reference's name.
        source: Id of the model translated from.
        target: Id of the model translated to.
        figures: The figures, in the order of the measures.
        omitted: Measure -> why there is no figure.
        seconds: Time that the measuring took.
    """

    translator: Text
    source: Text
    target: Text
    figures: tuple[Figure, ...]
    omitted: dict[str, str] = field(default_factory=dict)
    seconds: Annotated[float, Meta(ge=0)]

    def figure(self, name: str) -> Figure | None:
        """The figure of that measure, if there is one."""
        return next((figure for figure in self.figures if figure.name == name), None)

    def value(self, name: str) -> float | None:
        """The value of that measure, if there is one."""
        figure = self.figure(name)
        return None if figure is None else figure.value


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """What was measured of a bridge.

    Attributes:
        bridge: The reference that it was loaded by.
        models: The models that it joins.
        protocol: How it was measured.
        directions: One result a direction.
        notes: What the reader should know.
        ltzoo: Version that measured.
        torch: Version that measured.
        seconds: Time that it took.
    """

    bridge: Text
    models: tuple[Text, ...]
    protocol: Protocol
    directions: tuple[DirectionResult, ...]
    notes: tuple[str, ...] = ()
    ltzoo: Text
    torch: Text
    seconds: Annotated[float, Meta(ge=0)]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures of all directions."""
        return tuple(figure for direction in self.directions for figure in direction.figures)

    def direction(self, source: str, target: str) -> DirectionResult | None:
        """The result of one direction, if it was measured."""
        return next((one for one in self.directions if (one.source, one.target) == (source, target)), None)
