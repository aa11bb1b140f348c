"""Batches: balanced, complete, and a function of the step alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bridge_samples import make_config, make_latents, make_spec, plain_recipe

from ltzoo.bridge.config import LabelMap
from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.bridge.randomness import Purpose, generator
from ltzoo.bridge.sampling import Sampler, TrainingSet, training_part, validation_part
from ltzoo.errors import TrainingError
from ltzoo.latents import SPLITS, LatentSet

A, B = make_spec("a"), make_spec("b")
NAMES = ("class 0", "class 1", "class 2")
MAP = LabelMap(origin="names", classes=NAMES, models={s.id: {n: n for n in NAMES} for s in (A, B)})
NONE = LabelMap(origin="none")


def unbalanced(spec, counts=(40, 25, 5)) -> LatentSet:
    """Class c has counts[c] items, in mixed order, with its number in every dimension."""
    labels = torch.from_numpy(np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts)))
    return LatentSet(
        model=spec.id,
        fingerprint=spec.fingerprint,
        latents=labels.float()[:, None].expand(-1, 4) + torch.arange(len(labels))[:, None] / 1000,
        labels=labels,
        label_names=NAMES,
        split=torch.zeros(len(labels), dtype=torch.uint8).index_fill_(0, torch.tensor([0]), 1),
    )


def sampler(label_map=MAP, seed=1, **recipe) -> Sampler:
    sets = [
        TrainingSet(unbalanced(A), label_map, "cpu"),
        TrainingSet(unbalanced(B, (5, 9, 60)), label_map, "cpu"),
    ]
    network = SharedAutoencoder(make_config().architecture)
    return Sampler(sets, network, plain_recipe(**recipe), seed)


def test_row_i_has_the_same_class_for_every_model():
    one = sampler()
    for step in range(40):
        batch = one.batch_at(step, generator(1, Purpose.STEP, step))
        for inputs in batch.inputs:
            assert torch.equal(inputs[:, 0].floor().long(), batch.classes)
        assert batch.classes.bincount().tolist() == [4, 4, 4]


def test_a_batch_depends_on_seed_and_step_alone():
    first, second, other = sampler(), sampler(), sampler(seed=2)
    for step in (5, 0, 17):
        second.rows(0, step + 1)
        assert np.array_equal(first.rows(0, step), second.rows(0, step))
    assert not np.array_equal(first.rows(0, 5), other.rows(0, 5))


def test_every_item_of_a_class_comes_once_an_epoch():
    one = sampler()
    group = one._sets[1].groups[1]
    rows = np.concatenate([one.rows(1, step) for step in range(30)])
    seen = rows[np.isin(rows, group)]
    for epoch in range(len(seen) // len(group)):
        assert sorted(seen[epoch * len(group) : (epoch + 1) * len(group)]) == sorted(group)
    assert not np.array_equal(seen[: len(group)], seen[len(group) : 2 * len(group)])


def test_turns_go_on_from_batch_to_batch():
    """The paper's batch of 512 is no multiple of 10 classes: no class may come short in the long run."""
    one = sampler(swd_by_class=False, translation_weight=0.0, batch=10)
    classes = torch.cat([one.batch_at(s, generator(1, Purpose.STEP, s)).classes for s in range(3)])
    assert classes.tolist() == [i % 3 for i in range(30)]


def test_class_wise_batches_are_a_multiple_of_the_classes():
    assert sampler(batch=11).batch == 9
    assert sampler(batch=2).batch == 3


