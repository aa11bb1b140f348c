"""Pairs: closed forms against what they are by definition, what is held out, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy
import torch
from bridge_samples import make_spec, tiny_recipe
from sklearn.linear_model import Ridge

from ltzoo.bridge import Bridge, get_recipe, train_bridge, training_part, validation_part
from ltzoo.bridge.bases import FrameValues, JointMoments, turned_onto
from ltzoo.bridge.config import LabelMap
from ltzoo.bridge.networks import make_architecture, make_network
from ltzoo.bridge.pair_term import PairTerm
from ltzoo.bridge.pairs import Pairs, hold_out_together
from ltzoo.bridge.sampling import TrainingSet
from ltzoo.errors import TrainingError, UsageError
from ltzoo.latents import SPLITS, LatentSet
from ltzoo.spec import ModelSpec

A, B, C = make_spec("a", 5), make_spec("b", 7), make_spec("c", 4)
NAMES = ("x", "y")
PARAMS = {"inference_steps": 5}


def latents_of(spec: ModelSpec, items, *, seed: int = 0, noise: float = 0.3, **changes) -> LatentSet:
    """A linear view, with noise, of what items 0, 1, ... are; keys are the items' numbers."""
    items = np.asarray(items)
    true = np.random.default_rng(0).normal(size=(10_000, 4))[items]
    rng = np.random.default_rng([seed, *spec.id.encode()])
    size = spec.latent.channels
    turn, offset = rng.normal(size=(4, size)), rng.normal(size=size)
    z = true @ turn + offset + noise * rng.normal(size=(len(items), size))
    fields = {
        "model": spec.id,
        "fingerprint": spec.fingerprint,
        "latents": torch.from_numpy(z).float(),
        "std": torch.full(z.shape, 0.1),
        "keys": torch.from_numpy(items),
        "keys_of": "items",
        "labels": torch.from_numpy((true[:, 0] > 0).astype(np.int64)),
        "label_names": NAMES,
    }
    return LatentSet(**{**fields, **changes})


def normalised(bridge: Bridge, latents: LatentSet) -> np.ndarray:
    return bridge.network.normalize(latents.latents, bridge.index(latents.model)).double().numpy()


def translated(bridge: Bridge, latents: LatentSet, target: ModelSpec) -> np.ndarray:
    """In normalised units."""
    z = bridge.translate(latents.latents, source=latents.model, target=target.id)
    return bridge.network.normalize(z, bridge.index(target.id)).double().numpy()


def in_order(one: LatentSet) -> LatentSet:
    """Rows by key, so that those of paired sets correspond."""
    return one.select(torch.argsort(one.keys))


def train_parts(*sets: LatentSet) -> list[LatentSet]:
    return [in_order(training_part(one)) for one in hold_out_together(sets)]


@pytest.mark.parametrize("penalty", [1e-3, 0.5])
@pytest.mark.parametrize("labels", ["auto", "none"])
def test_ridge_is_scikit_learns_in_both_directions(penalty, labels):
    shuffled = np.random.default_rng(1).permutation(400)
    sets = [latents_of(A, np.arange(400)), latents_of(B, shuffled)]
    bridge, _ = train_bridge(
        sets, models=(A, B), recipe=get_recipe("ridge", ridge=penalty, **PARAMS), labels=labels
    )
    parts = dict(zip(("toy/a", "toy/b"), train_parts(*sets), strict=True))
    for source, target in ((A, B), (B, A)):
        x, y = (normalised(bridge, parts[spec.id]) for spec in (source, target))
        # scikit-learn sums errors where we take their mean.
        theirs = Ridge(alpha=penalty * len(x)).fit(x, y)
        ours = translated(bridge, parts[source.id], target)
        np.testing.assert_allclose(ours, theirs.predict(x), atol=2e-4)
        own = translated(bridge, parts[target.id], target)
        if target is A:  # the code has all of the first model
            np.testing.assert_allclose(own, y, atol=2e-4)


