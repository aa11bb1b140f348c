"""Fréchet distance between two sets of features, of whole sets and class by class.

``FID = |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½)`` (Heusel et al. 2017, https://arxiv.org/abs/1706.08500),
here on the features of a data set's own judge rather than of an Inception network, which knows neither
digits nor sounds: figures compare only within one judge.

The root is taken in its symmetric form, ``tr (C1^½ C2 C1^½)^½``, by two eigen-decompositions in float64.
It needs no general matrix square root, whose rounding adds imaginary parts where covariances are singular,
and they are singular whenever a class has fewer items than features.

Small samples: the estimate is biased upwards, the more so the fewer the items (Chong & Forsyth 2020,
https://arxiv.org/abs/1911.07023). Two halves of one set do not score 0. Compare figures of equally many
items only, and read them beside random same-class retrieval's, which carries the same bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Moments", "class_frechet_distance", "class_moments", "frechet_distance", "moments"]


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean ``(d,)`` and covariance ``(d, d)`` of features, float64."""

    mean: Tensor
    covariance: Tensor

    @cached_property
    def root(self) -> Tensor:
        """The symmetric square root of the covariance, ``(d, d)``."""
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        return root


def moments(features: Tensor) -> Moments:
    """Mean and unbiased covariance.

    Args:
        features: ``(n, d)``, n >= 2.

    Raises:
        ValueError: There are fewer than two rows.
    """
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least two items, not {len(features)}")
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1))


def class_moments(features: Tensor, classes: Tensor) -> dict[int, Moments]:
    """Moments of each class that has two items or more; items of class -1 are left out.

    Args:
        features: ``(n, d)``.
        classes: int64 ``(n,)``.
    """
    found, counts = torch.unique(classes[classes >= 0], return_counts=True)
    return {int(label): moments(features[classes == label]) for label in found[counts >= 2]}


def frechet_distance(x: Moments, y: Moments) -> float:
    """The squared Fréchet distance of two Gaussians: >= 0, 0 for equal moments, smaller is better.

    Where one side is compared with many, give it as ``x``: its square root is computed once.
    """
    inner = x.root @ y.covariance @ x.root
    cross = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp_min(0).sqrt().sum()
    between = (x.mean - y.mean).square().sum() + x.covariance.trace() + y.covariance.trace() - 2 * cross
    return max(0.0, float(between))


def class_frechet_distance(x: Mapping[int, Moments], y: Mapping[int, Moments]) -> float:
    """Mean over classes of the Fréchet distance within the class.

    Classes that either side lacks (fewer than two items) do not count. Unlike the distance of whole
    sets, this one sees translations that land in the wrong class.

    Returns:
        >= 0, smaller is better; NaN if no class is on both sides.
    """
    shared = sorted(x.keys() & y.keys())
    if not shared:
        return float("nan")
    return sum(frechet_distance(x[label], y[label]) for label in shared) / len(shared)
