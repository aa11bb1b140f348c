"""The protocol: translators with a known answer score as theory says, and always the same."""

from __future__ import annotations

import pytest
import torch
from evaluation_world import (
    CENTRES,
    CLASSES,
    DIMS,
    LABELS,
    NAMES,
    PROTOCOL,
    STD,
    TEST,
    A,
    B,
    collapse,
    identity,
    make_latents,
    make_spec,
    noise,
    permutation,
    shuffle,
    smuggler,
    workbench,
)

from ltzoo.bridge.config import LabelMap
from ltzoo.errors import SpecError, UsageError
from ltzoo.evaluation import MEASURES, DirectionResult, Protocol, evaluate, get_measure
from ltzoo.evaluation.references import (
    REFERENCES,
    ClassPrior,
    ClassPrototype,
    NearestRetrieval,
    RandomRetrieval,
    Reencode,
)

ITEMS = CLASSES * TEST
CHANCE_OVERLAP = PROTOCOL.neighbours / (TEST - 1)  # among the other items of the class


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """The classes are far apart: classifiers need not train long."""
    monkeypatch.setattr("ltzoo.evaluation.classifier.STEPS", 40)


@pytest.fixture(scope="module")
def shared():
    return workbench()


@pytest.fixture
def bed(shared):
    return shared


def scores(translator, bed) -> dict[str, float]:
    return {figure.name: figure.value for figure in evaluate(translator, A, B, bed).figures}


def class_only_r2(bed) -> float:
    """R² of answering every item with its class's centre."""
    items = bed.direction(A, B).items
    error = (items.latents - CENTRES[items.labels]).square().sum()
    return float(1 - error / (items.latents - items.latents.mean(0)).square().sum())


def test_the_identity_is_perfect(bed):
    found = scores(identity(), bed)
    for name in ("fid", "class_fid"):
        assert found[name] == pytest.approx(0, abs=1e-8)
    for name in (
        "transfer_accuracy",
        "transfer_accuracy_share",
        "reconstruction_share",
        "clean_transfer_accuracy",
        "precision",
        "recall",
        "coverage",
        "spread",
        "clean_spread",
        "neighbourhood_overlap",
        "smoothness",
        "cycle_accuracy",
        "cycle_r2",
        "paired_r2",
        "paired_cosine",
        "top1_retrieval",
        "mean_rank",
    ):
        assert found[name] == pytest.approx(1, abs=1e-6), name
    # The noise costs what it is: its variance over the total.
    items = bed.direction(A, B).items.latents
    total = float((items - items.mean(0)).square().sum() / len(items))
    assert found["noisy_cycle_r2"] == pytest.approx(1 - DIMS * STD**2 / total, abs=2e-3)
    # Every measure that applies has a figure: only images and sounds are missing.
    assert set(found) == {m.name for m in MEASURES} - {"psnr", "ssim", "log_spectral_distance"}


def test_a_class_permutation_fails_by_class_and_in_nothing_else(bed):
    found = scores(permutation(), bed)
    assert found["transfer_accuracy"] == found["transfer_accuracy_share"] == 0
    # Centres 10 apart on two axes each: the squared distance of the means alone is 200.
    assert found["class_fid"] == pytest.approx(200, rel=0.1)
    assert found["fid"] < 10
    assert found["cycle_accuracy"] == 1
    assert found["cycle_r2"] == pytest.approx(1)
    assert found["spread"] == pytest.approx(1, abs=0.15)
    assert found["neighbourhood_overlap"] == pytest.approx(1)
    assert found["smoothness"] == pytest.approx(1)


def test_a_prototype_map_has_the_class_and_nothing_else(bed):
    found = scores(ClassPrototype(bed), bed)
    assert found["transfer_accuracy"] == found["clean_transfer_accuracy"] == 1
    assert found["precision"] == 1
    assert found["recall"] == found["spread"] == 0
    assert found["coverage"] < 0.2
    assert found["class_fid"] > 4  # of 6 dims of variance 1, all gone
    assert found["cycle_r2"] <= class_only_r2(bed) + 0.01
    assert found["top1_retrieval"] <= CLASSES / ITEMS + 1e-9
    assert "smoothness" not in found  # inside a class nothing ever moves


def test_a_collapsed_map_has_nothing(bed):
    result = evaluate(collapse(), A, B, bed)
    found = {figure.name: figure.value for figure in result.figures}
    assert found["transfer_accuracy"] == 1 / CLASSES
    assert found["recall"] == found["spread"] == 0
    assert found["cycle_r2"] < 0
    assert found["cycle_accuracy"] == 1 / CLASSES
    assert found["paired_r2"] < 0
    assert found["mean_rank"] == pytest.approx((ITEMS + 1) / 2)
    assert "no variation" in result.omitted["smoothness"]