def test_the_penalty_is_that_of_least_generalised_cross_validation_error():
    """Few noisy pairs: every other penalty has a larger error, by the definition with the hat matrix."""
    sets = [latents_of(A, np.arange(30), noise=2.0), latents_of(B, np.arange(30), noise=2.0)]
    parts = train_parts(*sets)
    free = train_bridge(sets, models=(A, B), recipe=get_recipe("ridge", **PARAMS), labels="none")[0]
    x, y = (normalised(free, part) for part in parts)
    x, y = x - x.mean(0), y - y.mean(0)
    n = len(x)

    def error(penalty: float) -> float:
        hat = x @ np.linalg.solve(x.T @ x + n * penalty * np.eye(x.shape[1]), x.T) + 1 / n
        return float(np.square(y - hat @ y).mean() / (1 - np.trace(hat) / n) ** 2)

    best = min(np.logspace(-8, 2, 101), key=error)
    fixed = get_recipe("ridge", ridge=float(best), **PARAMS)
    given = train_bridge(sets, models=(A, B), recipe=fixed, labels="none")[0]
    assert 1e-3 < best < 10
    np.testing.assert_allclose(translated(free, parts[0], B), translated(given, parts[0], B), atol=1e-5)


def test_procrustes_is_scipys():
    same_size = make_spec("d", 5)
    sets = [latents_of(A, np.arange(300)), latents_of(same_size, np.arange(300))]
    bridge, _ = train_bridge(
        sets, models=(A, same_size), recipe=get_recipe("procrustes", **PARAMS), labels="none"
    )
    parts = train_parts(*sets)
    for i, j in ((0, 1), (1, 0)):
        x, y = normalised(bridge, parts[i]), normalised(bridge, parts[j])
        ours = translated(bridge, parts[i], (A, same_size)[j])
        # SciPy scales the target to length 1 about its mean.
        unit, theirs, _ = scipy.spatial.procrustes(y, x)
        length = np.linalg.norm(y - y.mean(0))
        np.testing.assert_allclose(unit * length + y.mean(0), y, atol=1e-5)
        np.testing.assert_allclose(ours, theirs * length + y.mean(0), atol=1e-4)


