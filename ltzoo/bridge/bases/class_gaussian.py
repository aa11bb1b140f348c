"""Optimal transport between the Gaussians of each class: the affine map that moves latents the least.

Between more than two models, maps go through the first one. Where sizes differ, shorter latents are taken
to have zeros behind them. Latents of a model that is added later may be longer than the code, which then
holds a part of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ltzoo.bridge.bases.frames import FLOOR, FrameValues
from ltzoo.bridge.bases.moments import Moments
from ltzoo.bridge.recipe import Recipe

__all__ = ["class_gaussian"]


def class_gaussian(moments: Sequence[Moments], code: int, recipe: Recipe) -> list[FrameValues]:
    """The frames; see `ltzoo.bridge.bases.solve_base`. The code is whitened latents of the first model."""
    del recipe
    longest = max(code, *(of_model.size for of_model in moments))
    first = _padded(moments[0].covariances, longest)
    root, inverse = _power(first, 0.5), _power(first, -0.5)
    frames = []
    for of_model in moments:
        # T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 takes N(0, A) to N(0, B); for the first model it is the identity.
        middle = root @ _padded(of_model.covariances, longest) @ root
        out_of = _power(middle, 0.5) @ inverse
        into = root @ _power(middle, -0.5)
        size = of_model.size
        frames.append(
            FrameValues(
                of_model.means.float(), into[:, :size, :code].float(), out_of[:, :code, :size].float()
            )
        )
    return frames


def _padded(covariances: Tensor, size: int) -> Tensor:
    own = covariances.shape[1]
    padded = torch.zeros(len(covariances), size, size, dtype=covariances.dtype)
    padded.diagonal(dim1=1, dim2=2).fill_(FLOOR)
    padded[:, :own, :own] = covariances
    return padded


def _power(matrices: Tensor, exponent: float) -> Tensor:
    """Of symmetric positive matrices, with eigenvalues held above the floor."""
    values, axes = torch.linalg.eigh((matrices + matrices.mT) / 2)
    powered: Tensor = (axes * values.clamp_min(FLOOR**2).pow(exponent)[:, None]) @ axes.mT
    return powered
