"""Orthogonal Procrustes: a turn or mirroring, and one scale, between paired latents.

The code is latents of the hub, a model that has pairs with all others: with two models the first. Between
two models that are not the hub, maps go through it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltzoo.bridge.bases.frames import FrameValues
from ltzoo.bridge.bases.joint import PairMoments, hub_mean
from ltzoo.bridge.recipe import Recipe

__all__ = ["procrustes"]


def procrustes(
    pairs: PairMoments, hub: int, covariance: Tensor, code: int, recipe: Recipe
) -> list[FrameValues]:
    """The frames; see `ltzoo.bridge.bases.solve_paired_base`.

    The turn is that of the polar decomposition of the covariance between the two models (Schoenemann
    1966). Each direction has the scale of least squared error, as in `scipy.spatial.procrustes`, so that there
    and back is shorter by as much as the pairs disagree. Where sizes differ, the turn keeps lengths along
    as many axes as the shorter latents have.
    """
    del recipe
    size = len(covariance)
    whole = torch.eye(size, code, dtype=torch.float64)
    centre = hub_mean(pairs)
    frames = {hub: FrameValues.of_one(centre, whole, whole.T)}
    for end, joint in pairs.items():
        own, between, other = joint.covariances
        left, strengths, right = torch.linalg.svd(between, full_matrices=False)
        turn = left @ right
        there, back = (turn * (strengths.sum() / one.trace()) for one in (own, other))
        means = joint.means
        mean = means[1] + (centre - means[0]) @ there
        frames[end] = FrameValues.of_one(mean, back.T @ whole, whole.T @ there)
    return [frames[end] for end in range(len(frames))]
