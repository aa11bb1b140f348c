"""Label maps: by name, by position, given, and none."""

from __future__ import annotations

import pytest
import torch
from bridge_samples import make_latents, make_spec

from ltzoo.bridge.config import LabelMap
from ltzoo.bridge.labels import class_indices, join_labels, match_labels
from ltzoo.errors import SpecError, TrainingError, UsageError

A, B = make_spec("a"), make_spec("b")


def sets(names_a, names_b):
    return [
        make_latents(A, classes=len(names_a), names=names_a),
        make_latents(B, classes=len(names_b), names=names_b),
    ]


def test_equal_names_are_joined_whatever_their_order():
    pair = sets(("cat", "dog", "cow"), ("cow", "cat", "dog"))
    label_map, notes = match_labels("auto", pair)
    assert label_map.origin == "names"
    assert label_map.classes == ("cat", "dog", "cow")
    assert notes == ()
    assert class_indices(label_map, pair[1]).tolist()[:3] == [2, 0, 1]


def test_labels_that_only_one_model_has_are_left_out_and_told():
    pair = sets(("cat", "dog", "cow"), ("dog", "cat"))
    label_map, notes = match_labels("auto", pair)
    assert label_map.classes == ("cat", "dog")
    assert class_indices(label_map, pair[0]).tolist()[:3] == [0, 1, -1]
    assert len(notes) == 1
    assert "toy/a" in notes[0]
    assert "cow" in notes[0]


def test_equally_many_foreign_names_are_joined_by_position_and_told():
    label_map, notes = match_labels("auto", sets(("0", "1"), ("shirt", "shoe")))
    assert label_map.origin == "position"
    assert label_map.models["toy/b"] == {"shirt": "0", "shoe": "1"}
    assert "0 = shirt, 1 = shoe" in notes[0]


@pytest.mark.parametrize("names", [("0", "1"), ("cat", "hen", "pig")])
def test_labels_that_cannot_be_joined_are_refused_with_a_hint(names):
    with pytest.raises(TrainingError, match="cannot be joined") as caught:
        match_labels("auto", sets(("cat", "dog", "cow"), names))
    assert "label map" in caught.value.hint


def test_without_labels_there_are_no_classes_and_the_user_is_told():
    pair = [make_latents(A), make_latents(B, labelled=False)]
    label_map, notes = match_labels("auto", pair)
    assert label_map == LabelMap(origin="none")
    assert "toy/b has no labels" in notes[0]
    assert class_indices(label_map, pair[0]) is None
    assert match_labels("none", pair)[0].origin == "none"


GIVEN = {"toy/a": {"0": "zero", "1": "one"}, "toy/b": {"eins": "one", "null": "zero", "nix": "zero"}}
NAMES = (("0", "1", "2"), ("eins", "null", "nix"))


def test_a_given_map_may_join_and_leave_out_labels():
    pair = sets(*NAMES)
    label_map, _ = match_labels(GIVEN, pair)
    assert label_map.origin == "given"
    assert label_map.classes == ("zero", "one")
    assert class_indices(label_map, pair[0]).tolist()[:3] == [0, 1, -1]
    assert class_indices(label_map, pair[1]).tolist()[:3] == [1, 0, 0]


def test_the_map_of_a_bridge_can_be_used_again():
    pair = sets(*NAMES)
    label_map, _ = match_labels(GIVEN, pair)
    assert match_labels(label_map, pair)[0] == label_map
    assert match_labels(LabelMap(origin="none"), pair)[0].origin == "none"


def test_a_map_from_a_file(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text(
        '["toy/a"]\n0 = "zero"\n1 = "one"\n["toy/b"]\neins = "one"\nnull = "zero"\nnix = "zero"\n', "utf-8"
    )
    assert match_labels(path, sets(*NAMES))[0] == match_labels(GIVEN, sets(*NAMES))[0]
    assert match_labels(str(path), sets(*NAMES))[0].classes == ("zero", "one")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"toy/a": {"0": "zero"}}, "no labels of toy/b"),
        ({"toy/a": {"0": "zero"}, "toy/b": {"sieben": "zero"}}, "'sieben'"),
        ({"toy/a": {"0": "zero", "1": "one"}, "toy/b": {"eins": "one"}}, "no label for class 'zero'"),
        ({"toy/a": {"0": "zero"}, "toy/b": {"eins": "one"}}, "'one' of toy/b"),
    ],
)
def test_a_given_map_that_does_not_fit_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        match_labels(given, sets(*NAMES))