def test_procrustes_finds_a_turn_into_more_dimensions_again():
    spec = make_spec("turned", 7)
    a = latents_of(A, np.arange(400))
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(7, 7)))[0][:5]
    b = replace(a, model=spec.id, fingerprint=spec.fingerprint, std=None)
    a = replace(a, std=None)
    b = replace(b, latents=3 * a.latents @ torch.from_numpy(turn).float() + 1)
    recipe = get_recipe("procrustes", normalization="none", **PARAMS)
    bridge, _ = train_bridge([a, b], models=(A, spec), recipe=recipe)
    there = bridge.translate(a.latents, source=A.id, target=spec.id)
    torch.testing.assert_close(there, b.latents, atol=1e-3, rtol=1e-3)
    back = bridge.translate(b.latents, source=spec.id, target=A.id)
    torch.testing.assert_close(back, a.latents, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("base", ["ridge", "procrustes"])
def test_they_are_bridges_like_any_other(base, tmp_path):
    sets = [latents_of(A, np.arange(300)), latents_of(B, np.arange(300))]
    bridge, report = train_bridge(sets, models=(A, B), recipe=get_recipe(base, inference_steps=60))
    assert report.steps == 0
    assert any("270 pairs of toy/a and toy/b, and 2 classes" in note for note in report.notes)
    (paired,) = bridge.config.trained.pairs
    assert (paired.models, paired.items) == (("toy/a", "toy/b"), 270)
    bridge.save_pretrained(tmp_path / "bridge")
    assert "| pairs of toy/a and toy/b | 270 |" in (tmp_path / "bridge" / "README.md").read_text("utf-8")
    loaded = Bridge.from_pretrained(tmp_path / "bridge")
    z = sets[0].latents
    there = loaded.translate(z, source=A.id, target=B.id)
    assert torch.equal(there, bridge.translate(z, source=A.id, target=B.id))
    assert (loaded.classify(there, source=B.id).argmax(1) == sets[0].labels).double().mean() > 0.8
    assert loaded.novelty(z, source=A.id).mean() < 0.6


def test_a_third_model_goes_through_one_that_has_pairs_with_both():
    """Items of A and B, and of A and C, are the same; B and C share none, and A is not the first.

    Half of the items' draw is B's, the other half A's: they hold out 30 and 26.
    """
    sets = [
        latents_of(B, np.arange(300)),
        latents_of(A, np.arange(600)),
        latents_of(C, np.arange(300, 600)),
    ]
    recipe = get_recipe("ridge", ridge=1e-6, **PARAMS)
    bridge, report = train_bridge(sets, models=(B, A, C), recipe=recipe, labels="none")
    assert [note.split(",")[0] for note in report.notes] == [
        "trained with 270 pairs of toy/b and toy/a",
        "trained with 274 pairs of toy/a and toy/c",
    ]
    exact = latents_of(C, np.arange(300)).latents
    for source, z in ((A, sets[1].latents[:300]), (B, sets[0].latents)):
        there = bridge.translate(z, source=source.id, target=C.id)
        assert 1 - float((there - exact).square().sum() / (exact - exact.mean(0)).square().sum()) > 0.8


# What is held out


def keys_in(one: LatentSet) -> set[int]:
    return set(one.keys.tolist())


def split_of(**rows) -> dict[str, torch.Tensor]:
    """Rows by the name of their part."""
    total = sum(map(len, rows.values()))
    split = torch.zeros(total, dtype=torch.uint8)
    for name, places in rows.items():
        split[list(places)] = SPLITS.index(name)
    return {"split": split}


def test_equal_sets_are_split_as_they_would_be_alone():
    sets = [latents_of(A, np.arange(200)), latents_of(B, np.arange(200))]
    for before, after in zip(sets, hold_out_together(sets), strict=True):
        assert torch.equal(training_part(before).latents, training_part(after).latents)
        assert torch.equal(validation_part(before).latents, validation_part(after).latents)


def test_no_item_is_trained_on_here_and_held_out_there():
    order = np.random.default_rng(0).permutation(260)
    sets = [
        latents_of(A, np.arange(200)),
        latents_of(B, order),
        latents_of(
            C,
            np.arange(50, 150),
            **split_of(train=range(70), validation=range(70, 90), test=range(90, 100)),
        ),
    ]
    found = hold_out_together(sets)
    trained = [keys_in(training_part(one)) for one in found]
    held = [keys_in(validation_part(one)) for one in found]
    test = set(range(140, 150))
    for one in trained:
        for other in held:
            assert not one & other
        assert not one & test
    assert set(range(120, 140)) <= held[0] & held[1] & held[2]
    # A tenth, and not a tenth for each set: the first draw holds for all.
    assert 0.05 < len(held[0] - set(range(120, 140))) / 200 < 0.15
    assert held[1] & set(range(200)) == held[0]


def test_sets_of_other_items_are_left_as_they_are():
    sets = [latents_of(A, np.arange(200)), latents_of(B, np.arange(200), keys_of="others")]
    assert all(a is b for a, b in zip(sets, hold_out_together(sets), strict=True))


def test_a_set_whose_items_all_go_elsewhere_still_has_some_to_choose_on():
    first = latents_of(A, np.arange(200))
    trained = sorted(keys_in(training_part(first)))[:40]
    found = hold_out_together([first, latents_of(B, np.array(trained))])
    held = keys_in(validation_part(found[1]))
    assert len(held) == 4
    assert not held & keys_in(training_part(found[0]))


# How many


def test_only_so_many_items_are_paired_and_the_seed_draws_them():
    sets = [latents_of(A, np.arange(300)), latents_of(B, np.arange(300))]

    def digest(limit, seed: int) -> tuple[int, str]:
        recipe = get_recipe("ridge", **PARAMS)
        bridge, _ = train_bridge(sets, models=(A, B), recipe=recipe, labels="none", pairs=limit, seed=seed)
        (paired,) = bridge.config.trained.pairs
        return paired.items, paired.sha256

    assert digest(40, 0) == digest(40, 0)
    assert digest(40, 0)[0] == digest(40, 1)[0] == 40
    assert digest(40, 0)[1] != digest(40, 1)[1]
    assert digest(1000, 0) == digest("auto", 0)


@pytest.mark.parametrize(
    ("second", "options", "message"),
    [
        ({}, {"pairs": "none"}, "toy/a and toy/b have none"),
        ({"keys_of": "others"}, {}, "toy/a and toy/b have none"),
        ({"keys_of": None}, {}, "toy/a and toy/b have none"),
        ({}, {"pairs": 5}, "5 pairs of toy/a and toy/b are too few"),
    ],
)
def test_ridge_without_pairs_says_how_to_get_some(second, options, message):
    sets = [latents_of(A, np.arange(100)), latents_of(B, np.arange(100), **second)]
    with pytest.raises(TrainingError, match=message) as caught:
        train_bridge(sets, models=(A, B), recipe="ridge", **options)
    assert ("--pairs none" if options == {"pairs": "none"} else "--keys NAME") in caught.value.hint


@pytest.mark.parametrize("pairs", [0, -3, "some"])
def test_numbers_of_pairs_that_cannot_be_meant(pairs):
    sets = [latents_of(A, np.arange(100)), latents_of(B, np.arange(100))]
    with pytest.raises(UsageError, match="pairs must be"):
        train_bridge(sets, models=(A, B), recipe="ridge", pairs=pairs)


def test_a_number_of_pairs_needs_a_recipe_that_uses_them():
    sets = [latents_of(A, np.arange(100)), latents_of(B, np.arange(100))]
    with pytest.raises(UsageError, match="'class-axes' makes no use of pairs"):
        train_bridge(sets, models=(A, B), recipe="class-axes", pairs=50)


# Learning on top of a base


def curved(**changes) -> list[LatentSet]:
    """B is a curved view of A's items, which no linear map gives."""
    a = latents_of(A, np.arange(1500))
    z = a.latents[:, :4]
    bent = torch.cat([z, z[:, :3].square() / 2], dim=1)
    b = replace(a, model=B.id, fingerprint=B.fingerprint, latents=bent, std=torch.full_like(bent, 0.1))
    return [a, replace(b, **changes)]


def held_out_error(bridge: Bridge, sets: list[LatentSet]) -> float:
    a, b = (validation_part(one) for one in sets[:2])
    z = bridge.translate(a.latents, source=A.id, target=B.id)
    return float((z - b.latents).square().mean())


@pytest.mark.parametrize("labels", ["auto", "none"])
def test_default_starts_from_ridge_and_learns_what_it_cannot_say(labels):
    sets = curved()
    errors = {}
    for name in ("ridge", "default"):
        recipe = get_recipe(name, inference_steps=5)
        bridge, report = train_bridge(sets, models=(A, B), recipe=recipe, labels=labels)
        errors[name] = held_out_error(bridge, sets)
        assert bridge.config.architecture.paired
    assert set(report.losses[-1].terms) == {"pair"}
    assert "135 of the pairs were not learned from" in report.notes[-1]
    assert errors["default"] < 0.6 * errors["ridge"]


def test_where_there_is_nothing_to_learn_default_is_ridge():
    """Pairs that agree by chance alone: what is learned of them makes held-out ones worse, and is not taken."""
    sets = [latents_of(A, np.arange(200)), latents_of(B, np.random.default_rng(3).permutation(200))]
    sets[1] = replace(sets[1], keys=torch.arange(200))
    bridges = [
        train_bridge(sets, models=(A, B), recipe=get_recipe(name), labels="none")[0]
        for name in ("ridge", "default")
    ]
    z = sets[0].latents
    there = [bridge.translate(z, source=A.id, target=B.id) for bridge in bridges]
    torch.testing.assert_close(*there, atol=1e-4, rtol=1e-4)


def test_too_few_pairs_to_choose_on_leave_the_base_alone():
    sets = curved()
    bridges, reports = zip(
        *(
            train_bridge(sets, models=(A, B), recipe=get_recipe(name, **extra), labels="none", pairs=40)
            for name, extra in (("ridge", {}), ("default", {"steps": 10}))
        ),
        strict=True,
    )
    assert "4 of the pairs were not learned from but chosen on: they take 0%" in reports[1].notes[-1]
    assert held_out_error(bridges[1], sets) == pytest.approx(held_out_error(bridges[0], sets), rel=1e-4)


def test_pairs_between_some_models_count_beside_the_other_terms():
    """C shares no items: there is no base on pairs, but the pair term draws A and B together."""
    sets = [*curved(), latents_of(C, np.arange(300), keys_of="others")]
    options = {"inference_steps": 20, "steps": 60, "batch": 60, "width": 32}
    errors = {}
    for pairs in ("none", "auto"):
        recipe = get_recipe("default", **options)
        bridge, report = train_bridge(sets, models=(A, B, C), recipe=recipe, pairs=pairs)
        errors[pairs] = held_out_error(bridge, sets)
        assert not bridge.config.architecture.paired
        assert ("pair" in report.losses[-1].terms) == (pairs == "auto")
    assert "translation" in report.losses[-1].terms
    assert errors["auto"] < 0.8 * errors["none"]


@pytest.mark.parametrize(("base", "labels"), [("class-axes", "auto"), ("class-gaussian", "none")])
def test_pairs_between_some_models_turn_the_base(base, labels):
    """Before any training, and with B on either side of the third model."""
    a, b = latents_of(A, np.arange(1000)), latents_of(B, np.arange(1000))
    c = latents_of(C, np.arange(300), keys_of="others")
    recipe = get_recipe("default", base=base, steps=0, inference_steps=20)
    for sets, models in (([a, b, c], (A, B, C)), ([b, c, a], (B, C, A))):
        errors = {}
        for pairs in ("none", "auto"):
            bridge, _ = train_bridge(sets, models=models, recipe=recipe, labels=labels, pairs=pairs)
            errors[pairs] = held_out_error(bridge, [a, b])
        assert errors["auto"] < 0.3 * errors["none"]


def test_a_turn_keeps_the_way_there_and_back():
    """Codes of the second model are those of the first, turned: the turn is found, and nothing else changes."""
    rng = np.random.default_rng(0)
    x, into = torch.from_numpy(rng.normal(size=(50, 6))), torch.from_numpy(rng.normal(size=(6, 6)))
    turn = torch.from_numpy(np.linalg.qr(rng.normal(size=(6, 6)))[0])
    y = x @ turn @ torch.linalg.inv(into)
    whole = torch.eye(6).expand(2, 6, 6)
    first = FrameValues(torch.zeros(2, 6), whole, whole)
    second = FrameValues(
        torch.ones(2, 6), *(m.float().expand(2, 6, 6) for m in (into, torch.linalg.inv(into)))
    )
    joint, nothing = JointMoments(6, 6), JointMoments(6, 6)
    joint.add(x, y)
    found = turned_onto(first, second, [joint, nothing])
    torch.testing.assert_close(y @ found.into[0].double(), x, atol=0.1, rtol=0)
    torch.testing.assert_close(found.into @ found.out_of, second.into @ second.out_of, atol=1e-4, rtol=0)
    assert torch.equal(found.into[1], second.into[1])
    assert torch.equal(found.mean, second.mean)


def test_axes_that_pairs_leave_open_stay():
    """Pairs that differ along two axes of six only, which they swap."""
    z = torch.zeros(50, 6, dtype=torch.float64)
    z[:, :2] = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 2)))
    plain = FrameValues(torch.zeros(1, 6), torch.eye(6)[None], torch.eye(6)[None])
    joint = JointMoments(6, 6)
    joint.add(z, z[:, [1, 0, 2, 3, 4, 5]])
    into = turned_onto(plain, plain, [joint]).into[0]
    torch.testing.assert_close(into[:2, :2], torch.tensor([[0.0, 1.0], [1.0, 0.0]]), atol=0.05, rtol=0)
    torch.testing.assert_close(into[2:, 2:], torch.eye(4), atol=1e-5, rtol=0)


