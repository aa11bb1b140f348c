"""Ranking: the order of ways to bridge some models, by what no way has for nothing."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from ltzoo.evaluation.bench_records import Ranking, Standing, Way
from ltzoo.evaluation.measures import get_measure
from ltzoo.evaluation.places import badness, relative_places

__all__ = ["RANKED", "RULE", "rank_ways"]

RANKED = (
    "transfer_accuracy_share",
    "clean_class_fid",
    "coverage",
    "recall",
    "clean_spread",
    "neighbourhood_overlap",
    "noisy_cycle_r2",
    "paired_r2",
    "top1_retrieval",
)
"""What is ranked by: one measure of the class, four of variety and fidelity, two of structure, two of pairs."""

RULE = (
    "In each direction and measure the ways are put in order and given a place from 0 (first) to 1 (last); equal "
    "ways share the mean of their places. A way's place is the mean over measures of its mean over directions; "
    "the lowest is ranked first. Accuracy counts as a share of random same-class retrieval's and no further than "
    "1, since more is sharpening and not translation; spread counts by its distance from 1; class-wise figures "
    "are of the sources whose class a separate latent classifier gets right. Accuracy alone ranks nothing: one "
    "prototype a class has all of it. A measure that a reference saturates by construction does not count for "
    "that reference, which then has no place in it either."
)

REASONS = 4

Places = dict[str, dict[str, float]]
"""Way -> measure -> place."""


def rank_ways(ways: Sequence[Way]) -> Ranking:
    """Ranks ways that were measured under one protocol.

    Args:
        ways: The ways; those that share no measure with another one get no standing.
    """
    places = _places(ways)
    means = {name: statistics.fmean(found.values()) for name, found in places.items()}
    order = sorted(means, key=lambda name: (means[name], name))
    by_name = {way.name: way for way in ways}
    standings = tuple(
        Standing(
            way=name,
            rank=1 + sum(other < means[name] for other in means.values()),
            place=means[name],
            places=places[name],
            left_out=tuple(measure for measure in RANKED if measure in by_name[name].saturates),
            why=_why(by_name[name], by_name[order[0]], places),
        )
        for name in order
    )
    measured = {measure for found in places.values() for measure in found}
    return Ranking(
        rule=RULE, measures=tuple(name for name in RANKED if name in measured), standings=standings
    )


def _places(ways: Sequence[Way]) -> Places:
    """Each way's place in each measure that counts for it, mean over directions."""
    directions = dict.fromkeys((one.source, one.target) for way in ways for one in way.directions)
    found: dict[str, dict[str, list[float]]] = {}
    for (source, target), measure in itertools.product(directions, RANKED):
        found_bad = {}
        for way in ways:
            result = way.direction(source, target)
            value = result.value(measure) if result and measure not in way.saturates else None
            if value is not None:
                known = get_measure(measure)
                assert known is not None
                found_bad[way.name] = badness(measure, value, known.better)
        for name, place in relative_places(found_bad).items():
            found.setdefault(name, {}).setdefault(measure, []).append(place)
    return {
        name: {measure: statistics.fmean(places) for measure, places in of_way.items()}
        for name, of_way in found.items()
    }


def _why(way: Way, best: Way, places: Places) -> str:
    """What sets a way apart from the best one: where it is behind, and what it has by construction."""
    parts = []
    if way.name == best.name:
        parts.append("the lowest mean place")
    else:
        behind = [
            measure
            for measure, place in places[way.name].items()
            if measure in places[best.name] and place > places[best.name][measure]
        ]
        behind.sort(key=lambda measure: places[best.name][measure] - places[way.name][measure])
        if behind:
            listed = "; ".join(_compared(measure, way, best) for measure in behind[:REASONS])
            parts.append(f"behind {best.name} in {listed}")
        else:
            parts.append(f"not behind {best.name} in any measure that both are ranked by, but in the mean")
    free = [measure for measure in RANKED if measure in way.saturates and _values(way, measure)]
    if free:
        listed = "; ".join(f"{_title(measure)} ({_values(way, measure)})" for measure in free)
        parts.append(f"Has by construction, so not counted: {listed}")
    return ". ".join(parts)


def _compared(measure: str, way: Way, best: Way) -> str:
    return f"{_title(measure)} ({_values(way, measure)}, not {_values(best, measure)})"


def _title(measure: str) -> str:
    return measure.replace("_", " ")


def _values(way: Way, measure: str) -> str:
    """The figures of a measure, direction by direction."""
    found = [one.value(measure) for one in way.directions]
    return " / ".join(f"{value:.3g}" for value in found if value is not None)
