"""Grids and sequences in bridges: how they enter, and what comes out of bridges between any kinds."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from bridge_samples import make_latents, make_spec, plain_recipe, tiny_recipe
from hypothesis import given
from hypothesis import strategies as st

from ltzoo.bridge import Bridge, extend_bridge, get_recipe, train_bridge
from ltzoo.bridge.entrances import FoldedEntrance, PooledEntrance, fit_pooling
from ltzoo.bridge.shapes import LONGEST
from ltzoo.errors import LatentsError, TrainingError, UsageError
from ltzoo.latents import LatentSet

pytestmark = pytest.mark.usefixtures("one_thread")


def spread_latents(spec, shape: tuple[int, ...], items: int = 90, seed: int = 0) -> LatentSet:
    """Three classes of smooth latents: each a pattern of its own, in varying strength, with a little noise."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(items) % 3
    coarse = torch.randn(3, shape[0], *[2] * (len(shape) - 1), generator=rng)
    mode = {1: "linear", 2: "bilinear"}[len(shape) - 1]
    patterns = torch.nn.functional.interpolate(coarse, shape[1:], mode=mode, align_corners=False)
    strength = 1 + 0.3 * torch.randn(items, *[1] * len(shape), generator=rng)
    return LatentSet(
        model=spec.id,
        fingerprint=spec.fingerprint,
        latents=2 * strength * patterns[labels] + 0.2 * torch.randn(items, *shape, generator=rng),
        std=torch.full((items, *shape), 0.05),
        labels=labels,
        label_names=("class 0", "class 1", "class 2"),
    )


VECTOR = make_spec("vector", size=6)
GRID = make_spec("grid", shape=(3, None, None))
FIXED_GRID = make_spec("fixed-grid", shape=(2, 4, 4))
SEQUENCE = make_spec("sequence", shape=(4, None))
MIXED = (VECTOR, GRID, FIXED_GRID, SEQUENCE)
MIXED_SETS = [
    make_latents(VECTOR, items=90),
    spread_latents(GRID, (3, 8, 6)),
    spread_latents(FIXED_GRID, (2, 4, 4), seed=1),
    spread_latents(SEQUENCE, (4, 20), seed=2),
]


@given(
    block=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    cells=st.lists(st.integers(1, 4), min_size=2, max_size=2),
    channels=st.integers(1, 3),
)
def test_folding_is_undone_on_leaving(block, cells, channels):
    entrance = FoldedEntrance(tuple(block))
    sizes = [step * count for step, count in zip(block, cells, strict=False)]
    z = torch.arange(2.0 * channels * torch.tensor(sizes).prod()).view(2, channels, *sizes)
    x = entrance.enter(z)
    assert x.shape == (2, channels * torch.tensor(block).prod(), *cells[: len(block)])
    assert torch.equal(entrance.leave(x), z)


def test_folding_keeps_neighbours_in_one_block_and_repeats_the_edge():
    entrance = FoldedEntrance((2, 2))
    x = entrance.enter(torch.arange(9.0).view(1, 1, 3, 3))
    assert x[0, :, 0, 0].tolist() == [0, 1, 3, 4]
    assert x[0, :, 1, 1].tolist() == [8, 8, 8, 8]


def test_pooling_keeps_what_lies_along_its_axes():
    """Latents on a plane of three axes come back whole; a fourth direction is lost, and told."""
    rng = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(24, 4, generator=rng)).Q
    codes = torch.randn(200, 4, generator=rng) * torch.tensor([5.0, 3.0, 2.0, 0.5])
    z = (codes @ axes.T + 1).view(-1, 2, 3, 4)
    entrance = PooledEntrance((2, 3, 4), 3)
    kept = fit_pooling(entrance, z)
    variances = codes.var(dim=0)
    assert kept == pytest.approx(float(variances[:3].sum() / variances.sum()), abs=0.01)
    flat = z - (codes[:, 3:] @ axes[:, 3:].T).view(-1, 2, 3, 4)
    torch.testing.assert_close(entrance.leave(entrance.enter(flat)), flat, atol=0.2, rtol=0)
    assert entrance.enter(flat).std(dim=0).tolist() == sorted(entrance.enter(flat).std(dim=0), reverse=True)


