"""Labelled draws of a model that cannot encode: from Python and from the command line."""

from __future__ import annotations

import json

import pytest
import torch
from toy_plugin import toy_zoo

from ltzoo.errors import CapabilityError, LatentsError
from ltzoo.latents import LatentSet, draw_labelled
from ltzoo.zoo import set_default_zoo


@pytest.fixture
def zoo(monkeypatch, tmp_path):
    zoo = toy_zoo()
    set_default_zoo(zoo)
    monkeypatch.chdir(tmp_path)
    return zoo


@pytest.fixture
def model(zoo):
    return zoo.load_model("toy/a")


@pytest.fixture
def labeller(zoo):
    return zoo.load_labeller("toy/squares")


def belief(model, labeller, latents):
    return labeller.logits(model.decode(latents)).softmax(1)


def test_each_class_has_as_many_and_each_draw_is_what_the_labeller_says(model, labeller):
    draws = draw_labelled(model, labeller, 30, classes=2, confidence=0.8)
    assert draws.labels.bincount().tolist() == [30, 30]
    read = belief(model, labeller, draws.latents)
    assert torch.equal(read.argmax(1), draws.labels)
    assert (draws.confidence >= 0.8).all()
    torch.testing.assert_close(read.amax(1), draws.confidence)


def test_the_first_sure_draws_are_kept_not_the_surest(model, labeller):
    few = draw_labelled(model, labeller, 5, classes=2, confidence=0.8)
    many = draw_labelled(model, labeller, 30, classes=2, confidence=0.8)
    for label in range(2):
        assert torch.equal(few.latents[few.labels == label], many.latents[many.labels == label][:5])


def test_yield_and_skew_are_those_of_all_draws(model, labeller):
    draws = draw_labelled(model, labeller, 30, classes=2, confidence=0.8)
    assert draws.drawn == sum(draws.read) == 1024
    assert min(draws.sure) > 30
    assert sum(draws.sure) < draws.drawn
    assert draws.skew == max(draws.sure) / min(draws.sure)


def test_draws_follow_the_seed_and_those_of_two_seeds_share_nothing(model, labeller):
    # More than one round each, so that the second round of one seed meets the first of the next.
    one, same, other = (
        draw_labelled(model, labeller, 300, classes=2, confidence=0.8, seed=seed) for seed in (0, 0, 1)
    )
    assert one.drawn > 1024
    assert torch.equal(one.latents, same.latents)
    assert torch.cdist(one.latents, other.latents).min() > 0


def test_a_class_that_never_comes_ends_at_the_limit(model, labeller):
    with pytest.raises(LatentsError, match=r"1024 draws do not give 4 of each class.*class 0: 0, class 1: 0"):
        draw_labelled(model, labeller, 4, classes=2, confidence=1.0, limit=1024)


def test_a_labeller_of_other_classes_is_refused(model, labeller):
    with pytest.raises(LatentsError, match="tells 2 classes apart, not 3"):
        draw_labelled(model, labeller, 1, classes=3)


def test_a_model_that_cannot_sample_is_refused(zoo, labeller):
    with pytest.raises(CapabilityError, match="toy/mute cannot sample"):
        draw_labelled(zoo.load_model("toy/mute"), labeller, 1, classes=2)


LABEL = ("sample", "toy/a", "--label-with", "toy/squares")


def test_the_command_writes_a_labelled_latent_set(ltzoo, zoo):
    code, out, err = ltzoo(*LABEL, "-n", "6", "--confidence", "0.8", "-o", "z.safetensors")
    assert code == 0
    assert out.split() == ["z.safetensors"]
    assert "the labeller is sure of" in err
    latents = LatentSet.load("z.safetensors", model=zoo.get_model("toy/a"))
    assert latents.label_names == ("dark", "light")
    assert latents.labels.bincount().tolist() == [6, 6]
    draws = draw_labelled(
        zoo.load_model("toy/a"), zoo.load_labeller("toy/squares"), 6, classes=2, confidence=0.8
    )
    assert torch.equal(latents.latents, draws.latents)


def test_the_command_says_yield_and_skew_as_json(ltzoo, zoo):
    code, out, _ = ltzoo(*LABEL, "-n", "2", "--confidence", "0.8", "-o", "z.safetensors", "--json")
    assert code == 0
    content = json.loads(out)
    assert content["items"] == 4
    assert sum(content["read"].values()) == content["drawn"] == 1024
    assert content["sure"]["dark"] + content["sure"]["light"] < 1024
    assert content["outputs"] == ["z.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([*LABEL], 2, "needs a file to write"),
        ([*LABEL, "-o", "-"], 2, "needs a file to write"),
        ([*LABEL, "-o", "z.safetensors", "--sheet", "s.png"], 2, "no sheet"),
        ([*LABEL, "-o", "nowhere/z.safetensors"], 1, "cannot be written"),
        (["sample", "toy/a", "--confidence", "0.5", "-o", "out/"], 2, "goes with --label-with"),
        (["sample", "toy/a", "--label-with", "toy/circles", "-o", "z.safetensors"], 2, "no data set"),
        (["sample", "toy/mute", "--label-with", "toy/squares", "-o", "z.safetensors"], 2, "cannot sample"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(ltzoo, zoo, tmp_path, arguments, code, message):
    got, out, err = ltzoo(*arguments)
    assert got == code
    assert message in err
    assert not out
    assert not list(tmp_path.iterdir())
