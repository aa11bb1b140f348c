"""Each term of the objective on cases whose value is known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from bridge_samples import build_network, make_config, plain_recipe, tiny_recipe

from ltzoo.bridge import objective
from ltzoo.bridge.based import by_class, in_turn
from ltzoo.bridge.likeness import Likeness, NearestLatents
from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.bridge.objective import (
    Batch,
    Objective,
    kl_divergence,
    quantile_gap,
    reconstruction_error,
    sliced_wasserstein,
)
from ltzoo.bridge.quantiles import QuantileTable
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


@pytest.mark.parametrize("rows", [512, 60])
def test_sliced_wasserstein_is_that_of_pot(rows):
    import ot  # takes seconds: only where it is needed

    a, b = normal(rows, 64).requires_grad_(), normal(64, rows).T * 1.5 + 0.3
    directions = unit_directions(rng(), 64, 512)
    ours = sliced_wasserstein(a, b, directions)
    theirs = ot.sliced_wasserstein_distance(a, b, projections=directions, p=1)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert ours.item() > 0.3
    gradients = [torch.autograd.grad(value, a)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-3)


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
    assert torch.equal(in_turn(by_class(rows, 3)), rows)


def network(classes: int = 3, sizes: tuple[int, ...] = (4, 4)) -> SharedAutoencoder:
    net = SharedAutoencoder(make_config(sizes, classes).architecture)
    net.initialize(generator(0, Purpose.WEIGHTS))
    return net


def batch(sizes: tuple[int, ...] = (4, 4), rows: int = 12, classes: int = 3) -> Batch:
    inputs = tuple(normal(rows, size) + index for index, size in enumerate(sizes))
    noise = tuple(torch.full_like(x, 0.1) for x in inputs)
    return Batch(inputs, noise, torch.arange(rows) % classes if classes else None)


def terms_of(net, batch: Batch, recipe, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    likenesses = None
    if recipe.compares:
        groups = max(net.architecture.classes, 1)
        levels = len(batch.inputs[0]) // groups
        likenesses = []
        for x in batch.inputs:
            own = list(by_class(x, groups))
            likenesses.append(Likeness(QuantileTable(own, levels, rng), NearestLatents(own, rng)))
    return Objective(recipe, likenesses).terms(net, batch, rng)


def test_terms_without_weight_are_not_computed(monkeypatch):
    def fail(*args):
        raise AssertionError("computed a term that has no weight")

    for name in ("kl_divergence", "sliced_wasserstein"):
        monkeypatch.setattr(objective, name, fail)
    recipe = plain_recipe(kl_weight=0.0, swd_weight=0.0, translation_weight=0.0, classifier_weight=0.0)
    assert set(terms_of(network(), batch(), recipe, rng())) == {"reconstruction"}


def test_without_classes_all_is_one_class():
    terms = terms_of(network(0), batch(classes=0), plain_recipe(), rng())
    assert set(terms) == {"reconstruction", "kl", "swd", "translation"}
    by_class = plain_recipe(swd_by_class=False)
    assert terms["swd"] == terms_of(network(0), batch(classes=0), by_class, rng())["swd"]


def test_three_models_of_unequal_sizes():
    sizes = (4, 6, 3)
    net = network(3, sizes)
    terms = terms_of(net, batch(sizes), plain_recipe(), rng())
    loss = Objective(plain_recipe()).weigh(terms)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())


def test_loss_is_the_weighted_sum():
    recipe = plain_recipe(kl_weight=0.5, swd_weight=2.0, classifier_weight=3.0, translation_weight=4.0)
    terms = {
        "reconstruction": torch.tensor(1.0),
        "kl": torch.tensor(10.0),
        "swd": torch.tensor(100.0),
        "classifier": torch.tensor(1000.0),
        "translation": torch.tensor(10000.0),
    }
    assert Objective(recipe).weigh(terms).item() == 1 + 5 + 200 + 3000 + 40000


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
    right = Batch((centres[rows], centres[rows]), (None, None), rows)
    swapped = Batch((centres[rows], centres[torch.tensor([1, 0, 2])[rows]]), (None, None), rows)

    def swd(which: Batch, by: bool) -> float:
        recipe = plain_recipe(swd_by_class=by, translation_weight=0.0, kl_weight=0.0)
        return terms_of(net, which, recipe, rng())["swd"].item()

    assert swd(right, True) < 1e-3
    assert swd(swapped, False) < 1e-3
    assert swd(swapped, True) > 0.5


def test_quantiles_of_a_sample_are_at_no_distance_from_it():
    """50 rows against a table of the same 50: no gap. Moved by one standard deviation: a gap of about one."""
    rows = normal(50, 4) * torch.tensor([0.1, 1.0, 10.0, 1.0])
    table = QuantileTable([rows], 50, rng())
    directions, values = table.draw(64, rng(1))
    assert directions.shape == (4, 64)
    assert values.shape == (1, 64, 50)
    same = quantile_gap((rows[None] @ directions).mT, values)
    assert same.item() == pytest.approx(0, abs=1e-5)
    assert (rows @ directions).std(dim=0, correction=0).mean().item() == pytest.approx(1, abs=1e-3)
    wider = quantile_gap((2 * rows[None] @ directions).mT, values)
    assert 0.5 < wider.item() < 1


def test_translations_take_turns_over_the_models():
    """A step costs what its models cost, not their pairs; after k - 1 steps every direction was there."""
    sizes = (4, 4, 4)
    net, seen = network(3, sizes), []
    recipe = plain_recipe(translation_weight=0.0, cycle_weight=1.0, kl_weight=0.0, swd_weight=0.0)
    inner = Objective(recipe)
    original = inner._translation_terms

    def noted(network, batch, translated, groups, rng):
        seen.append([(a, b) for a, b, _ in translated])
        return original(network, batch, translated, groups, rng)

    inner._translation_terms = noted  # type: ignore[method-assign]
    for step in range(2):
        inner.terms(net, batch(sizes), rng(), step)
    assert [len(pairs) for pairs in seen] == [3, 3]
    assert {pair for pairs in seen for pair in pairs} == {
        (a, b) for a in range(3) for b in range(3) if a != b
    }


def test_comparisons_of_codes_take_the_same_turns(monkeypatch):
    """No two models are compared twice in a step, and all have been after k - 1 steps."""
    sizes = (4, 4, 4, 4)
    net, seen = network(3, sizes), []
    means = {}
    encode = net.encode

    def noted(x, end, **options):
        mean, std = encode(x, end, **options)
        means[end] = mean
        return mean, torch.zeros_like(std) + 1e-9

    def compared(a, b, directions):
        near = [
            next(end for end, mean in means.items() if torch.allclose(by_class(mean, 3), z, atol=1e-4))
            for z in (a, b)
        ]
        seen[-1].append(tuple(near))
        return a.sum() * 0

    monkeypatch.setattr(net, "encode", noted)
    monkeypatch.setattr(objective, "sliced_wasserstein", compared)
    inner = Objective(plain_recipe(translation_weight=0.0))
    for step in range(3):
        seen.append([])
        inner.terms(net, batch(sizes), rng(), step)
    assert [len(pairs) for pairs in seen] == [4, 2, 4]
    assert all(len(set(pairs)) == len(pairs) for pairs in seen)
    assert {pair for pairs in seen for pair in pairs} == set(combinations(range(4), 2))


def test_cycles_of_the_identity_cost_nothing_but_noise():
    """A based network before training, between two copies of one model, is the identity: only noise costs."""
    config = make_config(recipe=tiny_recipe(noise_gain=0.0))
    net = build_network(config)
    recipe = tiny_recipe(kl_weight=0.0, swd_weight=0.0, translation_weight=0.0, nearness_weight=0.0)
    x = normal(12, 4)
    for noise, expected in ((0.0, 0.0), (0.5, 0.25)):
        both = Batch((x, x), (torch.full_like(x, noise),) * 2, torch.arange(12) % 3)
        terms = [terms_of(net, both, recipe, rng(seed)) for seed in range(40)]
        assert max(term["cycle"].item() for term in terms) < 0.02  # z' is drawn with a deviation of 0.05
        mean = sum(term["noisy_cycle"].item() for term in terms) / len(terms)
        assert mean == pytest.approx(expected, abs=0.03)
    assert set(terms[0]) == {"reconstruction", "cycle", "noisy_cycle", "recognition", "inference"}


def test_models_without_posterior_have_no_noisy_cycle():
    net = build_network(make_config(recipe=tiny_recipe()))
    both = Batch((normal(12, 4), normal(12, 4)), (None, None), torch.arange(12) % 3)
    assert "noisy_cycle" not in terms_of(net, both, tiny_recipe(), rng())
