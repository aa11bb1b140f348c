"""Euclidean distances between two sets of points, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["distances", "nearest"]

EQUAL = 1e-13
"""Squared distances below this share of the points' squared norms are rounding errors of equal points."""


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Distances between all rows of ``x`` and of ``y``.

    Args:
        x: ``(n, ...)``; what follows the first dimension is flattened.
        y: ``(m, ...)``.

    Returns:
        float64 ``(n, m)``, >= 0, exactly 0 between equal rows.
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()
    # One matrix product: cdist's exact mode takes minutes at the dims of an image latent. Centring
    # keeps what cancels small.
    centre = y.mean(0)
    x, y = x - centre, y - centre
    norms = x.square().sum(1)[:, None] + y.square().sum(1)[None, :]
    squared = norms - 2 * x @ y.T
    return torch.where(squared <= EQUAL * norms, 0.0, squared).sqrt()


def nearest(points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest other points of each point.

    Args:
        points: ``(n, ...)``, n > k.
        k: How many.

    Returns:
        Distances float64 ``(n, k)`` in ascending order, and indices int64 ``(n, k)``.

    Raises:
        ValueError: There are not more than k points.
    """
    if len(points) <= k:
        raise ValueError(f"{k} neighbours need more than {k} points, not {len(points)}")
    between = distances(points, points)
    between.fill_diagonal_(torch.inf)
    found = between.topk(k, dim=1, largest=False)
    return found.values, found.indices
