"""Which form latents take on their way into a bridge, by their models' specs and the recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ltzoo.bridge.config import EntranceShape
from ltzoo.bridge.entrances import Entrance, PooledEntrance, fit_pooling, make_entrance
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.sampling import training_part
from ltzoo.errors import TrainingError, UsageError
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec, format_shape

__all__ = ["EntrancePlan", "open_entrances", "plan_entrances"]

LONGEST = 2048
"""Numbers of a latent, or channels, whose covariances a base can be solved from."""

LARGEST_BLOCK = 8
"""Positions a side that are folded into one: models whose strides differ by more have little in common there."""


@dataclass(frozen=True)
class EntrancePlan:
    """What `plan_entrances` settles.

    Attributes:
        trunk: Of the network.
        forms: One a model.
        sizes: Length of each model's latents, or channels, behind its entrance.
    """

    trunk: Literal["vector", "convolution"]
    forms: tuple[EntranceShape, ...]
    sizes: tuple[int, ...]

    @property
    def entrances(self) -> tuple[EntranceShape, ...]:
        """The forms as a config has them: none where all latents are vectors and stay as they are."""
        plain = all(form.kind == "flat" and len(form.shape) == 1 for form in self.forms)
        return () if plain else self.forms


def plan_entrances(
    recipe: Recipe,
    models: Sequence[ModelSpec],
    latents: Sequence[LatentSet],
    *,
    labelled: bool,
    paired: bool = False,
) -> EntrancePlan:
    """Settles trunk and entrances.

    The trunk is convolutional where all latents are grids, or all sequences, and nothing is known of whole items but
    which of them belong together. Labels are of whole items; then, and between latents of different kinds, each
    latent becomes one vector.

    Args:
        recipe: Has the last word on the trunk.
        models: The models.
        latents: Their sets, for sizes that the specs leave open.
        labelled: There are classes.
        paired: There are pairs.

    Raises:
        UsageError: The recipe asks for a convolutional trunk and the latents have no positions in common.
        TrainingError: The latents' sizes do not come to one number of positions.
    """
    kinds = {model.latent.kind for model in models}
    alike = len(kinds) == 1 and kinds != {"vector"}
    if recipe.trunk == "convolution" and not alike:
        raise UsageError(
            "the convolutional trunk takes grids only, or sequences only; these are "
            + " and ".join(sorted(kinds)),
            hint="--set trunk=vector",
        )
    if recipe.trunk == "convolution" or (
        recipe.trunk == "auto" and alike and recipe.base != "none" and (paired or not labelled)
    ):
        return _folded(models, latents)
    forms, sizes = [], []
    for model, one in zip(models, latents, strict=True):
        numbers = math.prod(one.latent_shape)
        short = (
            recipe.pooled_dim
            if model.latent.kind != "vector"
            else LONGEST
            if recipe.base != "none"
            else numbers
        )
        if model.latent.fixed and numbers <= short:
            forms.append(EntranceShape(kind="flat", shape=one.latent_shape))
            sizes.append(numbers)
        else:
            forms.append(EntranceShape(kind="pooled", shape=one.latent_shape))
            sizes.append(min(recipe.pooled_dim, numbers, len(training_part(one))))
    return EntrancePlan("vector", tuple(forms), tuple(sizes))


def open_entrances(
    plan: EntrancePlan, latents: Sequence[LatentSet], device: str | torch.device
) -> tuple[list[Entrance], tuple[str, ...]]:
    """The entrances, fitted to what is trained on.

    Returns:
        One a model, and notes for the user.
    """
    entrances, notes = [], []
    for form, size, one in zip(plan.forms, plan.sizes, latents, strict=True):
        entrance = make_entrance(form, size).to(device)
        if isinstance(entrance, PooledEntrance):
            kept = fit_pooling(entrance, training_part(one).latents.to(device))
            notes.append(
                f"latents of {one.model} ({format_shape(one.latent_shape)}) become {size} numbers, which hold "
                f"{kept:.1%} of their variance"
            )
        entrances.append(entrance)
    return entrances, tuple(notes)


def _folded(models: Sequence[ModelSpec], latents: Sequence[LatentSet]) -> EntrancePlan:
    sizes = [one.latent_shape[1:] for one in latents]
    common = tuple(math.gcd(*of_dim) for of_dim in zip(*sizes, strict=True))
    forms, channels = [], []
    for model, size in zip(models, sizes, strict=True):
        block = tuple(own // shared for own, shared in zip(size, common, strict=True))
        folded = model.latent.channels * math.prod(block)
        if max(block) > LARGEST_BLOCK or folded > LONGEST:
            listed = ", ".join(f"{one.model} {format_shape(one.latent_shape)}" for one in latents)
            raise TrainingError(
                f"the latents' sizes have too small a common divisor to go position by position: {listed}",
                hint="--set trunk=vector, or encode data of another size",
            )
        forms.append(EntranceShape(kind="folded", shape=block))
        channels.append(folded)
    return EntrancePlan("convolution", tuple(forms), tuple(channels))
