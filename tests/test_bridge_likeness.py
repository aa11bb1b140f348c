"""What translated latents are compared with: the nearest of a model's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from ltzoo.bridge.likeness import MOST, Likeness, NearestLatents
from ltzoo.bridge.quantiles import QuantileTable


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def cloud(items: int, seed: int = 0, size: int = 3) -> torch.Tensor:
    return torch.randn(items, size, generator=torch.Generator().manual_seed(seed))


def nearest(points: torch.Tensor, own: torch.Tensor, neighbour: int = 1) -> np.ndarray:
    """Squared distances per dimension, as a library has them."""
    distances, _ = KDTree(own.double().numpy()).query(points.double().numpy(), k=[neighbour])
    return np.square(distances[:, 0]) / own.shape[1]


def test_what_lies_too_far_out_counts_by_how_much():
    groups = [cloud(40), cloud(25, 1) + 5]
    points = torch.stack([2 * cloud(10, 2), 5 + 2 * cloud(10, 3)])
    found = NearestLatents(groups, rng()).excess(points)
    limits = [np.quantile(nearest(group, group, 2), 0.9) for group in groups]
    expected = [
        np.maximum(nearest(these, group) - limit, 0)
        for these, group, limit in zip(points, groups, limits, strict=True)
    ]
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert found > 0.01


def test_a_model_s_own_latents_are_near_enough():
    own = NearestLatents([cloud(200), cloud(200, 1)], rng())
    assert own.excess(torch.stack([cloud(200), cloud(200, 1)])) == 0
    held_out = torch.stack([cloud(50, 2), cloud(50, 3)])
    assert own.excess(held_out) < 0.1 * own.excess(3 * held_out)


def test_the_gradient_pulls_towards_the_nearest_one():
    row = torch.stack([torch.arange(20) / 10, torch.zeros(20)], dim=1)
    points = torch.tensor([[[9.0, 0.0], [0.55, 0.01]]], requires_grad=True)
    NearestLatents([row], rng()).excess(points).backward()
    assert points.grad is not None
    assert points.grad[0, 0, 0] > 0
    assert points.grad[0, 0, 1] == 0
    assert torch.equal(points.grad[0, 1], torch.zeros(2))


def test_a_class_of_one_latent_holds_nothing():
    own = NearestLatents([cloud(1), cloud(5)], rng())
    points = torch.zeros(2, 4, 3)
    assert own.excess(points).isfinite()
    assert NearestLatents([cloud(1)], rng()).excess(torch.full((1, 4, 3), 100.0)) == 0


def test_many_latents_are_sampled():
    groups = [cloud(3 * MOST)]
    own = NearestLatents(groups, rng())
    latents, _, limits = own.tensors
    assert latents.shape == (1, MOST, 3)
    assert limits.shape == (1, 1)
    assert len(torch.unique(latents[0], dim=0)) == MOST
    again = NearestLatents(groups, rng())
    assert torch.equal(again.tensors[0], latents)


def test_what_another_process_copies():
    table = QuantileTable([cloud(20)], 5, rng())
    near = NearestLatents([cloud(20)], rng())
    assert Likeness(table).tensors == table.tensors
    assert Likeness(table, near).tensors == (*table.tensors, *near.tensors)
