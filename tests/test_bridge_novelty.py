"""Novelty: calibrated on held-out latents, blind to scale, and told by `ltzoo translate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bridge_samples import make_latents, make_spec, plain_recipe, tiny_recipe

from ltzoo.bridge import Bridge, train_bridge, validation_part
from ltzoo.bridge import novelty as novelty_module
from ltzoo.bridge.novelty import UNUSUAL, Novelty
from ltzoo.evaluation.measuring import shipped_latents
from ltzoo.media import write_media
from ltzoo.zoo import default_zoo

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
        # The normalisation is in half precision: the scores move a little, the calibration does not.
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


def test_many_classes_have_variances_only():
    """Their covariances would dwarf the bridge as those of long latents do."""
    assert Novelty(10, 512).get_buffer("whiten").shape == (10, 512, 512)
    assert Novelty(1000, 512).get_buffer("whiten").shape == (1000, 512)


@pytest.mark.parametrize("items", [18, 20, 30, 60, 100, 300])
def test_with_few_items_ordinary_latents_are_not_warned_of(items):
    """A tenth of them, one or two, would calibrate nothing; what lies far off is told from the start."""
    generator = torch.Generator().manual_seed(0)
    alarms = []
    for _ in range(20):
        train, held_out, ordinary = torch.randn(items + 500, 4, generator=generator).split(
            [items - items // 10, items // 10, 500]
        )
        novelty = Novelty(1, 4)
        novelty.fit([train], held_out)
        alarms.append((novelty(ordinary) > UNUSUAL).double().mean().item())
        assert novelty(torch.full((1, 4), 100.0)).item() == 1
    assert sum(alarms) / len(alarms) < 0.02


def test_few_latents_cannot_tell_the_99th_percentile():
    """With 60, one in 61 ordinary latents lies beyond all: that alone is no reason to warn."""
    bridge, sets = trained(items=60)
    assert bridge.novelty(sets[0].latents, source="toy/a").max().item() < UNUSUAL


def test_one_latent_a_class_and_none_held_out():
    novelty = Novelty(4, 3)
    latents = 10 * torch.eye(4, 3)
    novelty.fit(list(latents.split(1)), torch.zeros(0, 3))
    assert bool((novelty(latents) <= 0.8).all())
    assert novelty(torch.full((1, 3), 50.0)).item() == 1


def test_labels_that_are_in_no_class_do_not_say_what_is_usual():
    """Two of three classes are trained on: the third is novel, though a third of the held-out latents are its."""
    both = {"class 0": "x", "class 1": "y"}
    bridge, sets = trained(labels={"toy/a": both, "toy/b": both})
    z, labels = sets[0].latents, sets[0].labels
    assert (bridge.novelty(z[labels < 2], source="toy/a") > UNUSUAL).double().mean() < 0.02
    assert (bridge.novelty(z[labels == 2], source="toy/a") > UNUSUAL).double().mean() > 0.9


@BOTH
def test_with_few_labels_the_other_latents_say_what_is_usual(recipe):
    """From one latent a class alone no spread could be told, and points between the classes would be usual."""
    bridge, sets = trained(recipe, labels_per_class=1)
    latents = sets[0].latents
    centres = torch.stack([latents[sets[0].labels == c].mean(0) for c in range(3)])
    own = bridge.novelty(validation_part(sets[0]).latents, source="toy/a")
    assert (own > UNUSUAL).double().mean().item() == pytest.approx(0.01, abs=0.01)
    assert bridge.novelty(centres.mean(0)[None], source="toy/a").item() > UNUSUAL


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("odd", ["few", "constant", "outlier"])
def test_whatever_was_trained_on_is_saved_finite(odd, dtype, tmp_path):
    latents = make_latents(A, items=18 if odd == "few" else 60)
    if odd == "constant":
        latents = replace(latents, latents=torch.ones(60, 4), std=None)
    if odd == "outlier":
        held_out = validation_part(replace(latents, keys=torch.arange(60))).keys
        latents.latents[held_out[0]] = 1e30
    bridge, _ = train_bridge([latents, make_latents(B)], models=(A, B), recipe=tiny_recipe(steps=2))
    bridge.save_pretrained(tmp_path / "bridge", dtype=dtype)
    loaded = Bridge.from_pretrained(tmp_path / "bridge")
    own = loaded.novelty(latents.latents, source="toy/a")
    assert 0 <= own.min() <= own.max() <= 1
    if odd != "outlier":
        assert (own > UNUSUAL).double().mean() < 0.05
        assert loaded.novelty(latents.latents[:1] + 1e3, source="toy/a").item() == 1


def test_latents_near_the_largest_float_are_novel():
    """The sums within their scores are beyond it, in both directions: not a number, if nothing were done."""
    rng = torch.Generator().manual_seed(0)
    x = 1e-3 * torch.randn(2000, 4, generator=rng)
    novelty = Novelty(1, 4)
    novelty.fit([x[:1000]], x[1000:])
    signs = torch.tensor([[1.0, -1, 1, -1], [1, 1, -1, -1], [-1, 1, 1, 1]])
    assert novelty(3e38 * signs).tolist() == [1, 1, 1]


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


def test_garments_given_to_a_model_of_digits_are_warned_of(ltzoo, tmp_path):
    """The bundled bridge, real models: digits pass, and most garments do not. Long paths keep their file names."""
    zoo = default_zoo()
    folder = tmp_path / ("x" * 80)
    folder.mkdir()
    names: dict[str, list[str]] = {}
    for model, kind in (("mnist/vae", "digit"), ("fashion-mnist/vae", "garment")):
        latents = shipped_latents(zoo.models[model], zoo).part("test").latents[:10]
        with torch.inference_mode():
            pictures = zoo.load_model(model).decode(latents)
        names[model] = [str(folder / f"{kind}-{i}.png") for i in range(len(pictures))]
        for name, picture in zip(names[model], pictures, strict=True):
            write_media(name, picture, zoo.models[model].data)
    inputs = [*names["mnist/vae"], *names["fashion-mnist/vae"]]
    options = ("--from", "mnist/vae", "--to", "fashion-mnist/vae", "-o", str(tmp_path / "out"), "--json")
    code, out, err = ltzoo("translate", *inputs, *options)
    assert code == 0
    novelty = dict(zip(inputs, json.loads(out)["novelty"], strict=True))
    unlike = [name for name in inputs if novelty[name] > UNUSUAL]
    assert len(unlike) >= 5
    assert set(unlike) <= set(names["fashion-mnist/vae"])
    (warning,) = (line for line in err.splitlines() if "warning" in line)
    assert [name for name in inputs if Path(name).name in warning] == unlike[:5]
    assert f"and {len(unlike) - 5} more" in warning or len(unlike) == 5
    assert "ltzoo models show mnist/vae" in warning
