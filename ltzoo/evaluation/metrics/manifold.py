"""Precision, recall, density and coverage on features.

The manifold of a set is the union of balls around its points, each reaching to the point's k-th nearest
neighbour in the set. Precision and recall: Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991.
Density and coverage: Naeem et al. 2020, https://arxiv.org/abs/2002.09797, whose code (``prdc``) also
settles details: balls are open, and k = 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ltzoo.evaluation.metrics.distances import distances, nearest

__all__ = ["ManifoldScores", "manifold_scores"]


@dataclass(frozen=True, eq=False)
class ManifoldScores:
    """Each item's part in the four figures; their means are the figures.

    Attributes:
        precision: ``(m,)``, 0 or 1 for each fake: it lies in the real manifold. Low: not like real items.
        recall: ``(n,)``, 0 or 1 for each real item: it lies in the fake manifold. Low: variety is missing.
        density: ``(m,)``, >= 0 for each fake: how many real balls it lies in, over k. Above 1 on average
            where fakes crowd in dense regions; unlike precision, outliers among the real items do not
            inflate it.
        coverage: ``(n,)``, 0 or 1 for each real item: a fake lies in its ball. Unlike recall, outliers
            among the fakes do not inflate it.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


def manifold_scores(real: Tensor, fake: Tensor, *, k: int = 5) -> ManifoldScores:
    """Compares fakes with real items.

    Args:
        real: Features ``(n, d)``, n > k.
        fake: Features ``(m, d)``, m > k.
        k: Neighbours that a ball reaches to.

    Raises:
        ValueError: A side has not more than k items.
    """
    real_radii = nearest(real, k)[0][:, -1]
    fake_radii = nearest(fake, k)[0][:, -1]
    between = distances(real, fake)
    in_real = between < real_radii[:, None]
    return ManifoldScores(
        precision=in_real.any(0).double(),
        recall=(between < fake_radii[None, :]).any(1).double(),
        density=in_real.double().sum(0) / k,
        coverage=(between.amin(1) < real_radii).double(),
    )
