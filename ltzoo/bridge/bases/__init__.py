"""Closed-form bases: maps between latent spaces, solved from sums over the latents in one pass.

Each base gives a `FrameValues` per model; a bridge translates with them alone (``steps = 0``) or learns
corrections on top of them (`ltzoo.bridge.based`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ltzoo.bridge.bases.alignment import turned_onto
from ltzoo.bridge.bases.class_axes import class_axes
from ltzoo.bridge.bases.class_gaussian import class_gaussian
from ltzoo.bridge.bases.frames import FrameValues
from ltzoo.bridge.bases.joint import JointMoments, PairMoments
from ltzoo.bridge.bases.moments import Moments
from ltzoo.bridge.bases.procrustes import procrustes
from ltzoo.bridge.bases.ridge import ridge
from ltzoo.bridge.recipe import Recipe

__all__ = [
    "FrameValues",
    "JointMoments",
    "Moments",
    "PairMoments",
    "solve_base",
    "solve_paired_base",
    "turned_onto",
]

_SOLVERS: dict[str, Callable[[Sequence[Moments], int, Recipe], list[FrameValues]]] = {
    "class-axes": class_axes,
    "class-gaussian": class_gaussian,
}

_PAIRED_SOLVERS: dict[str, Callable[[PairMoments, int, Tensor, int, Recipe], list[FrameValues]]] = {
    "ridge": ridge,
    "procrustes": procrustes,
}


def solve_base(moments: Sequence[Moments], code: int, recipe: Recipe) -> list[FrameValues]:
    """The frames of the recipe's base.

    Args:
        moments: Of each model's normalised latents, all with the same classes.
        code: Dimensions of the code.
        recipe: Names the base, and how it is damped.
    """
    return _SOLVERS[recipe.base](moments, code, recipe)


def solve_paired_base(
    pairs: PairMoments, hub: int, covariance: Tensor, code: int, recipe: Recipe
) -> list[FrameValues]:
    """The frames of the recipe's base on pairs: one map a model, whatever the class.

    Args:
        pairs: Of normalised latents of the hub with those of each other model.
        hub: Index of the model that has pairs with all others.
        covariance: Of all the hub's normalised latents as drawn from their posteriors, float64 ``(size, size)``.
        code: Dimensions of the code, at least as many as the hub has.
        recipe: Names the base, and its penalty.
    """
    return _PAIRED_SOLVERS[recipe.pair_base](pairs, hub, covariance, code, recipe)