def test_beside_other_terms_pairs_take_the_place_of_one_model():
    """There and back together have as many rows as a model; alone, they have the batch each."""
    paired = [TrainingSet(one, LabelMap(origin="none"), "cpu") for one in curved()]
    sets = [*paired, TrainingSet(latents_of(C, np.arange(300)), LabelMap(origin="none"), "cpu")]
    keys = np.arange(len(paired[0]))
    pairs = Pairs({(0, 1): np.stack([keys, keys], axis=1)})
    recipe = tiny_recipe(batch=60)
    for members, alone, rows in ((sets, False, 20), (paired, True, 60)):
        sizes = tuple(one.mean.shape[1] for one in members)
        network = make_network(make_architecture(recipe, sizes, 0, paired=alone))
        (_, found) = PairTerm(members, network, pairs, recipe, 0).rows(0)
        assert found.shape == (rows, 2)


def test_items_without_a_label_or_a_partner_take_part():
    """A tenth of B's items has labels, half of A's has partners."""
    sets = curved()
    labels = torch.where(torch.arange(1500) % 10 == 0, sets[1].labels, -1)
    sets[1] = replace(sets[1], labels=labels).select(torch.arange(750))
    bridge, report = train_bridge(sets, models=(A, B), recipe=tiny_recipe(steps=5))
    assert [one.items for one in bridge.config.trained.latents] == [1350, 671]
    assert any("pairs of toy/a and toy/b, and 2 classes" in note for note in report.notes)


