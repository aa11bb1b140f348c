"""Closed-form bases against what theory says of them, and the network on top of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bridge_samples import make_config, make_latents, make_spec, tiny_recipe

from ltzoo.bridge import get_recipe, train_bridge
from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.bases import Moments, solve_base
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec

A, LONG = make_spec("a"), make_spec("long", size=7)
BASES = ["class-axes", "class-gaussian"]


def samples(rows: int, size: int, seed: int) -> torch.Tensor:
    """Skewed latents with axes of their own and clearly different variances."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(size, size)))
    raw = (rng.gamma(2.0, size=(rows, size)) - 2) * 2.0 ** -np.arange(size)
    return torch.from_numpy(raw @ turned.T + rng.normal(size=size)).float()


def moments_of(*groups: torch.Tensor, std: float | None = None, chunk: int = 1000) -> Moments:
    moments = Moments(groups[0].shape[1], len(groups))
    for label, group in enumerate(groups):
        for part in group.split(chunk):
            moments.add(part, None if std is None else torch.full_like(part, std), label)
    return moments


def test_moments_do_not_depend_on_the_chunks():
    x = samples(900, 4, 0)
    whole, parts = moments_of(x, std=0.5), moments_of(x, std=0.5, chunk=7)
    torch.testing.assert_close(whole.means, x.double().mean(0)[None])
    torch.testing.assert_close(whole.covariances, torch.cov(x.double().T, correction=0)[None])
    torch.testing.assert_close(whole.noise, torch.full((1, 4), 0.25, dtype=torch.float64))
    for name in ("means", "covariances", "noise"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name))
    assert torch.equal(whole.kept(0), parts.kept(0))


def test_few_latents_of_a_class_lean_on_the_pool():
    many, few = samples(5000, 4, 0), samples(2, 4, 1)
    covariances = moments_of(many, few).covariances
    assert torch.linalg.matrix_rank(covariances[1]) == 4
    torch.testing.assert_close(covariances[0], torch.cov(many.double().T, correction=0), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("base", BASES)
def test_translations_have_the_targets_moments(base):
    """Whatever the pairing of directions: mean and covariance of a translated class are the target's."""
    a, b = samples(4000, 4, 0), samples(4000, 4, 1)
    frames = solve_base([moments_of(a), moments_of(b)], 4, get_recipe(base, noise_gain=0.0))
    there = frames[1].mean[0] + (a - frames[0].mean[0]) @ frames[0].into[0] @ frames[1].out_of[0]
    torch.testing.assert_close(there.mean(0), b.mean(0), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(torch.cov(there.T), torch.cov(b.T), atol=1e-2, rtol=1e-2)
    back = frames[0].mean[0] + (there - frames[1].mean[0]) @ frames[1].into[0] @ frames[0].out_of[0]
    torch.testing.assert_close(back, a, atol=1e-3, rtol=1e-3)


def test_class_gaussian_is_pots_transport_between_gaussians():
    import ot  # takes seconds: only where it is needed

    a, b = samples(4000, 4, 0).double(), samples(4000, 4, 1).double()
    frames = solve_base([moments_of(a), moments_of(b)], 4, get_recipe("class-gaussian"))
    ours = (frames[0].into[0] @ frames[1].out_of[0]).double()
    theirs, _ = ot.gaussian.bures_wasserstein_mapping(
        a.mean(0), b.mean(0), torch.cov(a.T, correction=0), torch.cov(b.T, correction=0)
    )
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_class_axes_keep_distances_and_find_a_rotation_again():
    """B is A turned: axes by rank, with signs by skewness, give back the very turn."""
    a = samples(4000, 4, 0)
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))
    b = a @ torch.from_numpy(turn).float()
    frames = solve_base([moments_of(a), moments_of(b)], 4, get_recipe("class-axes", noise_gain=0.0))
    there = frames[1].mean[0] + (a - frames[0].mean[0]) @ frames[0].into[0] @ frames[1].out_of[0]
    torch.testing.assert_close(there, b, atol=1e-2, rtol=1e-2)


