"""Each term of the objective on cases whose value is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from bridge_samples import make_config, tiny_recipe

from ltzoo.bridge import objective
from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.bridge.objective import (
    Batch,
    by_class,
    kl_divergence,
    objective_terms,
    reconstruction_error,
    sliced_wasserstein,
    weighted_sum,
)
from ltzoo.bridge.randomness import Purpose, generator, unit_directions


def rng(seed: int = 0) -> np.random.Generator:
    return generator(seed, Purpose.STEP, 0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_reconstruction_averages_over_rows_dimensions_and_models():
    a, b = torch.zeros(2, 3), torch.zeros(5, 7)
    assert reconstruction_error([a + 1, b + 3], [a, b]).item() == pytest.approx((1 + 9) / 2)


def test_kl_is_zero_for_the_prior_and_sums_over_dimensions():
    assert kl_divergence(torch.zeros(4, 3), torch.ones(4, 3)).item() == 0
    assert kl_divergence(torch.full((4, 3), 2.0), torch.ones(4, 3)).item() == pytest.approx(3 * 2.0)
    one = 0.5 * (0.25 - 1) - math.log(0.5)
    assert kl_divergence(torch.zeros(4, 3), torch.full((4, 3), 0.5)).item() == pytest.approx(3 * one)


def test_directions_are_unit_columns():
    directions = unit_directions(rng(), 8, 1000)
    assert torch.allclose(directions.norm(dim=0), torch.ones(1000))
    assert directions.mean(dim=1).abs().max() < 0.06  # 4 standard errors: evenly spread


def test_sliced_wasserstein_ignores_the_order():
    a = normal(64, 5)
    directions = unit_directions(rng(), 5, 32)
    assert sliced_wasserstein(a, a.flip(0), directions).item() == pytest.approx(0, abs=1e-7)


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection():
    a, shift = normal(64, 5), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])
    directions = unit_directions(rng(), 5, 32)
    expected = (shift @ directions).abs().mean().item()
    assert sliced_wasserstein(a + shift, a, directions).item() == pytest.approx(expected, rel=1e-5)


def test_sliced_wasserstein_in_one_dimension_is_exact():
    a, b = torch.tensor([[3.0], [0.0], [1.0]]), torch.tensor([[5.0], [8.0], [6.0]])
    assert sliced_wasserstein(a, b, torch.ones(1, 1)).item() == 5.0


def test_sliced_wasserstein_compares_group_by_group():
    a, b = normal(3, 20, 4), normal(3, 20, 4) + 1
    directions = unit_directions(rng(), 4, 16)
    groups = [sliced_wasserstein(a[i], b[i], directions).item() for i in range(3)]
    assert sliced_wasserstein(a, b, directions).item() == pytest.approx(sum(groups) / 3, rel=1e-5)


def test_sliced_wasserstein_gradient_is_autograds():
    directions = unit_directions(rng(), 4, 16)
    a, b = normal(2, 20, 4).requires_grad_(), normal(2, 21, 4)[:, :20].clone().requires_grad_()
    ours = torch.autograd.grad(sliced_wasserstein(a, b, directions), (a, b))
    gap = (a @ directions).sort(dim=1).values - (b @ directions).sort(dim=1).values
    theirs = torch.autograd.grad(gap.abs().mean(), (a, b))
    for x, y in zip(ours, theirs, strict=True):
        assert torch.allclose(x, y, atol=1e-7)


def test_rows_in_class_order_are_grouped():
    rows = torch.tensor([[0.0], [1.0], [2.0], [0.1], [1.1], [2.1]])
    assert by_class(rows, 3).squeeze(-1).tolist() == [
        [0.0, pytest.approx(0.1)],
        [1.0, pytest.approx(1.1)],
        [2.0, pytest.approx(2.1)],
    ]


def network(classes: int = 3, sizes: tuple[int, ...] = (4, 4)) -> SharedAutoencoder:
    net = SharedAutoencoder(make_config(sizes, classes).architecture)
    net.initialize(generator(0, Purpose.WEIGHTS))
    return net


def batch(sizes: tuple[int, ...] = (4, 4), rows: int = 12, classes: int = 3) -> Batch:
    inputs = tuple(normal(rows, size) + index for index, size in enumerate(sizes))
    return Batch(inputs, torch.arange(rows) % classes if classes else None)


def test_terms_without_weight_are_not_computed(monkeypatch):
    def fail(*args):
        raise AssertionError("computed a term that has no weight")

    for name in ("kl_divergence", "sliced_wasserstein"):
        monkeypatch.setattr(objective, name, fail)
    recipe = tiny_recipe(kl_weight=0.0, swd_weight=0.0, translation_weight=0.0, classifier_weight=0.0)
    assert set(objective_terms(network(), batch(), recipe, rng())) == {"reconstruction"}


def test_without_classes_all_is_one_class():
    terms = objective_terms(network(0), batch(classes=0), tiny_recipe(), rng())
    assert set(terms) == {"reconstruction", "kl", "swd", "translation"}
    by_class = tiny_recipe(swd_by_class=False)
    assert terms["swd"] == objective_terms(network(0), batch(classes=0), by_class, rng())["swd"]


def test_three_models_of_unequal_sizes():
    sizes = (4, 6, 3)
    net = network(3, sizes)
    terms = objective_terms(net, batch(sizes), tiny_recipe(), rng())
    loss = weighted_sum(terms, tiny_recipe())
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())


def test_loss_is_the_weighted_sum():
    recipe = tiny_recipe(kl_weight=0.5, swd_weight=2.0, classifier_weight=3.0, translation_weight=4.0)
    terms = {
        "reconstruction": torch.tensor(1.0),
        "kl": torch.tensor(10.0),
        "swd": torch.tensor(100.0),
        "classifier": torch.tensor(1000.0),
        "translation": torch.tensor(10000.0),
    }
    assert weighted_sum(terms, recipe).item() == 1 + 5 + 200 + 3000 + 40000


def test_class_wise_distance_sees_swapped_classes():
    """Swapping two classes leaves the marginal as it is: only the class-wise term can tell."""
    net = network()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.encoder_mean.skip.weight[:, :3] = torch.eye(3)  # z' = half the input, with hardly any noise
        net.encoder_std.skip.bias.fill_(-30)
    centres = 5 * torch.eye(3, 4)
    rows = torch.arange(60) % 3
    right = Batch((centres[rows], centres[rows]), rows)
    swapped = Batch((centres[rows], centres[torch.tensor([1, 0, 2])[rows]]), rows)

    def swd(which: Batch, by: bool) -> float:
        recipe = tiny_recipe(swd_by_class=by, translation_weight=0.0, kl_weight=0.0)
        return objective_terms(net, which, recipe, rng())["swd"].item()

    assert swd(right, True) < 1e-3
    assert swd(swapped, False) < 1e-3
    assert swd(swapped, True) > 0.5
