"""The one-cycle schedule of learning rates."""

from __future__ import annotations

import math

__all__ = ["one_cycle"]

FIRST_RATE = 0.04


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """The rate of one step as a share of the highest: up, then down to nothing, both along a cosine.

    Args:
        step: Counted from 0.
        steps: How many there are.
        warm_up: Share of them that the way up takes.
    """
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return FIRST_RATE + (1 - FIRST_RATE) * (1 - math.cos(math.pi * step / rise)) / 2
    return (1 + math.cos(math.pi * (step - rise) / (steps - rise))) / 2
