"""Ridge regression between paired latents, in both directions through one code.

The code is latents of the hub, whitened as they are when drawn from their posteriors. The hub is a model that
has pairs with all others: with two models the first.
Between two models that are not the hub, maps go through it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltzoo.bridge.bases.frames import FLOOR, FrameValues
from ltzoo.bridge.bases.joint import JointMoments, PairMoments, hub_mean
from ltzoo.bridge.recipe import Recipe

__all__ = ["ridge"]

PENALTIES = torch.logspace(-8, 2, 101, dtype=torch.float64)
"""That one is chosen from, in normalised units."""


def ridge(pairs: PairMoments, hub: int, covariance: Tensor, code: int, recipe: Recipe) -> list[FrameValues]:
    """The frames; see `ltzoo.bridge.bases.solve_paired_base`.

    Of each pair of models, the squared error of one's normalised latents, predicted from the other's, is
    made least, plus ``recipe.ridge`` times the squared coefficients. Without that number, each direction
    has the one of least generalised cross-validation error (Golub, Heath, Wahba 1979).
    """
    size = len(covariance)
    variances, axes = torch.linalg.eigh(covariance)
    deviations = variances.clamp_min(FLOOR).sqrt()
    into, out_of = torch.zeros(size, code).double(), torch.zeros(code, size).double()
    into[:, :size] = axes / deviations
    out_of[:size] = (axes * deviations).T
    centre = hub_mean(pairs)
    frames = {hub: FrameValues.of_one(centre, into, out_of)}
    for end, joint in pairs.items():
        there, back = _regression(joint, recipe.ridge), _regression(joint.swapped(), recipe.ridge)
        means = joint.means
        # The hub's frame has one centre for all its pairs; what that moves there is put right here.
        mean = means[1] + (centre - means[0]) @ there
        frames[end] = FrameValues.of_one(mean, back @ into, out_of @ there)
    return [frames[end] for end in range(len(frames))]


def _regression(joint: JointMoments, penalty: float | None) -> Tensor:
    """Coefficients ``(first, second)`` that predict the second model's centred latents from the first's."""
    own, between, other = joint.covariances
    variances, axes = torch.linalg.eigh(own)
    variances = variances.clamp_min(0)
    turned = axes.T @ between
    if penalty is None:
        penalty = _penalty(joint.count, variances, turned.square().sum(dim=1), float(other.trace()))
    coefficients: Tensor = axes @ (turned / (variances + penalty).clamp_min(FLOOR**2)[:, None])
    return coefficients


def _penalty(count: int, variances: Tensor, explained: Tensor, total: float) -> float:
    """The penalty of least generalised cross-validation error.

    Args:
        count: Of the pairs.
        variances: Of the first model along its principal axes.
        explained: Squared covariances of these axes with the second model, summed over its dimensions.
        total: Variance of the second model.
    """
    shrunk = variances[:, None] + PENALTIES
    residual = total - ((variances[:, None] + 2 * PENALTIES) / shrunk.square() * explained[:, None]).sum(
        dim=0
    )
    # One degree of freedom goes into the mean. A fit that has none left says nothing.
    left = 1 - ((variances[:, None] / shrunk).sum(dim=0) + 1) / count
    error = torch.where(left > 0, residual.clamp_min(0) / left.square(), torch.inf)
    return float(PENALTIES[error.argmin()])
