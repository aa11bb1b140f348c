"""Percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), seeded.

Items are drawn anew, with replacement; everything else (the models, the bridge, the judge, the real items
that translations are compared with) stays. An interval says how much a figure owes to which items were
held out, and nothing about another training run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Interval", "Resampling", "mean_interval", "ratio_interval", "resamples", "statistic_interval"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        draws: Resamples.
        seed: Of the draws.
        level: Share of the resamples that the interval holds.
    """

    draws: int = 1000
    seed: int = 0
    level: float = 0.95


def resamples(n: int, how: Resampling, groups: Tensor | None = None) -> Tensor:
    """Indices of the resamples.

    Args:
        n: Items.
        how: Draws and seed.
        groups: int64 ``(n,)``; if given, each group is drawn anew on its own and keeps its size.

    Returns:
        int64 ``(draws, n)``.
    """
    generator = torch.Generator().manual_seed(how.seed)
    if groups is None:
        return torch.randint(n, (how.draws, n), generator=generator)
    members = [(groups == group).nonzero()[:, 0] for group in torch.unique(groups)]
    return torch.cat(
        [of[torch.randint(len(of), (how.draws, len(of)), generator=generator)] for of in members], dim=1
    )


def mean_interval(values: Tensor, how: Resampling) -> Interval:
    """The interval of the mean of ``values`` ``(n,)``."""
    return _percentiles(values.double()[resamples(len(values), how)].mean(1), how.level)


def ratio_interval(numerator: Tensor, denominator: Tensor, how: Resampling) -> Interval:
    """The interval of ``sum(numerator) / sum(denominator)``, both ``(n,)`` and of the same items."""
    index = resamples(len(numerator), how)
    below = denominator.double()[index].sum(1)
    return _percentiles((numerator.double()[index].sum(1) / below)[below != 0], how.level)


def statistic_interval(
    statistic: Callable[[Tensor], float], value: float, how: Resampling, *, groups: Tensor
) -> Interval:
    """The interval of a statistic that depends on the items' number, such as a Fréchet distance.

    A resample has fewer different items than the set and so a larger distance: plain percentiles would
    lie above the figure itself. They are shifted so that the resamples' mean falls on the figure.

    Args:
        statistic: Of the items at the given indices ``(n,)``.
        value: Of all items.
        how: Draws, seed and level.
        groups: int64 ``(n,)``; each group is drawn anew on its own.
    """
    drawn = torch.tensor(
        [statistic(index) for index in resamples(len(groups), how, groups)], dtype=torch.float64
    )
    low, high = _percentiles(drawn, how.level)
    shift = value - float(drawn.mean())
    return low + shift, high + shift


def _percentiles(drawn: Tensor, level: float) -> Interval:
    if not len(drawn):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = torch.quantile(drawn.double(), torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high
