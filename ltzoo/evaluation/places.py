"""Places from 0 to 1 by one measure: what a ranking is made of. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

__all__ = ["Better", "badness", "relative_places"]

Better: TypeAlias = Literal["higher", "lower", "one"]
"""Which values of a measure are better; ``one``: those near 1."""

CAPPED = "transfer_accuracy_share"
"""Counts up to 1: past retrieval's accuracy it is sharpening and not translation."""


def badness(measure: str, value: float, better: Better) -> float:
    """A value so that less is better.

    Args:
        measure: Name of the measure.
        value: Its value.
        better: Which values of it are better.
    """
    if better == "one":
        return abs(value - 1)
    if measure == CAPPED:
        value = min(value, 1.0)
    return value if better == "lower" else -value


def relative_places(found: Mapping[str, float]) -> dict[str, float]:
    """Each name's place by its badness, equal ones shared: 0 the best of all, 1 the worst; none for one alone."""
    others = len(found) - 1
    if others < 1:
        return {}
    places = {}
    for name, own in found.items():
        better = sum(other < own for other in found.values())
        equal = sum(other == own for other in found.values()) - 1
        places[name] = (better + equal / 2) / others
    return places