def test_a_shuffle_inside_classes_fails_in_structure_only(bed):
    found = scores(shuffle(), bed)
    assert found["transfer_accuracy"] == found["precision"] == found["recall"] == found["coverage"] == 1
    assert found["class_fid"] == pytest.approx(0, abs=1e-6)
    assert found["spread"] == pytest.approx(1)
    assert found["neighbourhood_overlap"] == pytest.approx(CHANCE_OVERLAP, abs=0.06)
    assert found["top1_retrieval"] < 0.1
    assert found["paired_r2"] < class_only_r2(bed)


def test_a_clean_cycle_hides_what_a_noisy_one_shows(bed):
    found = scores(smuggler(), bed)
    assert found["cycle_r2"] == pytest.approx(1, abs=1e-4)
    assert found["noisy_cycle_r2"] < -100
    assert found["spread"] == pytest.approx(1e-6, rel=1e-2)
    assert scores(identity(), bed)["noisy_cycle_r2"] > 0.9


def test_random_retrieval_is_the_bar_for_distributions(bed):
    found = scores(RandomRetrieval(bed), bed)
    assert found["transfer_accuracy"] == found["transfer_accuracy_share"] == 1
    assert found["spread"] == pytest.approx(1, abs=0.15)
    assert found["class_fid"] < scores(ClassPrototype(bed), bed)["class_fid"]
    assert found["recall"] > 0.8
    assert found["neighbourhood_overlap"] == pytest.approx(CHANCE_OVERLAP, abs=0.06)
    assert found["cycle_r2"] < class_only_r2(bed)


def test_retrieval_answers_with_train_latents_of_the_inferred_class(bed):
    items = bed.direction(A, B).items
    train = bed.side(B).train
    for reference in (RandomRetrieval(bed), NearestRetrieval(bed), ClassPrototype(bed)):
        answers = reference.translate(items.latents, source=A, target=B, seed=1)
        equal = (answers[:, None] == train.latents[None]).all(2)
        assert equal.any(1).all()
        assert torch.equal(train.labels[equal.int().argmax(1)], items.labels)


def test_nearest_retrieval_is_nearer_than_a_random_one(bed):
    nearest, random = (scores(cls(bed), bed) for cls in (NearestRetrieval, RandomRetrieval))
    for name in ("neighbourhood_overlap", "cycle_r2", "paired_r2"):
        assert nearest[name] > random[name] + 0.02, name


def test_prior_samples_have_the_mean_and_covariance_of_the_class(bed):
    z = bed.direction(A, B).items.latents[:1].expand(20_000, DIMS)
    drawn = ClassPrior(bed).translate(z, source=A, target=B, seed=3)
    members = bed.side(B).members(int(bed.direction(A, B).items.labels[0]))
    assert torch.allclose(drawn.mean(0), members.mean(0), atol=0.04)
    assert torch.allclose(drawn.T.cov(), members.T.cov(), atol=0.06)


def test_reencoding_between_equal_models_is_the_identity(bed):
    items = bed.direction(A, B).items.latents
    assert torch.equal(Reencode(bed).translate(items, source=A, target=B), items)


def test_references_say_what_they_saturate_and_why():
    names = {measure.name for measure in MEASURES}
    for reference in REFERENCES:
        assert set(reference.saturates) <= names
        assert "Saturates" in reference.__doc__
    assert len({reference.name for reference in REFERENCES}) == len(REFERENCES)


def test_references_that_do_not_apply_say_so():
    bed = workbench()
    bed.side(A).spec = make_spec(A, capabilities=frozenset({"decode"}))
    with pytest.raises(UsageError, match="toy/a cannot encode"):
        Reencode(bed).translate(bed.direction(A, B).items.latents, source=A, target=B)
    unlabelled = workbench(labels=LabelMap(origin="none"))
    with pytest.raises(UsageError, match="no labels"):
        RandomRetrieval(unlabelled).translate(torch.zeros(3, DIMS), source=A, target=B)


def test_two_runs_give_the_same_figures():
    def run():
        return [evaluate(t(b), A, B, b) for b in [workbench()] for t in (RandomRetrieval, lambda _: noise())]

    first, second = run(), run()
    assert [one.figures for one in first] == [one.figures for one in second]
    assert DirectionResult.from_json(first[0].to_json()) == first[0]


