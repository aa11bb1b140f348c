"""Recipes: those that ship, files, and overrides."""

from __future__ import annotations

import pytest

from ltzoo.bridge import get_recipe, list_recipes
from ltzoo.errors import UsageError


def test_every_shipped_recipe_is_valid_and_named_after_its_file():
    assert {"default", "tian-engel-2019"} <= set(list_recipes())
    assert [get_recipe(name).name for name in list_recipes()] == list_recipes()


def test_the_papers_recipe():
    recipe = get_recipe("tian-engel-2019")
    assert (recipe.layers, recipe.width, recipe.shared_dim) == (4, 512, 8)
    assert (recipe.kl_weight, recipe.swd_weight, recipe.classifier_weight) == (0.005, 1.0, 0.05)
    assert (recipe.batch, recipe.learning_rate, recipe.schedule) == (512, 1e-3, "constant")
    assert (recipe.steps, recipe.projections) == (20_000, 128 * recipe.shared_dim)
    assert (recipe.normalization, recipe.posterior_noise) == ("none", True)
    assert (recipe.swd_by_class, recipe.translation_weight, recipe.class_wise) == (False, 0, False)
    assert (recipe.classifier, recipe.classifier_head) == ("gated", "trained")
    assert get_recipe("tian-engel-2019", classifier_head="frozen").classifier_head == "frozen"


def test_a_file_is_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    fields = {**get_recipe().to_dict(), "name": "mine", "steps": 7}
    lines = [f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in fields.items()]
    path.write_text("\n".join(lines), "utf-8")
    assert get_recipe(path).steps == 7
    assert get_recipe(str(path), steps=8).steps == 8


@pytest.mark.parametrize(
    ("name", "overrides", "message", "hint"),
    [
        ("defualt", {}, "no recipe 'defualt'", "did you mean 'default'?"),
        ("xyz", {}, "no recipe 'xyz'", "recipes: class-axes, class-gaussian, default"),
        ("default", {"widht": 3}, "no field 'widht'", "did you mean 'width'?"),
        ("default", {"width": 10**9}, "width", None),
        ("default", {"width": "wide"}, "width", None),
        ("default", {"schedule": "sometimes"}, "schedule", None),
        ("missing.toml", {}, "missing.toml", None),
    ],
)
def test_what_is_not_known_is_refused(name, overrides, message, hint):
    with pytest.raises(UsageError) as caught:
        get_recipe(name, **overrides)
    assert message in str(caught.value)
    assert hint is None or hint in caught.value.hint


@pytest.mark.parametrize("text", ["steps = [", "steps = 3", 'name = "x"\nflavour = 1'])
def test_a_file_that_holds_no_recipe_is_refused(tmp_path, text):
    path = tmp_path / "bad.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"bad\.toml"):
        get_recipe(path)


def test_without_a_base_there_is_something_to_train():
    for overrides in ({"steps": 0}, {"shared_dim": 0}):
        with pytest.raises(UsageError, match="without a base"):
            get_recipe("tian-engel-2019", **overrides)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("default", {"classifier_weight": 0.5}, "classifier_weight has no effect on the base"),
        ("tian-engel-2019", {"recognition_weight": 0.5}, "recognition_weight has no effect without"),
        ("tian-engel-2019", {"inference_weight": 0.5}, "inference_weight has no effect without"),
        ("class-gaussian", {"shared_dim": 3}, "takes shared_dim 0"),
    ],
)
def test_what_would_have_no_effect_is_refused(name, overrides, message):
    with pytest.raises(UsageError, match=message):
        get_recipe(name, **overrides)