def test_the_pooled_deviation_is_that_of_pooled_noise():
    entrance = PooledEntrance((3, 5), 4)
    rng = torch.Generator().manual_seed(1)
    fit_pooling(entrance, torch.randn(50, 3, 5, generator=rng))
    std = torch.rand(1, 3, 5, generator=rng)
    noise = std * torch.randn(20_000, 3, 5, generator=rng)
    pooled = entrance.enter(entrance.get_buffer("centre").view(1, 3, 5) + noise)
    torch.testing.assert_close(entrance.enter_std(std)[0], pooled.std(dim=0), rtol=0.05, atol=0)


def test_any_size_is_pooled_to_one():
    entrance = PooledEntrance((2, 8, 8), 5)
    rng = torch.Generator().manual_seed(2)
    smooth = torch.nn.functional.interpolate(
        torch.randn(40, 2, 3, 3, generator=rng), (16, 16), mode="bicubic"
    )
    small = torch.nn.functional.interpolate(smooth, (8, 8), mode="bilinear", antialias=True)
    fit_pooling(entrance, small)
    near = (entrance.enter(smooth) - entrance.enter(small)).norm() / entrance.enter(small).norm()
    assert near < 0.05


def test_fitting_leaves_other_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fit_pooling(PooledEntrance((2, 4), 2), torch.arange(80.0).view(10, 2, 4).sin())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("recipe", [tiny_recipe, plain_recipe])
def test_mixed_kinds_in_one_bridge(recipe, tmp_path):
    """A vector, two grids and a sequence: twelve directions, each of which keeps the class."""
    bridge, report = train_bridge(
        MIXED_SETS,
        models=MIXED,
        recipe=recipe(steps=200, width=32, batch=30, learning_rate=5e-3, pooled_dim=40),
    )
    assert [form.kind for form in bridge.config.architecture.entrances] == [
        "flat",
        "pooled",
        "flat",
        "pooled",
    ]
    assert sum("of their variance" in text for text in report.notes) == 2
    bridge.save_pretrained(tmp_path / "bridge")
    loaded = Bridge.from_pretrained(tmp_path / "bridge")
    for source, target in permutations(MIXED_SETS, 2):
        z = loaded.translate(source.latents, source=source.model, target=target.model)
        assert z.shape[1:] == target.latent_shape
        assert torch.equal(z, bridge.translate(source.latents, source=source.model, target=target.model))
        centres = torch.stack([target.latents[target.labels == c].mean(dim=0) for c in range(3)])
        nearest = torch.cdist(z.flatten(1), centres.flatten(1)).argmin(dim=1)
        assert (nearest == source.labels).double().mean() > 0.9, (source.model, target.model)
    longer = torch.nn.functional.interpolate(MIXED_SETS[3].latents, 33, mode="linear")
    assert loaded.translate(longer, source=SEQUENCE.id, target=VECTOR.id).shape == (90, 6)
    assert loaded.novelty(longer, source=SEQUENCE.id).median() < 0.99
    with pytest.raises(LatentsError, match="4 x \\?"):
        loaded.translate(longer[:, :3], source=SEQUENCE.id, target=VECTOR.id)


def test_vectors_too_long_for_a_base_are_pooled():
    long = make_spec("huge", size=LONGEST + 1)
    bridge, report = train_bridge(
        [make_latents(long), make_latents(VECTOR)], models=(long, VECTOR), recipe=tiny_recipe()
    )
    assert bridge.config.architecture.sizes == (54, 6)
    assert "become 54 numbers" in report.notes[0]