@pytest.mark.parametrize("text", ["not toml [", "a = 1", '["toy/a"]\n0 = 1', "\x00"])
def test_a_file_that_holds_no_map_is_refused(tmp_path, text):
    path = tmp_path / "map.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"map\.toml"):
        match_labels(path, sets(*NAMES))


def test_a_missing_file_is_refused():
    with pytest.raises(UsageError, match="no-such"):
        match_labels("no-such.toml", sets(*NAMES))


def test_a_given_map_needs_labels():
    with pytest.raises(TrainingError, match="toy/b have no labels"):
        match_labels(GIVEN, [sets(*NAMES)[0], make_latents(B, labelled=False)])


def test_unlabelled_items_have_no_class():
    one = make_latents(A, names=("x", "y", "z"))
    one.labels[3] = -1
    label_map, _ = match_labels("auto", [one, make_latents(B, names=("x", "y", "z"))])
    assert class_indices(label_map, one).tolist()[:5] == [0, 1, 2, -1, 1]
    assert class_indices(label_map, one).dtype == torch.int64


def test_a_label_map_is_checked():
    with pytest.raises(SpecError, match="must differ"):
        LabelMap(origin="names", classes=("a", "a"), models={"m": {"a": "a"}})
    with pytest.raises(SpecError, match="does not go"):
        LabelMap(origin="none", classes=("a",), models={"m": {"a": "a"}})


# A model that is added

C = make_spec("c")
BRIDGE = LabelMap(
    origin="position",
    classes=("0", "1", "2"),
    models={
        "toy/a": {"0": "0", "1": "1", "2": "2"},
        "toy/b": {"shirt": "0", "shoe": "1", "bag": "2"},
    },
)


def added(*names):
    return [
        *sets(("0", "1", "2"), ("shirt", "shoe", "bag")),
        make_latents(C, classes=len(names), names=names),
    ]


@pytest.mark.parametrize(
    ("names", "table", "told"),
    [
        (("2", "1", "0"), {"2": "2", "1": "1", "0": "0"}, ()),
        (("2", "nine", "1", "0"), {"2": "2", "1": "1", "0": "0"}, ("left out: nine",)),
        (("bag", "shirt", "shoe"), {"bag": "2", "shirt": "0", "shoe": "1"}, ()),
        (("cat", "dog", "cow"), {"cat": "0", "dog": "1", "cow": "2"}, ("cat = 0, dog = 1, cow = 2",)),
    ],
)
def test_an_added_models_labels_are_joined_by_any_name_they_have_or_by_position(names, table, told):
    label_map, notes = join_labels(BRIDGE, "auto", added(*names))
    assert label_map.models == {**BRIDGE.models, "toy/c": table}
    assert (label_map.classes, label_map.origin) == (BRIDGE.classes, "position")
    assert len(notes) == len(told)
    assert all(text in note for text, note in zip(told, notes, strict=True))


@pytest.mark.parametrize("names", [("0", "1", "cat"), ("cat", "dog"), ("shirt", "shoe", "bags")])
def test_an_added_model_must_have_every_class(names):
    with pytest.raises(TrainingError, match="cannot be joined: the bridge has 3 classes") as caught:
        join_labels(BRIDGE, "auto", added(*names))
    assert "label map" in caught.value.hint


def test_a_given_map_of_an_added_model(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text('["toy/c"]\ncat = "2"\ndog = "0"\ncow = "1"\n')
    label_map, notes = join_labels(BRIDGE, path, added("cat", "dog", "cow"))
    assert label_map.models == {**BRIDGE.models, "toy/c": {"cat": "2", "dog": "0", "cow": "1"}}
    assert (label_map.origin, notes) == ("given", ())
    again, _ = join_labels(BRIDGE, label_map, added("cat", "dog", "cow"))
    assert again == label_map
    with pytest.raises(UsageError, match="other labels of toy/b than the bridge"):
        join_labels(BRIDGE, {**label_map.models, "toy/b": {"shirt": "1"}}, added("cat", "dog", "cow"))
