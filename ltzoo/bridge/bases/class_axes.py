"""Principal axes of each class, paired between models by rank.

This is the optimal map between Gaussians for the Gromov-Wasserstein distance (Delon, Desolneux, Salmona 2022,
https://arxiv.org/abs/2104.07970): it keeps distances within a class, where optimal transport keeps positions.
Its axes have no sign; here each points to where the class is skewed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ltzoo.bridge.bases.frames import FLOOR, FrameValues
from ltzoo.bridge.bases.moments import Moments
from ltzoo.bridge.recipe import Recipe

__all__ = ["class_axes"]


def class_axes(moments: Sequence[Moments], code: int, recipe: Recipe) -> list[FrameValues]:
    """The frames; see `ltzoo.bridge.bases.solve_base`.

    Axis i of the code is the i-th principal axis of each class in each model, in units of its standard
    deviation, damped by ``recipe.noise_gain`` where it is mostly the posterior's noise. Axes that a
    model does not have stay empty.
    """
    return [_frame(of_model, code, recipe.noise_gain) for of_model in moments]


def _frame(moments: Moments, code: int, noise_gain: float) -> FrameValues:
    size, count = moments.size, min(moments.size, code)
    variances, axes = torch.linalg.eigh(moments.covariances)
    variances = variances.flip(1)[:, :count].clamp_min(FLOOR)
    axes = axes.flip(2)[:, :, :count]
    axes = (
        axes * torch.stack([_signs(moments, axes[label], label) for label in range(moments.classes)])[:, None]
    )
    noise = torch.einsum("csk,cs->ck", axes.square(), moments.noise)
    gain = variances / (variances + noise_gain * noise)
    into = torch.zeros(moments.classes, size, code)
    out_of = torch.zeros(moments.classes, code, size)
    into[:, :, :count] = (axes * (gain / variances.sqrt())[:, None]).float()
    out_of[:, :count] = (axes * variances.sqrt()[:, None]).transpose(1, 2).float()
    return FrameValues(moments.means.float(), into, out_of)


def _signs(moments: Moments, axes: Tensor, label: int) -> Tensor:
    """1 or -1 for each axis: where the third moment of the class is positive."""
    centred = moments.kept(label).double() - moments.means[label]
    third = (centred @ axes).pow(3).mean(dim=0)
    return torch.where(third < 0, -1.0, 1.0).double()
