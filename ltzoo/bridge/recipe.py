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

Weight = Annotated[float, Meta(ge=0, le=1e6)]


@dataclass(frozen=True, kw_only=True)
class Recipe(Record):
    """Everything that a bridge is trained with, apart from data, label map and seed.

    A term whose weight is zero is not computed.

    Attributes:
        name: What the recipe is called.
        steps: Optimiser steps.
        batch: Latents of each model a step.
        learning_rate: Adam's, at its highest.
        schedule: ``constant``, or ``one-cycle``: a tenth of the steps up, the rest down to nothing,
            both along a cosine.
        layers: ReLU layers in each of the two trunks.
        width: Units of each of those layers.
        shared_dim: Dimensions of the shared latent z'.
        normalization: ``standardize``: each dimension of a model's latents to mean 0 and standard
            deviation 1; ``none``: latents as they are.
        posterior_noise: Inputs are drawn from the models' posteriors anew at every step, as far as the
            latent sets have a posterior; otherwise they are posterior means.
        kl_weight: Of the Kullback-Leibler divergence of z' from N(0, I), summed over dimensions.
        swd_weight: Of the sliced Wasserstein distance between the models' z'.
        swd_by_class: That distance is taken class by class, if there are classes.
        translation_weight: Of the sliced Wasserstein distance between translated latents and the target
            model's own, in normalised units, class by class if there are classes.
        projections: Random directions a sliced Wasserstein distance, drawn anew at every step.
        classifier: Form of the classifier on z': ``linear``, or ``gated`` as in the authors' code.
        classifier_head: ``trained``, or ``frozen`` at its random start as in the authors' code.
        classifier_weight: Of the classifier's cross-entropy.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    steps: Annotated[int, Meta(ge=1, le=10**8)]
    batch: Annotated[int, Meta(ge=2, le=2**20)]
    learning_rate: Annotated[float, Meta(gt=0, le=10)]
    schedule: Literal["constant", "one-cycle"]
    layers: Annotated[int, Meta(ge=1, le=64)]
    width: Annotated[int, Meta(ge=1, le=8192)]
    shared_dim: Annotated[int, Meta(ge=1, le=8192)]
    normalization: Literal["none", "standardize"]
    posterior_noise: bool
    kl_weight: Weight
    swd_weight: Weight
    swd_by_class: bool
    translation_weight: Weight
    projections: Annotated[int, Meta(ge=1, le=2**20)]
    classifier: Literal["linear", "gated"]
    classifier_head: Literal["trained", "frozen"]
    classifier_weight: Weight

    @property
    def class_wise(self) -> bool:
        """Whether a term compares the models' latents class by class."""
        return self.translation_weight > 0 or (self.swd_weight > 0 and self.swd_by_class)


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
