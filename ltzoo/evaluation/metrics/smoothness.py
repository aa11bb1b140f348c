"""Interpolation smoothness: is the way between two translated items of a class straight and even?"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["path_smoothness", "same_class_pairs"]


def path_smoothness(features: Tensor) -> Tensor:
    """How straight and even each path through feature space is.

    A path is the judge's features of an interpolation: the source latents between two items of a class,
    translated and decoded, in ``T`` even steps. Its smoothness is

        |f_T - f_0|² / (T · sum over t of |f_t - f_(t-1)|²)

    the inverse of the path's energy relative to the least one that joins its ends. Perceptual path
    length (Karras et al. 2019, https://arxiv.org/abs/1812.04948) is the same energy unscaled; dividing
    by the ends' distance keeps a map from looking smooth because it moves little. Squares rather than
    the plain length, because a map that stands still and then jumps has a path of the least length, but
    T times the least energy.

    Args:
        features: ``(paths, T + 1, d)``.

    Returns:
        float64 ``(paths,)``, 0..1: 1 = straight at constant speed, 1/T = one jump, 0 = it comes back to
        where it began; NaN where the path never moves.
    """
    features = features.double()
    steps = features.shape[1] - 1
    energy = steps * features.diff(dim=1).square().sum((1, 2))
    ends = (features[:, -1] - features[:, 0]).square().sum(1)
    return ends / energy


def same_class_pairs(classes: Tensor, count: int, seed: int) -> Tensor:
    """Draws pairs of different items of one class, the classes in turn.

    Args:
        classes: int64 ``(n,)``; -1 is no class.
        count: Number of pairs.
        seed: Of the draw.

    Returns:
        int64 ``(pairs, 2)``, indices into ``classes``; empty if no class has two items.
    """
    generator = torch.Generator().manual_seed(seed)
    found, counts = torch.unique(classes[classes >= 0], return_counts=True)
    members = [(classes == label).nonzero()[:, 0] for label in found[counts >= 2]]
    pairs = []
    for turn in range(count if members else 0):
        of_class = members[turn % len(members)]
        pairs.append(of_class[torch.randperm(len(of_class), generator=generator)[:2]])
    return torch.stack(pairs) if pairs else torch.empty(0, 2, dtype=torch.int64)
