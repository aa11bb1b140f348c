"""What is run: the paper's recipe at laptop scale, with one thing changed at a time. Torch-free."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from ltzoo.bridge.recipe import Recipe, get_recipe, list_recipes

MODELS = ("mnist/vae", "fashion-mnist/vae")
DIRECTIONS = ("mnist/vae -> fashion-mnist/vae", "fashion-mnist/vae -> mnist/vae")
SEEDS = (0, 1, 2)

Edit = Literal["no-domain-label", "mean-code"]


DEFAULTS = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}
"""Of a recipe's fields that have one."""


@dataclass(frozen=True)
class Variant:
    """One way to translate between the two models.

    Attributes:
        name: In file names and on the command line.
        title: For people.
        kind: ``laptop``: trained with the laptop recipe; ``recipe``: with one of ltzoo's of the same name;
            ``reference``: one of ltzoo's references; ``own``: no translation, but the target's own latents.
        changes: Fields of the laptop recipe that are different.
        edit: What is changed in the network itself.
        labels_per_class: Labelled items of each class and model; None for all.
    """

    name: str
    title: str
    kind: Literal["laptop", "recipe", "reference", "own"] = "laptop"
    changes: Mapping[str, Any] = field(default_factory=dict)
    edit: Edit | None = None
    labels_per_class: int | None = None

    def recipe(self) -> Recipe | None:
        """What it is trained with; None if it is not trained."""
        if self.kind == "laptop":
            return laptop_recipe(**self.changes)
        return get_recipe(self.name) if self.kind == "recipe" else None

    def settings(self) -> dict[str, Any]:
        """What makes its results its own, as plain data: a stored result with other settings is stale."""
        recipe: dict[str, Any] = {}
        if self.kind == "laptop":
            recipe = {**laptop_changes(), **self.changes}
        elif self.kind == "recipe":
            # Recipes of ltzoo change with it. A field that is new, and does nothing by default, changes no result.
            own = get_recipe(self.name)
            recipe = {
                name: value
                for name, value in own.to_dict().items()
                if name not in DEFAULTS or value != DEFAULTS[name]
            }
        return {
            "kind": self.kind,
            "recipe": recipe,
            "edit": self.edit or "",
            "labels_per_class": self.labels_per_class or 0,
        }


VARIANTS = (
    Variant("laptop", "the paper's, at laptop scale"),
    Variant("no-swd", "without sliced Wasserstein distance", changes={"swd_weight": 0.0}),
    Variant("no-kl", "without KL divergence", changes={"kl_weight": 0.0}),
    Variant("no-classifier", "without classifier", changes={"classifier_weight": 0.0}),
    Variant("no-domain-label", "without domain label", edit="no-domain-label"),
    Variant("autoencoder", "plain autoencoder", changes={"kl_weight": 0.0}, edit="mean-code"),
    Variant("labels-1", "1 label a class", labels_per_class=1),
    Variant("labels-3", "3 labels a class", labels_per_class=3),
    Variant("labels-10", "10 labels a class", labels_per_class=10),
    Variant("labels-100", "100 labels a class", labels_per_class=100),
    Variant("class-gaussian", "closed form: class-wise Gaussian transport", kind="recipe"),
    Variant("class-axes", "closed form: class-wise axes matched by rank", kind="recipe"),
    Variant("random-retrieval", "random same-class retrieval", kind="reference"),
    Variant("nearest-retrieval", "nearest same-class retrieval", kind="reference"),
    Variant("own", "the target's own latents", kind="own"),
)


def get_variant(name: str) -> Variant:
    """The variant of that name."""
    return next(variant for variant in VARIANTS if variant.name == name)


def available(variant: Variant) -> bool:
    """Whether this version of ltzoo can run it: not all of them have closed-form recipes."""
    return variant.kind != "recipe" or variant.name in list_recipes()


def laptop_changes() -> dict[str, Any]:
    """Fields in which the laptop recipe differs from ``tian-engel-2019``."""
    changes: dict[str, Any] = _laptop()["changes"]
    return changes


def laptop_recipe(**changes: Any) -> Recipe:
    """The laptop recipe, with some fields changed."""
    laptop = _laptop()
    return replace(get_recipe(laptop["base"], **{**laptop["changes"], **changes}), name=laptop["name"])


def _laptop() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("laptop.toml").read_text("utf-8"))
