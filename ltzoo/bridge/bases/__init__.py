"""Closed-form bases: maps between latent spaces, solved from sums over the latents in one pass.

Each base gives a `FrameValues` per model; a bridge translates with them alone (``steps = 0``) or learns
corrections on top of them (`ltzoo.bridge.based`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ltzoo.bridge.bases.class_axes import class_axes
from ltzoo.bridge.bases.class_gaussian import class_gaussian
from ltzoo.bridge.bases.frames import FrameValues
from ltzoo.bridge.bases.moments import Moments
from ltzoo.bridge.recipe import Recipe

__all__ = ["FrameValues", "Moments", "solve_base"]

_SOLVERS: dict[str, Callable[[Sequence[Moments], int, Recipe], list[FrameValues]]] = {
    "class-axes": class_axes,
    "class-gaussian": class_gaussian,
}


def solve_base(moments: Sequence[Moments], code: int, recipe: Recipe) -> list[FrameValues]:
    """The frames of the recipe's base.

    Args:
        moments: Of each model's normalised latents, all with the same classes.
        code: Dimensions of the code.
        recipe: Names the base, and how it is damped.
    """
    return _SOLVERS[recipe.base](moments, code, recipe)