def related_grids(items: int, size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents of two made-up models of one thing: of ``size`` and half as many positions a side."""
    rng = torch.Generator().manual_seed(seed)
    things = torch.nn.functional.interpolate(
        torch.randn(items, 3, size // 4 + 1, size // 4 + 1, generator=rng), (size, size), mode="bicubic"
    )
    mix = torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 0, -1], [0, 1, 0]])[:, :, None, None]
    fine = torch.nn.functional.conv2d(things, mix)
    coarse = torch.nn.functional.pixel_unshuffle(things, 2)[:, ::2].mul(2).tanh()
    return fine, coarse


FINE = make_spec("fine", shape=(4, None, None))
COARSE = make_spec("coarse", shape=(6, None, None))


def bare(spec, z: torch.Tensor) -> LatentSet:
    return LatentSet(model=spec.id, fingerprint=spec.fingerprint, latents=z)


def r2(truth: torch.Tensor, guess: torch.Tensor) -> float:
    return float(1 - (truth - guess).square().sum() / (truth - truth.mean(dim=0)).square().sum())


def test_grids_alike_go_position_by_position_at_any_size(tmp_path):
    fine, coarse = related_grids(120, 16)
    bridge, report = train_bridge(
        [bare(FINE, fine), bare(COARSE, coarse)],
        models=(FINE, COARSE),
        recipe=tiny_recipe(steps=60, channels=16, reconstruction_weight=1, learning_rate=3e-3),
    )
    assert bridge.config.architecture.trunk == "convolution"
    assert [form.shape for form in bridge.config.architecture.entrances] == [(2, 2), (1, 1)]
    assert all(row.reconstruction_r2 > 0.8 for row in report.held_out)
    bridge.save_pretrained(tmp_path / "bridge")
    bridge = Bridge.from_pretrained(tmp_path / "bridge")
    for height, width in ((16, 16), (10, 24), (7, 5), (2, 2)):
        z = related_grids(3, 24, seed=5)[0][:, :, :height, :width]
        there = bridge.translate(z, source=FINE.id, target=COARSE.id)
        assert there.shape == (3, 6, -(-height // 2), -(-width // 2))
        assert bridge.translate(there, source=COARSE.id, target=FINE.id).shape[2] in (height, height + 1)
        same = bridge.translate(z, source=FINE.id, target=FINE.id)
        assert same.shape == z.shape
        assert height < 10 or r2(z, same) > 0.8
        assert bridge.novelty(z, source=FINE.id).shape == (3,)
        shared = bridge.shared(z, source=FINE.id)
        assert torch.equal(bridge.decode_shared(shared, target=COARSE.id), there)
    with pytest.raises(LatentsError):
        bridge.decode_shared(torch.zeros(2, shared.shape[1]), target=COARSE.id)


def test_a_position_far_away_changes_nothing():
    """What the network sees of its surroundings has an end: that makes it work at any size."""
    fine, coarse = related_grids(60, 16)
    bridge, _ = train_bridge(
        [bare(FINE, fine), bare(COARSE, coarse)],
        models=(FINE, COARSE),
        recipe=tiny_recipe(steps=5, channels=8),
    )
    z = related_grids(1, 48, seed=6)[0]
    changed = z.clone()
    changed[:, :, :4] += 3
    moved = (
        (
            bridge.translate(changed, source=FINE.id, target=COARSE.id)
            - bridge.translate(z, source=FINE.id, target=COARSE.id)
        )
        .abs()
        .amax(dim=(0, 1, 3))
    )
    assert moved[0] > 0.1
    assert torch.all(moved[12:] < 1e-5)


def test_sizes_without_a_common_divisor_are_refused():
    sets = [bare(FINE, torch.randn(40, 4, 16, 16)), bare(COARSE, torch.randn(40, 6, 13, 13))]
    with pytest.raises(TrainingError, match="common divisor") as caught:
        train_bridge(sets, models=(FINE, COARSE), recipe=tiny_recipe())
    assert "trunk=vector" in caught.value.hint


def test_the_recipe_has_the_last_word_on_the_trunk():
    with pytest.raises(UsageError, match="needs a base"):
        plain_recipe(trunk="convolution")
    with pytest.raises(UsageError, match="grids only"):
        train_bridge(MIXED_SETS[:2], models=MIXED[:2], recipe=tiny_recipe(trunk="convolution"))
    grids = [bare(FINE, torch.randn(40, 4, 4, 4)), bare(COARSE, torch.randn(40, 6, 4, 4))]
    vector, _ = train_bridge(grids, models=(FINE, COARSE), recipe=tiny_recipe(trunk="vector", steps=3))
    assert vector.config.architecture.trunk == "vector"
    labelled = [spread_latents(GRID, (3, 8, 6)), spread_latents(FIXED_GRID, (2, 4, 4))]
    by_class, _ = train_bridge(labelled, models=(GRID, FIXED_GRID), recipe=tiny_recipe(steps=3))
    assert by_class.config.architecture.trunk == "vector"
    asked, report = train_bridge(
        [labelled[0], spread_latents(FINE, (4, 4, 3))],
        models=(GRID, FINE),
        recipe=tiny_recipe(steps=3, trunk="convolution"),
    )
    assert asked.config.architecture.trunk == "convolution"
    assert any("labels are not used" in text for text in report.notes)


def test_models_of_any_kind_join_later():
    """To mixed kinds a longer sequence and a vector; to grids one of another stride, but no vector."""
    bridge, _ = train_bridge(MIXED_SETS[:2], models=MIXED[:2], recipe=tiny_recipe(pooled_dim=40))
    for count in (2, 3):
        bridge, _ = extend_bridge(bridge, MIXED_SETS[: count + 1], model=MIXED[count])
    assert [form.kind for form in bridge.config.architecture.entrances] == [
        "flat",
        "pooled",
        "flat",
        "pooled",
    ]
    z = bridge.translate(MIXED_SETS[3].latents, source=SEQUENCE.id, target=GRID.id)
    assert z.shape == (90, 3, 8, 6)

    fine, coarse = related_grids(60, 16)
    half = coarse.mean(dim=1, keepdim=True).expand(-1, 2, -1, -1).contiguous()
    third = make_spec("third", shape=(2, None, None))
    sets = [bare(FINE, fine), bare(COARSE, coarse)]
    grids, _ = train_bridge(sets, models=(FINE, COARSE), recipe=tiny_recipe(steps=5, channels=8))
    before = grids.translate(fine, source=FINE.id, target=COARSE.id)
    extended, _ = extend_bridge(grids, [*sets, bare(third, half)], model=third)
    assert torch.equal(extended.translate(fine, source=FINE.id, target=COARSE.id), before)
    assert extended.translate(fine, source=FINE.id, target=third.id).shape == (60, 2, 8, 8)
    with pytest.raises(TrainingError, match="does not fit"):
        extend_bridge(grids, [*sets, MIXED_SETS[0]], model=VECTOR)
    with pytest.raises(TrainingError, match="does not fit"):
        extend_bridge(grids, [*sets, bare(third, half[:, :, :7])], model=third)


def keyed(spec, z: torch.Tensor) -> LatentSet:
    return replace(bare(spec, z), keys=torch.arange(len(z)), keys_of="things")


@pytest.mark.parametrize("recipe", ["ridge", "procrustes"])
def test_paired_grids_have_a_base_for_all_positions(recipe):
    """The exact map from one to the other is linear at each position here: ridge finds it, at any size."""
    fine, _ = related_grids(60, 16)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1))).Q[:, :12]
    spec = make_spec("turned", shape=(12, None, None))

    def turned(z: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(torch.nn.functional.pixel_unshuffle(z, 2), turn.T[:, :, None, None])

    bridge, _ = train_bridge(
        [keyed(FINE, fine), keyed(spec, turned(fine))], models=(FINE, spec), recipe=recipe
    )
    assert bridge.config.architecture.trunk == "convolution"
    z = related_grids(10, 24, seed=9)[0]
    translated = bridge.translate(z, source=FINE.id, target=spec.id)
    assert r2(turned(z), translated) > (0.999 if recipe == "ridge" else 0.5)


def test_labels_do_not_keep_pairs_from_going_position_by_position():
    fine, coarse = related_grids(60, 16)
    labels = {"labels": torch.arange(60) % 2, "label_names": ("a", "b")}
    sets = [replace(keyed(FINE, fine), **labels), replace(keyed(COARSE, coarse), **labels)]
    bridge, _ = train_bridge(sets, models=(FINE, COARSE), recipe="ridge")
    assert bridge.config.architecture.trunk == "convolution"
    unpaired = [replace(one, keys_of=None) for one in sets]
    bridge, _ = train_bridge(unpaired, models=(FINE, COARSE), recipe=tiny_recipe(steps=2))
    assert bridge.config.architecture.trunk == "vector"


def test_corrections_learn_from_pairs_what_no_linear_map_can(tmp_path):
    """The coarse latents are curved: ridge leaves what corrections mend, also at a size not trained on."""
    fine, coarse = related_grids(200, 16)
    sets = [keyed(FINE, fine), keyed(COARSE, coarse)]
    z, truth = related_grids(20, 24, seed=9)
    found = {}
    for name in ("ridge", "default"):
        options = {"steps": 250, "channels": 64} if name == "default" else {}
        bridge, _ = train_bridge(sets, models=(FINE, COARSE), recipe=get_recipe(name, **options))
        assert bridge.config.architecture.trunk == "convolution"
        bridge.save_pretrained(tmp_path / name)
        found[name] = r2(
            truth, Bridge.from_pretrained(tmp_path / name).translate(z, source=FINE.id, target=COARSE.id)
        )
    assert 1 - found["default"] < 0.6 * (1 - found["ridge"])
    with pytest.raises(TrainingError, match="fitted to pairs"):
        extend_bridge(bridge, [*sets, MIXED_SETS[0]], model=VECTOR)
