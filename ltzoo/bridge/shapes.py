"""Which form latents take on their way into a bridge, by their models' specs and the recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ltzoo.bridge.config import BridgeConfig, EntranceShape
from ltzoo.bridge.entrances import Entrance, PooledEntrance, fit_pooling, make_entrance
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.sampling import training_part
from ltzoo.errors import TrainingError, UsageError
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec, format_shape

__all__ = ["EntrancePlan", "open_entrances", "plan_added", "plan_entrances"]

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
        every = zip(*(one.latent_shape[1:] for one in latents), strict=True)
        return _folded(models, latents, tuple(math.gcd(*sizes) for sizes in every))
    return EntrancePlan("vector", *_as_vectors(recipe, models, latents))


def plan_added(config: BridgeConfig, model: ModelSpec, latents: Sequence[LatentSet]) -> EntrancePlan:
    """Settles the entrance of a model that is added to a bridge.

    Args:
        config: Of the bridge.
        model: The new model.
        latents: Sets of the bridge's models, then the new model's.

    Raises:
        TrainingError: The bridge works position by position, and the new model's latents do not fit in.
    """
    *known, new = latents
    before = config.architecture
    if before.trunk == "vector":
        return EntrancePlan("vector", *_as_vectors(config.recipe, [model], [new]))
    first = config.models[0].spec
    common = tuple(
        size // step for size, step in zip(known[0].latent_shape[1:], before.entrances[0].shape, strict=True)
    )
    alike = model.latent.kind == first.latent.kind
    if not alike or any(size % count for size, count in zip(new.latent_shape[1:], common, strict=True)):
        raise TrainingError(
            f"the bridge works position by position on {format_shape(known[0].latent_shape)} of {first.id}, into "
            f"which {format_shape(new.latent_shape)} of {model.id} does not fit",
            hint="encode the same data at a size that is a multiple, or train a bridge with --set trunk=vector",
        )
    return _folded([model], [new], common)


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


def _as_vectors(
    recipe: Recipe, models: Sequence[ModelSpec], latents: Sequence[LatentSet]
) -> tuple[tuple[EntranceShape, ...], tuple[int, ...]]:
    """Entrances into vectors, and their sizes."""
    forms, sizes = [], []
    for model, one in zip(models, latents, strict=True):
        numbers = math.prod(one.latent_shape)
        short = recipe.pooled_dim
        if model.latent.kind == "vector":
            short = LONGEST if recipe.base != "none" else numbers
        if model.latent.fixed and numbers <= short:
            forms.append(EntranceShape(kind="flat", shape=one.latent_shape))
            sizes.append(numbers)
        else:
            forms.append(EntranceShape(kind="pooled", shape=one.latent_shape))
            sizes.append(min(recipe.pooled_dim, numbers, len(training_part(one))))
    return tuple(forms), tuple(sizes)


def _folded(
    models: Sequence[ModelSpec], latents: Sequence[LatentSet], common: tuple[int, ...]
) -> EntrancePlan:
    """Entrances that fold latents to ``common`` positions."""
    forms, channels = [], []
    for model, one in zip(models, latents, strict=True):
        block = tuple(own // shared for own, shared in zip(one.latent_shape[1:], common, strict=True))
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
