"""Recipes: the named configurations that a bridge is trained with."""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from ltzoo.errors import SpecError, UsageError
from ltzoo.records import Record

__all__ = ["Recipe", "get_recipe", "list_recipes"]

PAIRED_BASES = ("ridge", "procrustes")

Weight = Annotated[float, Meta(ge=0, le=1e6)]


@dataclass(frozen=True, kw_only=True)
class Recipe(Record):
    """Everything that a bridge is trained with, apart from data, label map and seed.

    A term whose weight is zero is not computed.

    Fields that a file leaves out have the values given here.

    Attributes:
        name: What the recipe is called.
        base: The closed-form map that the bridge starts from, or ``none`` (see `ltzoo.bridge.bases`).
            ``ridge`` and ``procrustes`` need pairs.
        paired_base: Taken in place of ``base`` where one model has pairs with all others; ``none``: pairs change
            nothing about the base. It takes ``shared_dim`` 0, and is not taken with another.
        ridge: What the base ``ridge`` adds to the mean squared error of normalised latents, times the squared
            coefficients; chosen by generalised cross-validation if left out.
        noise_gain: How much an axis of the base is damped where the posterior's own variance is large
            against the latents': by ``v / (v + noise_gain * noise)``. 0: not at all.
        inference_steps: Optimiser steps of each network that infers classes for the base.
        inference_members: How many such networks a model has; their log-probabilities are averaged.
        temperature: That the inferred classes' logits are divided by; less is more decided.
        steps: Optimiser steps. With 0, the bridge is its base.
        batch: Latents of each model a step, if there are two; more models share as many as two have (`batch_of`).
            Positions, with a convolutional trunk.
        learning_rate: Adam's, at its highest.
        schedule: ``constant``, or ``one-cycle``: a tenth of the steps up, the rest down to nothing,
            both along a cosine.
        second_moment_decay: Adam's beta_2.
        base_rate: Learning rate of the base's own maps and of class inference, as a share of
            ``learning_rate``; 0: they stay as they are.
        trunk: ``vector``: grids and sequences become vectors, class by class; ``convolution``: the network
            works position by position, at any size; ``auto``: by the models' latents (`ltzoo.bridge.networks`).
        pooled_dim: Numbers that a grid or a sequence becomes at most, where it becomes a vector.
        layers: ReLU layers in each of the two trunks. Without steps there are none.
        width: Units of each of those layers.
        channels: The same for a convolutional trunk.
        shared_dim: Dimensions of the shared latent z'. On a base, 0 stands for as many as the largest
            model has; classes have dimensions of their own there.
        normalization: ``standardize``: each dimension of a model's latents to mean 0 and standard
            deviation 1; ``none``: latents as they are.
        posterior_noise: Inputs are drawn from the models' posteriors anew at every step, as far as the
            latent sets have a posterior; otherwise they are posterior means.
        reconstruction_weight: Of the squared error of each model's own latents after z' and back.
        kl_weight: Of the Kullback-Leibler divergence of z' from N(0, I), summed over dimensions.
        swd_weight: Of the sliced Wasserstein distance between the models' z'.
        swd_by_class: That distance is taken class by class, if there are classes.
        translation_weight: Of the sliced Wasserstein distance between translated latents and the target
            model's own, in normalised units, class by class if there are classes.
        nearness_weight: Of how much farther translated latents lie from the nearest of the target model's own,
            class by class if there are classes, than nine of ten of these lie from each other: squared, averaged
            over dimensions, in normalised units.
        cycle_weight: Of the squared error after translating there and back.
        noisy_cycle_weight: Of the same with noise of the target's posterior on what is translated back.
        recognition_weight: Of the cross-entropy of the target's class inference on translated latents.
            Only with a base.
        inference_weight: Of the cross-entropy of class inference on each model's own latents, drawn
            from their posteriors. Keeps it right while ``recognition_weight`` moves it. Only with a base.
        pair_weight: Of the squared error of translated latents against those of the same item, in normalised
            units, where there are pairs.
        projections: Random directions a sliced Wasserstein distance, drawn anew at every step.
        classifier: Form of the classifier on z': ``linear``, or ``gated`` as in the authors' code.
        classifier_head: ``trained``, or ``frozen`` at its random start as in the authors' code.
        classifier_weight: Of the classifier's cross-entropy.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    base: Literal["none", "class-axes", "class-gaussian", "ridge", "procrustes"] = "none"
    paired_base: Literal["none", "ridge", "procrustes"] = "none"
    ridge: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    noise_gain: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    inference_steps: Annotated[int, Meta(ge=1, le=10**7)] = 600
    inference_members: Annotated[int, Meta(ge=1, le=16)] = 1
    temperature: Annotated[float, Meta(gt=0, le=100)] = 1.0
    steps: Annotated[int, Meta(ge=0, le=10**8)]
    batch: Annotated[int, Meta(ge=2, le=2**20)] = 500
    learning_rate: Annotated[float, Meta(gt=0, le=10)] = 1e-3
    schedule: Literal["constant", "one-cycle"] = "one-cycle"
    second_moment_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    base_rate: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    trunk: Literal["auto", "vector", "convolution"] = "auto"
    pooled_dim: Annotated[int, Meta(ge=1, le=2048)] = 256
    layers: Annotated[int, Meta(ge=1, le=64)] = 2
    width: Annotated[int, Meta(ge=1, le=8192)] = 256
    channels: Annotated[int, Meta(ge=1, le=8192)] = 128
    shared_dim: Annotated[int, Meta(ge=0, le=8192)] = 0
    normalization: Literal["none", "standardize"] = "standardize"
    posterior_noise: bool = False
    reconstruction_weight: Weight = 1.0
    kl_weight: Weight = 0.0
    swd_weight: Weight = 0.0
    swd_by_class: bool = True
    translation_weight: Weight = 0.0
    nearness_weight: Weight = 0.0
    cycle_weight: Weight = 0.0
    noisy_cycle_weight: Weight = 0.0
    recognition_weight: Weight = 0.0
    inference_weight: Weight = 0.0
    pair_weight: Weight = 0.0
    projections: Annotated[int, Meta(ge=1, le=2**20)] = 64
    classifier: Literal["linear", "gated"] = "linear"
    classifier_head: Literal["trained", "frozen"] = "trained"
    classifier_weight: Weight = 0.0

    def __post_init__(self) -> None:
        based = self.base != "none"
        if not based and not (self.steps and self.shared_dim):
            raise SpecError(f"recipe '{self.name}': without a base, steps and shared_dim must be above 0")
        if self.trunk == "convolution" and not based:
            raise SpecError(f"recipe '{self.name}': the convolutional trunk needs a base")
        if self.base in ("class-gaussian", *PAIRED_BASES) and self.shared_dim:
            raise SpecError(f"recipe '{self.name}': the base {self.base} takes shared_dim 0")
        if self.paired_base != "none" and (not based or self.base in PAIRED_BASES):
            raise SpecError(
                f"recipe '{self.name}': paired_base stands in for another base, not for {self.base}"
            )
        if self.ridge is not None and self.pair_base != "ridge":
            raise SpecError(f"recipe '{self.name}': ridge has no effect without the base ridge")
        # A weight that nothing is done with would look as if it had been tried.
        idle = ("classifier_weight",) if based else ("recognition_weight", "inference_weight")
        for name in idle:
            if getattr(self, name):
                where = f"on the base {self.base}" if based else "without a base"
                raise SpecError(f"recipe '{self.name}': {name} has no effect {where} and must be 0")

    def batch_of(self, models: int) -> int:
        """Latents of each model a step, of so many models: a step costs about the same whatever their number."""
        return max(2 * self.batch // max(models, 2), 2)

    @property
    def pair_base(self) -> str:
        """The base where there are pairs, if that is one that is fitted to them; else ``none``."""
        if self.base in PAIRED_BASES:
            return self.base
        return "none" if self.shared_dim else self.paired_base

    @property
    def needs_pairs(self) -> bool:
        """Whether there is no such bridge without pairs."""
        return self.base in PAIRED_BASES

    @property
    def uses_pairs(self) -> bool:
        """Whether pairs make a difference."""
        return self.pair_base != "none" or self.pair_weight > 0

    @property
    def compares(self) -> bool:
        """Whether a term compares translated latents with the target model's own."""
        return bool(self.translation_weight or self.nearness_weight)

    @property
    def translates(self) -> bool:
        """Whether a term looks at translated latents."""
        return bool(self.compares or self.cycle_weight or self.noisy_cycle_weight or self.recognition_weight)

    @property
    def class_wise(self) -> bool:
        """Whether a term compares the models' latents class by class."""
        return self.base != "none" or self.compares or (self.swd_weight > 0 and self.swd_by_class)


