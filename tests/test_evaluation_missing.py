"""What cannot be measured is left out with a reason, or refused in one clear line."""

from __future__ import annotations

import pytest
import torch
from evaluation_world import A, B, Map, identity, make_latents, make_spec, workbench

from ltzoo.bridge.config import LabelMap
from ltzoo.errors import BridgeError, LatentsError, LtzooError, UsageError
from ltzoo.evaluation import Protocol, evaluate


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """The classes are far apart: classifiers need not train long."""
    monkeypatch.setattr("ltzoo.evaluation.classifier.STEPS", 40)


@pytest.fixture
def bed():
    return workbench()


def test_without_labels_pairs_and_distributions_remain():
    result = evaluate(identity(), A, B, workbench(labels=LabelMap(origin="none")))
    assert result.value("paired_r2") == 1
    assert result.value("fid") == pytest.approx(0, abs=1e-8)
    assert "no labels" in result.omitted["transfer_accuracy"]
    assert "no labels" in result.omitted["clean_class_fid"]


def test_without_a_judge_pairs_and_latents_remain():
    result = evaluate(identity(), A, B, workbench(judge=False))
    assert result.value("paired_r2") == result.value("cycle_r2") == 1
    for name in ("transfer_accuracy", "fid", "cycle_accuracy", "smoothness"):
        assert "no judge" in result.omitted[name]


def test_without_pairs_a_missing_judge_or_label_is_an_error():
    with pytest.raises(LtzooError, match="no judge for the data of toy/b") as caught:
        evaluate(identity(), A, B, workbench(judge=False, keys_of=None))
    assert "paired latents" in caught.value.hint
    with pytest.raises(LtzooError, match="toy/a has no labels"):
        evaluate(identity(), A, B, workbench(labels=LabelMap(origin="none"), keys_of=None))


def test_without_a_test_part_there_is_nothing_to_measure():
    split = torch.zeros(len(make_latents(A)), dtype=torch.uint8)
    with pytest.raises(LatentsError, match="no test part"):
        workbench(split=split)
    with pytest.raises(LatentsError, match="not split"):
        workbench(split=None)


def test_without_a_train_part_what_needs_a_classifier_is_omitted():
    split = torch.full((len(make_latents(A)),), 2, dtype=torch.uint8)
    result = evaluate(identity(), A, B, workbench(split=split))
    assert "no train part" in result.omitted["transfer_accuracy_share"]
    assert result.value("transfer_accuracy") == 1


def test_without_a_posterior_there_is_no_noisy_cycle():
    result = evaluate(identity(), A, B, workbench(std=None))
    assert "no posterior std" in result.omitted["noisy_cycle_r2"]
    assert result.value("cycle_r2") == 1


def test_too_few_items_are_refused():
    with pytest.raises(LatentsError, match="120 held-out latents with a class; measuring takes 201"):
        evaluate(identity(), A, B, workbench(protocol=Protocol(neighbours=200)))


def test_a_direction_needs_two_known_models(bed):
    with pytest.raises(UsageError, match="to itself"):
        evaluate(identity(), A, A, bed)
    with pytest.raises(UsageError, match="no model 'toy/c'"):
        evaluate(identity(), A, "toy/c", bed)


def test_latents_of_another_model_are_refused():
    with pytest.raises(LatentsError, match="latents of toy/b were given for toy/a"):
        workbench().add(make_spec(A), None, make_latents(B))


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (lambda z, seed: z[:, :3], "have shape 120 x 3, not 120 x 6"),
        (lambda z, seed: z[:5], "have shape 5 x 6, not 120 x 6"),
        (lambda z, seed: z / 0, "NaN or infinite"),
    ],
)
def test_bad_translations_are_refused(bed, there, message):
    with pytest.raises(BridgeError, match=message):
        evaluate(Map(there), A, B, bed)