def test_a_stopped_run_goes_on_to_the_same_bridge(tmp_path, monkeypatch):
    from ltzoo.bridge.run import Run

    sets, recipe = curved(), tiny_recipe(steps=12)
    whole, _ = train_bridge(sets, models=(A, B), recipe=recipe, labels="none")
    path = tmp_path / "run"
    advance, done = Run.advance, []

    def stop(run):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(run.step)
        advance(run)
        run.save(path)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            train_bridge(sets, models=(A, B), recipe=recipe, labels="none", checkpoint=path)
    resumed, report = train_bridge(sets, models=(A, B), recipe=recipe, labels="none", checkpoint=path)
    assert report.resumed_at == 7
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(TrainingError, match="pairs differ"):
        train_bridge(sets, models=(A, B), recipe=recipe, labels="none", checkpoint=path, pairs=100)


def test_without_pairs_nothing_changes():
    """Keys of other items, and no keys at all, give the same weights."""
    bridges = [
        train_bridge(curved(keys_of=name), models=(A, B), recipe=tiny_recipe(steps=5))[0]
        for name in ("others", None)
    ]
    bridges.append(train_bridge(curved(), models=(A, B), recipe=tiny_recipe(steps=5), pairs="none")[0])
    first, *others = (list(bridge.network.parameters()) for bridge in bridges)
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_code_of_another_length_keeps_its_base():
    recipe = tiny_recipe(steps=2, shared_dim=3)
    bridge, report = train_bridge(curved(), models=(A, B), recipe=recipe)
    assert bridge.config.architecture.code_dim == 3
    assert not bridge.config.architecture.paired
    assert "pair" in report.losses[-1].terms