def test_noise_damps_axes_that_are_mostly_noise():
    a = samples(4000, 4, 0)
    frame = solve_base([moments_of(a, std=0.3)], 4, get_recipe("class-axes", noise_gain=1.0))[0]
    variances = ((a - frame.mean[0]) @ frame.into[0]).var(0).sqrt()
    own = torch.linalg.eigvalsh(torch.cov(a.T)).flip(0)
    torch.testing.assert_close(variances, own / (own + 0.09), atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("base", BASES)
def test_sizes_may_differ(base):
    a, b = samples(4000, 4, 0), samples(4000, 7, 1)
    frames = solve_base([moments_of(a), moments_of(b)], 7, get_recipe(base))
    assert [tuple(frame.into.shape) for frame in frames] == [(1, 4, 7), (1, 7, 7)]
    back = (a - frames[0].mean[0]) @ frames[0].into[0] @ frames[0].out_of[0] + frames[0].mean[0]
    torch.testing.assert_close(back, a, atol=1e-2, rtol=1e-2)
    assert all(bool(part.isfinite().all()) for f in frames for part in (f.mean, f.into, f.out_of))


def rotated_pair() -> tuple[list[LatentSet], tuple[ModelSpec, ModelSpec]]:
    return [make_latents(A, items=600), make_latents(LONG, items=600, seed=1)], (A, LONG)


@pytest.mark.parametrize("base", BASES)
def test_a_closed_form_recipe_is_a_bridge(base, tmp_path):
    """The same object as any bridge: saved, loaded, translating and classifying; no step was trained."""
    from ltzoo.bridge import Bridge

    sets, models = rotated_pair()
    bridge, report = train_bridge(sets, models=models, recipe=get_recipe(base, inference_steps=60))
    assert (report.steps, report.losses) == (0, ())
    assert bridge.config.trained.steps == 0
    bridge.save_pretrained(tmp_path / "bridge")
    loaded = Bridge.from_pretrained(tmp_path / "bridge")
    for source, target in ((0, 1), (1, 0)):
        z = loaded.translate(sets[source].latents, source=models[source].id, target=models[target].id)
        labels = loaded.classify(z, source=models[target].id).argmax(1)
        assert (labels == sets[source].labels).double().mean() > 0.95


def test_corrections_start_at_nothing():
    """Before the first step the bridge on a base is its base."""
    sets, models = rotated_pair()
    alone, _ = train_bridge(sets, models=models, recipe=tiny_recipe(steps=0))
    still, _ = train_bridge(sets, models=models, recipe=tiny_recipe(steps=1, learning_rate=1e-12))
    assert alone.network.encoder is None
    assert still.network.encoder is not None
    z = sets[0].latents
    there = [bridge.translate(z, source=A.id, target=LONG.id) for bridge in (alone, still)]
    torch.testing.assert_close(*there, atol=1e-4, rtol=1e-4)


def test_the_base_moves_only_if_the_recipe_says_so():
    sets, models = rotated_pair()
    start, _ = train_bridge(sets, models=models, recipe=tiny_recipe(steps=0))
    for rate in (0.0, 0.5):
        end, _ = train_bridge(sets, models=models, recipe=tiny_recipe(base_rate=rate))
        assert isinstance(start.network, BasedAutoencoder)
        assert isinstance(end.network, BasedAutoencoder)
        pairs = zip(start.network.base_parameters, end.network.base_parameters, strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == (rate == 0.0)


def test_known_classes_and_certain_ones_are_the_same():
    """Rows with classes in turn go the short way; one-hots of the same classes must give the same."""
    network = BasedAutoencoder(make_config(recipe=tiny_recipe()).architecture)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=rng))
        x = torch.randn(12, 4, generator=rng)
        certain = torch.eye(3).repeat(4, 1)
        network.infer = lambda x, end: certain  # type: ignore[method-assign]
        for known, inferred in zip(network.encode(x, 0, known=True), network.encode(x, 0), strict=True):
            torch.testing.assert_close(known, inferred)
        shared, _ = network.encode(x, 0)
        torch.testing.assert_close(network.decode(shared, 1, known=True), network.decode(shared, 1))