def test_many_models_share_the_latents_of_two():
    """A step of more models costs no more: together they have as many latents as two, in whole turns of the classes."""
    network = SharedAutoencoder(make_config().architecture)
    for models, rows in ((2, 60), (3, 39), (4, 30), (5, 24), (100, 3)):
        sets = [TrainingSet(unbalanced(A), MAP, "cpu")] * models
        one = Sampler(sets, network, plain_recipe(batch=60), 0)
        assert (one.batch, one.rows_a_class) == (rows, rows // 3)


def test_without_classes_items_come_in_shuffled_epochs():
    one = sampler(NONE)
    size = len(one._sets[0])
    rows = np.concatenate([one.rows(0, step) for step in range(12)])
    assert sorted(rows[:size]) == list(range(size))
    assert one.batch_at(0, generator(1, Purpose.STEP, 0)).classes is None


def test_posterior_noise_has_the_posteriors_spread():
    latents = make_latents(A, items=60)
    data = TrainingSet(latents, NONE, "cpu")
    network = SharedAutoencoder(make_config().architecture)
    one = Sampler([data], network, plain_recipe(posterior_noise=True, batch=500), 0)
    batch = one.batch_at(0, generator(0, Purpose.STEP, 0))
    noise = batch.inputs[0] - data.mean[torch.from_numpy(one.rows(0, 0))]
    assert noise.std().item() == pytest.approx(0.1, rel=0.1)
    still = Sampler([data], network, plain_recipe(posterior_noise=False, batch=500), 0)
    assert torch.equal(
        still.batch_at(0, generator(0, Purpose.STEP, 0)).inputs[0],
        data.mean[torch.from_numpy(one.rows(0, 0))],
    )


def test_parts_do_not_overlap_and_test_latents_are_never_touched():
    latents = make_latents(A, items=100)
    split = torch.zeros(100, dtype=torch.uint8)
    split[60:] = SPLITS.index("test")
    latents = LatentSet(**{**vars(latents), "split": split})
    train, held_out = training_part(latents), validation_part(latents)
    assert (len(train), len(held_out)) == (54, 6)
    together = torch.cat([train.latents, held_out.latents])
    assert {tuple(row.tolist()) for row in together} == {tuple(row.tolist()) for row in latents.latents[:60]}

    split[50:60] = SPLITS.index("validation")
    latents = LatentSet(**{**vars(latents), "split": split})
    assert torch.equal(training_part(latents).latents, latents.latents[:50])
    assert torch.equal(validation_part(latents).latents, latents.latents[50:60])


def test_normalization_counts_posterior_variance_and_spares_constants():
    latents = make_latents(A, items=400)
    z, std = latents.latents.clone(), latents.std.clone()
    z[:, 0], std[:, 0] = 7.0, 0.0  # constant
    z[:, 1], std[:, 1] = 0.0, 1.0  # a collapsed posterior
    data = TrainingSet(LatentSet(**{**vars(latents), "latents": z, "std": std}), NONE, "cpu")
    mean, scale = data.normalization()
    assert mean[0].item() == pytest.approx(7)
    assert scale[0].item() == 1
    assert scale[1].item() == pytest.approx(1)
    assert scale[2].item() == pytest.approx(
        data.mean[:, 2].var(correction=0).add(0.01).sqrt().item(), rel=1e-4
    )


def test_too_few_latents_and_empty_classes_are_refused():
    with pytest.raises(TrainingError, match=r"3 latents of toy/a .* too few"):
        TrainingSet(make_latents(A, items=3), NONE, "cpu")
    latents = make_latents(A)
    latents.labels[latents.labels == 1] = 2
    with pytest.raises(TrainingError, match="of class 'class 1'"):
        TrainingSet(latents, MAP, "cpu")


def test_items_in_class_order_lose_no_class():
    latents = make_latents(A, items=300, classes=10)
    assert training_part(latents).labels.unique().tolist() == list(range(10))


def test_the_digest_is_of_what_is_trained_on():
    latents = make_latents(A)

    def digest(row: int) -> str:
        changed = latents.latents.clone().index_fill_(0, torch.tensor(row), 0)
        return TrainingSet(LatentSet(**{**vars(latents), "latents": changed}), MAP, "cpu").trained_on.sha256

    kept = {tuple(row.tolist()) for row in training_part(latents).latents}
    trained = [tuple(row.tolist()) in kept for row in latents.latents]
    whole = TrainingSet(latents, MAP, "cpu").trained_on.sha256
    assert digest(trained.index(False)) == whole
    assert digest(trained.index(True)) != whole
