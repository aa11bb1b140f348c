"""Which network a recipe and the models' latents ask for."""

from __future__ import annotations

from typing import Literal

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.config import Architecture, EntranceShape
from ltzoo.bridge.convolutional import ConvolutionalAutoencoder
from ltzoo.bridge.network import BridgeNetwork, SharedAutoencoder
from ltzoo.bridge.recipe import Recipe

__all__ = ["make_architecture", "make_network"]


def make_architecture(
    recipe: Recipe,
    sizes: tuple[int, ...],
    classes: int,
    *,
    trunk: Literal["vector", "convolution"] = "vector",
    entrances: tuple[EntranceShape, ...] = (),
    paired: bool = False,
) -> Architecture:
    """The architecture that a recipe gives for latents of these sizes.

    Args:
        recipe: The recipe.
        sizes: Length of each model's latents as they enter; channels, for a convolutional trunk.
        classes: How many classes the models share; 0 without labels.
        trunk: Of the network.
        entrances: How the latents enter; none, if they are vectors to begin with.
        paired: One model has pairs with all others.
    """
    if recipe.base == "none":
        return Architecture(
            sizes=sizes,
            classes=classes,
            layers=recipe.layers,
            width=recipe.width,
            shared_dim=recipe.shared_dim,
            classifier=recipe.classifier,
            entrances=entrances,
        )
    return Architecture(
        sizes=sizes,
        classes=classes,
        layers=recipe.layers if recipe.steps else 0,
        width=recipe.channels if trunk == "convolution" else recipe.width,
        shared_dim=(recipe.shared_dim or max(sizes)) + classes,
        base=True,
        members=recipe.inference_members,
        temperature=recipe.temperature,
        trunk=trunk,
        entrances=entrances,
        paired=paired and recipe.pair_base != "none",
    )


def make_network(architecture: Architecture) -> BridgeNetwork:
    """The network of an architecture, with weights that are not initialised."""
    if architecture.trunk == "convolution":
        return ConvolutionalAutoencoder(architecture)
    return BasedAutoencoder(architecture) if architecture.base else SharedAutoencoder(architecture)
