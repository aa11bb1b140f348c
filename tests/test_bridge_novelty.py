"""Novelty: calibrated on held-out latents, blind to scale, and told by `ltzoo translate`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from bridge_samples import make_latents, make_spec, plain_recipe, tiny_recipe

from ltzoo.bridge import Bridge, train_bridge, validation_part
from ltzoo.bridge import novelty as novelty_module
from ltzoo.bridge.novelty import UNUSUAL, Novelty

A, B = make_spec("a"), make_spec("b")
BOTH = pytest.mark.parametrize("recipe", [tiny_recipe, plain_recipe])


def trained(recipe=tiny_recipe, items: int = 4000, **options) -> tuple[Bridge, list]:
    sets = [make_latents(A, items=items), make_latents(B, items=items, seed=1)]
    return train_bridge(sets, models=(A, B), recipe=recipe(steps=2), **options)[0], sets


@BOTH
@pytest.mark.parametrize("labels", ["auto", "none"])
def test_one_in_a_hundred_held_out_latents_is_unusual(recipe, labels):
    bridge, sets = trained(recipe, labels=labels)
    for latents in sets:
        own = bridge.novelty(validation_part(latents).latents, source=latents.model)
        assert own.shape == (400,)
        assert (own > UNUSUAL).double().mean().item() == pytest.approx(0.01, abs=0.005)
        assert own.mean().item() == pytest.approx(0.5, abs=0.01)
        assert 0 <= own.min() <= own.max() <= 1


def test_what_is_not_like_the_training_data_is_told_from_it():
    """Between the classes, or beyond them: far from every class, though within the range of all."""
    bridge, sets = trained()
    latents = sets[0].latents
    centres = torch.stack([latents[sets[0].labels == c].mean(0) for c in range(3)])
    for z in (centres.mean(0)[None], 3 * centres, torch.full((1, 4), 1e6), torch.full((1, 4), -1e30)):
        assert bool((bridge.novelty(z, source="toy/a") > UNUSUAL).all())
    assert bool((bridge.novelty(centres, source="toy/a") < 0.05).all())


def test_units_do_not_matter():
    bridge, sets = trained()
    scale = torch.tensor([0.01, 1.0, 100.0, 7.0])
    scaled = [
        replace(sets[0], latents=sets[0].latents * scale, std=sets[0].std * scale),
        sets[1],
    ]
    other, _ = train_bridge(scaled, models=(A, B), recipe=tiny_recipe(steps=2))
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3
    torch.testing.assert_close(
        bridge.novelty(z, source="toy/a"), other.novelty(z * scale, source="toy/a"), atol=0.01, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_novelty_is_saved_with_the_bridge(dtype, tmp_path):
    bridge, sets = trained()
    bridge.save_pretrained(tmp_path / "bridge", dtype=dtype)
    loaded = Bridge.from_pretrained(tmp_path / "bridge")
    torch.testing.assert_close(
        loaded.novelty(sets[0].latents, source="toy/a"),
        bridge.novelty(sets[0].latents, source="toy/a"),
        atol=0.02 if dtype == torch.float16 else 0.0,
        rtol=0,
    )


def test_long_latents_have_variances_only(monkeypatch):
    """Without a covariance the distance still tells a far-off latent, and the store does not grow squared."""
    monkeypatch.setattr(novelty_module, "LARGEST", 3)
    bridge, sets = trained()
    assert bridge.network.novelty[0].get_buffer("whiten").shape == (3, 4)
    own = bridge.novelty(validation_part(sets[0]).latents, source="toy/a")
    assert (own > UNUSUAL).double().mean() < 0.02
    assert bridge.novelty(torch.full((1, 4), 50.0), source="toy/a").item() == 1


def test_few_held_out_latents_cannot_tell_the_99th_percentile():
    """With six, one in seven usual latents lies beyond all: that alone is no reason to warn."""
    bridge, sets = trained(items=60)
    held_out = validation_part(sets[0]).latents
    assert bridge.novelty(held_out, source="toy/a").max().item() == pytest.approx(6 / 7)
    assert bridge.novelty(torch.full((1, 4), 100.0), source="toy/a").item() == 1


def test_few_items_and_constant_dimensions_stay_finite():
    for latents in (make_latents(A, items=18), replace(make_latents(A), latents=torch.ones(60, 4), std=None)):
        bridge, _ = train_bridge([latents, make_latents(B)], models=(A, B), recipe=tiny_recipe(steps=2))
        own = bridge.novelty(latents.latents, source="toy/a")
        assert bool(own.isfinite().all())
        assert bridge.novelty(latents.latents[:1] + 1e3, source="toy/a").item() == 1


def test_a_latent_off_the_axis_of_its_class_is_novel():
    """Each class varies along an axis of its own: as far out along the other one's is far off."""
    rng = torch.Generator().manual_seed(0)
    groups = [
        torch.randn(2000, 2, generator=rng) * torch.tensor(axes) + at
        for axes, at in (((1.0, 0.05), 0.0), ((0.05, 1.0), 9.0))
    ]
    novelty = Novelty(2, 2)
    novelty.fit(groups, torch.cat([group[:500] for group in groups]))
    assert novelty(torch.tensor([[1.0, 0.0], [9.0, 10.0]])).max() < 0.95
    assert novelty(torch.tensor([[0.0, 1.0], [10.0, 9.0]])).min() > UNUSUAL
