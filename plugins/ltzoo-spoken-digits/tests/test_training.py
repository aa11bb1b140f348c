"""The recipes on a handful of made-up spectrograms: that they run, resume and learn, not how well."""

import json

import pytest
import torch

from ltzoo_spoken_digits import gan_training
from ltzoo_spoken_digits.gan import Discriminator, Generator, GeneratorShape, fold, unfold
from ltzoo_spoken_digits.gan_training import GANRecipe, augment, settle, train_gan
from ltzoo_spoken_digits.measuring import nearest

SHAPE = GeneratorShape(latent=8, widths=(8, 8, 8, 8))


@pytest.fixture
def recordings():
    generator = torch.Generator().manual_seed(0)
    spectrograms = torch.rand(12, 1, 64, 64, generator=generator) * 2 - 1
    return spectrograms, torch.arange(12) % 3, torch.arange(12) % 2


def test_folding_time_is_undone():
    x = torch.rand(2, 1, 64, 64)
    assert fold(x).shape == (2, 2, 64, 32)
    assert torch.equal(unfold(fold(x)), x)


def test_training_stopped_half_way_ends_with_the_same_weights(recordings, tmp_path):
    def weights(steps, work):
        recipe = GANRecipe(shape=SHAPE, steps=steps, seed=3, batch=4, falling=1e-9, every=2)
        return train_gan(recipe, *recordings, work).state_dict()

    whole = weights(6, tmp_path / "whole")
    weights(3, tmp_path / "parts")
    resumed = weights(6, tmp_path / "parts")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    started = Generator(SHAPE)
    assert not torch.equal(whole["first.weight"], started.first.weight)


def test_the_log_has_a_line_every_so_many_steps(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(gan_training, "LOG_STEPS", 2)
    recipe = GANRecipe(shape=SHAPE, steps=3, seed=3, batch=4)
    train_gan(recipe, *recordings, tmp_path)
    (line,) = (tmp_path / "gan.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 2


def test_the_generator_learns_what_the_discriminator_sees(tmp_path):
    # One recording, over and over: draws must come to look like it.
    real = torch.full((8, 1, 64, 64), -1.0)
    real[..., 16:32, 10:40] = 0.8
    recipe = GANRecipe(shape=SHAPE, steps=80, seed=0, batch=8, rate=(4e-3, 4e-3), average=0.9)
    before = settle(Generator(SHAPE))
    after = train_gan(recipe, real, torch.arange(8) % 2, torch.arange(8) % 2, tmp_path)
    z = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        errors = [(network(z) - real).square().mean().item() for network in (before, after)]
    assert errors[1] < 0.5 * errors[0]


def test_the_discriminator_sees_a_batch_that_is_all_alike():
    torch.manual_seed(0)
    network = Discriminator(10, 6).eval()
    varied = torch.rand(4, 1, 64, 64) * 2 - 1
    alike = varied[:1].expand(4, -1, -1, -1)
    with torch.no_grad():
        assert network(varied)[0][0] != network(alike)[0][0]


def test_augmenting_moves_but_keeps_range_and_silence():
    torch.manual_seed(0)
    silence = torch.full((16, 1, 64, 64), -1.0)
    assert (augment(silence) == -1).all()
    x = torch.rand(16, 1, 64, 64) * 2 - 1
    changed = augment(x)
    assert changed.shape == x.shape
    assert changed.min() >= -1
    assert changed.max() < 1.16
    assert not torch.equal(changed, x)


def test_the_nearest_spectrogram_of_the_same_ones_is_itself():
    x = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert nearest(x, x.flip(0)).tolist() == [0.0] * 3
    assert (nearest(x, x[:1]) > 0).tolist() == [False, True, True]
