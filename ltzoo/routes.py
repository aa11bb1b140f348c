"""Routes: from one model to another through bridges, one after another. Torch-free.

Models are nodes; a bridge is an edge in each of its directions, as good as the transfer accuracy that was
measured there. The expected accuracy of a route is the product of its hops': what it would be if the errors
of the hops were independent, and if no later error could mend an earlier one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Protocol

from ltzoo.errors import SpecError
from ltzoo.registry import BridgeRow

__all__ = [
    "Hop",
    "Measured",
    "Route",
    "accuracy_of",
    "best_route",
    "best_routes",
    "reachable",
    "route_through",
    "row_hops",
]


class Measured(Protocol):
    """A figure of one direction of a bridge, as registries and bridges hold it."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def value(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One bridge in one direction.

    Attributes:
        bridge: Reference of the bridge.
        source: Id of the model that it translates from.
        target: Id of the model that it translates to.
        accuracy: Its transfer accuracy in that direction, 0..1; None if it was not measured.
    """

    bridge: str
    source: str
    target: str
    accuracy: float | None = None


@dataclass(frozen=True)
class Route:
    """Hops that lead from one model to another: each starts where the one before it ends.

    Attributes:
        hops: At least one.

    Raises:
        SpecError: There is no hop, or one starts elsewhere.
    """

    hops: tuple[Hop, ...]

    def __post_init__(self) -> None:
        ends, starts = [hop.target for hop in self.hops[:-1]], [hop.source for hop in self.hops[1:]]
        if not self.hops or ends != starts:
            raise SpecError(f"a route of hops that do not join: {self.hops}")

    def __str__(self) -> str:
        return " -> ".join(self.models)

    @property
    def source(self) -> str:
        """The model that it starts from."""
        return self.hops[0].source

    @property
    def target(self) -> str:
        """The model that it leads to."""
        return self.hops[-1].target

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models on the way, both ends included."""
        return (self.source, *(hop.target for hop in self.hops))

    @property
    def bridges(self) -> tuple[str, ...]:
        """References of the bridges, in the order of their use."""
        return tuple(hop.bridge for hop in self.hops)

    @property
    def expected_accuracy(self) -> float | None:
        """The product of the hops' accuracies; None if one of them was not measured."""
        measured = [hop.accuracy for hop in self.hops if hop.accuracy is not None]
        return math.prod(measured) if len(measured) == len(self.hops) else None


def accuracy_of(metrics: Iterable[Measured], source: str, target: str) -> float | None:
    """The transfer accuracy of one direction; None if there is none, or none between 0 and 1."""
    for metric in metrics:
        if (metric.name, metric.source, metric.target) == ("transfer_accuracy", source, target):
            return metric.value if 0 <= metric.value <= 1 else None
    return None


def row_hops(rows: Iterable[BridgeRow]) -> list[Hop]:
    """Every direction of every published bridge."""
    return [
        Hop(bridge=row.id, source=source, target=target, accuracy=accuracy_of(row.metrics, source, target))
        for row in rows
        for source, target in permutations(row.models, 2)
    ]


def best_route(hops: Sequence[Hop], source: str, target: str) -> Route | None:
    """The best route from ``source`` to ``target``.

    One bridge that joins the two always wins over several. Otherwise the fewest unmeasured hops win, then
    the highest expected accuracy, then the fewest hops.

    Args:
        hops: What the route may be made of.
        source: Id of the model to start from.
        target: Id of another model.

    Returns:
        None if there is no way.
    """
    # With one bridge that joins the two, those that do are all there is to choose from.
    hops = [hop for hop in hops if (hop.source, hop.target) == (source, target)] or hops
    way = _best_ways(hops, source).get(target)
    return Route(way.hops) if way else None


def best_routes(hops: Sequence[Hop], source: str) -> dict[str, Route]:
    """What `best_route` gives for every model that can be reached from ``source``, by its id, in order."""
    # Every direct hop is better than no direct one, and is compared with its like only.
    direct = _best_ways([hop for hop in hops if hop.source == source], source)
    return {target: Route(way.hops) for target, way in sorted((_best_ways(hops, source) | direct).items())}


def route_through(steps: Sequence[Sequence[Hop]], source: str, target: str) -> Route | None:
    """The best route that takes one hop of each step, in their order.

    Args:
        steps: What each hop may be.
        source: Id of the model to start from.
        target: Id of the model to end at.

    Returns:
        None if the steps do not lead from ``source`` to ``target``.
    """
    ways = [_Way((), source)]
    for hops in steps:
        longer: dict[str, _Way] = {}
        for way in _extended(ways, _by_source(hops)):
            if way.at not in longer or way.cost() < longer[way.at].cost():
                longer[way.at] = way
        ways = list(longer.values())
    return next((Route(way.hops) for way in ways if way.hops and way.at == target), None)


def reachable(hops: Sequence[Hop], source: str) -> list[str]:
    """Ids of the models that a route from ``source`` leads to, in order."""
    found = {source}
    while new := {hop.target for hop in hops if hop.source in found} - found:
        found |= new
    return sorted(found - {source})


@dataclass(frozen=True)
class _Way:
    """The beginning of a route, and the model where it has come to."""

    hops: tuple[Hop, ...]
    at: str

    def cost(self) -> tuple[int, float]:
        """Unmeasured hops, and the accuracy of the others, negative: what a longer way never has less of."""
        measured = [hop.accuracy for hop in self.hops if hop.accuracy is not None]
        return len(self.hops) - len(measured), -math.prod(measured)


def _best_ways(hops: Iterable[Hop], source: str) -> dict[str, _Way]:
    """The best way from ``source`` to every model that it leads to, by the model's id."""
    leaving = _by_source(hops)
    best: dict[str, _Way] = {}
    # Ways of one hop, of two, of three. One that is no better than a shorter one to the same model is
    # dropped: nor would anything be that begins with it. So no way visits a model twice, and this ends.
    ways = [_Way((), source)]
    while ways:
        longer: dict[str, _Way] = {}
        for way in _extended(ways, leaving):
            old = longer.get(way.at) or best.get(way.at)
            if way.at != source and (old is None or way.cost() < old.cost()):
                longer[way.at] = way
        best |= longer
        ways = list(longer.values())
    return best


def _by_source(hops: Iterable[Hop]) -> dict[str, list[Hop]]:
    leaving: dict[str, list[Hop]] = {}
    for hop in hops:
        leaving.setdefault(hop.source, []).append(hop)
    return leaving


def _extended(ways: Iterable[_Way], leaving: Mapping[str, Sequence[Hop]]) -> Iterator[_Way]:
    """The ways with every hop that starts where they have come to."""
    for way in ways:
        for hop in leaving.get(way.at, ()):
            yield _Way((*way.hops, hop), hop.target)