def test_what_is_random_has_a_deviation_and_what_is_not_has_none(bed):
    fixed, random = evaluate(identity(), A, B, bed), evaluate(noise(), A, B, bed)
    assert fixed.figure("fid").std is None
    assert fixed.figure("fid").seeds == 1
    assert fixed.figure("noisy_cycle_r2").std > 0
    assert random.figure("fid").std > 0
    assert random.figure("fid").seeds == len(PROTOCOL.seeds)
    for figure in random.figures:
        assert figure.low <= figure.value <= figure.high, figure.name
        assert figure.n > 0


def test_every_sample_counts_once_a_seed():
    """The value is the mean over seeds of what each seed gives alone."""
    together = evaluate(noise(), A, B, workbench())
    alone = [
        evaluate(
            noise(), A, B, workbench(protocol=Protocol.from_dict({**PROTOCOL.to_dict(), "seeds": [seed]}))
        )
        for seed in PROTOCOL.seeds
    ]
    for name in ("fid", "cycle_r2", "noisy_cycle_r2", "smoothness"):
        values = [one.value(name) for one in alone]
        assert together.value(name) == pytest.approx(sum(values) / len(values)), name


def test_only_held_out_items_are_scored(bed):
    items = bed.direction(A, B).items
    assert len(items) == ITEMS
    assert items.split.eq(2).all()


def test_a_large_test_part_is_thinned_evenly():
    bed = workbench(protocol=Protocol(items=40))
    items = bed.direction(A, B).items
    assert len(items) == 40
    assert torch.equal(items.keys, bed.side(A).test.keys[::3])
    # Both sides thin alike, so pairs stay pairs.
    assert torch.equal(bed.direction(A, B).truth, items.latents)


def test_pairs_are_found_by_key_in_any_order():
    bed = workbench()
    reverse = torch.arange(len(make_latents(B)) - 1, -1, -1)
    bed.add(make_spec(B), bed.side(B).model, make_latents(B).select(reverse))
    direction = bed.direction(A, B)
    assert torch.equal(direction.truth, direction.items.latents)


@pytest.mark.parametrize("other", [None, "toy/another"])
def test_equal_keys_of_different_items_are_no_pairs(other):
    bed = workbench()
    bed.add(
        make_spec(B),
        bed.side(B).model,
        make_latents(B, keys_of=other),
        judge=bed.side(B).judge,
        judge_labels=NAMES,
    )
    assert bed.direction(A, B).truth is None
    assert "no pairs" in evaluate(identity(), A, B, bed).omitted["paired_r2"]


def test_labels_go_through_the_map():
    """B calls the classes by other names, in another order, and has one that A lacks."""
    order = [2, 0, 3, 1]
    names = ("extra", *(f"b{i}" for i in order))
    labels = LabelMap(
        origin="given",
        classes=NAMES,
        models={A: {name: name for name in NAMES}, B: {f"b{i}": NAMES[i] for i in range(CLASSES)}},
    )
    bed = workbench(labels=labels)
    own = make_latents(B)
    position = torch.tensor([1 + order.index(i) for i in range(CLASSES)])
    relabelled = make_latents(B, labels=position[own.labels], label_names=names)

    class Judge:
        def logits(self, x):
            nearest = -torch.cdist(x, CENTRES)
            return torch.cat((torch.full((len(x), 1), -1e9), nearest[:, order]), 1)

        def features(self, x):
            return x

    bed.add(make_spec(B), bed.side(B).model, relabelled, judge=Judge(), judge_labels=names)
    assert scores(identity(), bed)["transfer_accuracy"] == 1
    assert scores(permutation(), bed)["transfer_accuracy"] == 0


def test_items_without_a_class_are_left_out():
    few = LabelMap(origin="given", classes=NAMES[:3], models={m: {n: n for n in NAMES[:3]} for m in (A, B)})
    bed = workbench(labels=few)
    assert len(bed.direction(A, B).items) == 3 * TEST
    assert scores(identity(), bed)["transfer_accuracy"] == 1


def test_protocols_are_checked():
    with pytest.raises(SpecError, match="twice"):
        Protocol(seeds=(1, 1))
    with pytest.raises(SpecError, match="items"):
        Protocol.from_dict({"items": 0})
    assert Protocol.from_json(PROTOCOL.to_json()) == PROTOCOL


def test_progress_is_told():
    told = []
    evaluate(identity(), A, B, workbench(), progress=lambda share, what: told.append((share, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert len(told) == len(MEASURES)
    assert all(what.startswith("toy/a -> toy/b: ") for _, what in told)


def test_measures_have_names():
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)
    assert get_measure("fid").better == "lower"
    assert get_measure("FID") is None
    assert LABELS.classes == NAMES