def list_recipes() -> list[str]:
    """The names of the recipes that come with ltzoo."""
    files = (resources.files("ltzoo.bridge") / "recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def get_recipe(name: str | os.PathLike[str] = "default", **overrides: Any) -> Recipe:
    """A recipe by name or from a file, with some fields replaced.

    Args:
        name: One of `list_recipes`, or the path of a TOML file: a `Path`, or a string that ends in
            ``.toml``.
        **overrides: Fields of `Recipe` and their values.

    Raises:
        UsageError: No such recipe, file or field, or a value is of the wrong type or out of bounds.
    """
    known = [field.name for field in fields(Recipe)]
    for override in overrides:
        if override not in known:
            raise UsageError(f"a recipe has no field '{override}'", hint=_nearest(override, known, "fields"))
    data, where = _read(name)
    try:
        return Recipe.from_dict({**data, **overrides}, where=where)
    except SpecError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _read(name: str | os.PathLike[str]) -> tuple[dict[str, Any], str]:
    """A recipe's plain data, and what to call it in messages."""
    try:
        if isinstance(name, os.PathLike) or name.endswith(".toml"):
            path = Path(name)
            return tomllib.loads(path.read_text("utf-8")), f"recipe {path}"
        if name not in list_recipes():
            raise UsageError(f"no recipe '{name}'", hint=_nearest(name, list_recipes(), "recipes"))
        text = (resources.files("ltzoo.bridge") / "recipes" / f"{name}.toml").read_text("utf-8")
        return tomllib.loads(text), f"recipe '{name}'"
    except OSError as error:
        raise UsageError(f"recipe {os.fspath(name)}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {os.fspath(name)}: not valid TOML: {error}") from error


def _nearest(name: str, known: list[str], what: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"{what}: {', '.join(known)}"
