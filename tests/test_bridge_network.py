"""The network against the formulas of the paper, written out in NumPy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from bridge_samples import make_config

from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.bridge.randomness import Purpose, generator


def build(**changes) -> SharedAutoencoder:
    architecture = dataclasses.replace(make_config().architecture, **changes)
    network = SharedAutoencoder(architecture)
    network.initialize(generator(3, Purpose.WEIGHTS))
    with torch.no_grad():
        for index, parameter in enumerate(network.parameters()):
            if parameter.ndim == 1:  # biases and one-hots that a forgotten one would show up by
                parameter.copy_(torch.linspace(-1, 1, len(parameter)) + 0.1 * index)
    return network


def numpy_mixing(weights: dict[str, np.ndarray], name: str, h: np.ndarray, u: np.ndarray) -> np.ndarray:
    both = h @ weights[f"{name}.deep.weight"].T + weights[f"{name}.deep.bias"]
    a, b = np.split(both, 2, axis=1)
    s = u @ numpy_weight(weights, f"{name}.skip").T + weights[f"{name}.skip.bias"]
    g = 1 / (1 + np.exp(-b))
    return (1 - g) * s + g * a


def numpy_weight(weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The weights of a layer; those of a one-hot stand behind the others."""
    rows = [weights[key] for key in weights if key.startswith(f"{name}.rows.")]
    return np.concatenate([weights[f"{name}.weight"], *(row[:, None] for row in rows)], axis=1)


def numpy_trunk(weights: dict[str, np.ndarray], name: str, u: np.ndarray, layers: int) -> np.ndarray:
    for layer in (f"{name}.first", *(f"{name}.rest.{2 * layer - 1}" for layer in range(1, layers))):
        u = np.maximum(u @ numpy_weight(weights, layer).T + weights[f"{layer}.bias"], 0)
    return u


def test_network_is_the_papers_formula():
    network = build(classifier="gated")
    weights = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    end = 1
    one_hot = np.eye(2)[[end] * 5]

    u = np.concatenate([x, one_hot], axis=1)
    h = numpy_trunk(weights, "encoder", u, 2)
    mean = numpy_mixing(weights, "encoder_mean", h, u)
    std = np.log1p(np.exp(numpy_mixing(weights, "encoder_std", h, u)))  # softplus comes after mixing
    u = np.concatenate([z, one_hot], axis=1)
    output = numpy_mixing(weights, "decoder_mean", numpy_trunk(weights, "decoder", u, 2), u)
    logits = numpy_mixing(weights, "classifier.mixing", z, z)

    with torch.no_grad():
        x32, z32 = torch.from_numpy(x).float(), torch.from_numpy(z).float()
        found_mean, found_std = network.encode(x32, end)
        np.testing.assert_allclose(found_mean.numpy(), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found_std.numpy(), std, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(network.decode(z32, end).numpy(), output, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(network.class_logits(z32).numpy(), logits, rtol=1e-4, atol=1e-5)


def test_equal_sizes_have_no_layers_of_their_own():
    names = [name for name, _ in build().named_parameters() if name.startswith(("inputs", "outputs"))]
    assert names == []


def test_unequal_sizes_meet_in_the_largest():
    network = build(sizes=(4, 7, 2))
    for end, size in enumerate((4, 7, 2)):
        assert network.inputs[end](torch.zeros(5, size)).shape == (5, 7)
        assert network.outputs[end](torch.zeros(5, 7)).shape == (5, size)


@pytest.mark.parametrize("classes", [0, 3])
def test_classifier_goes_with_classes(classes):
    assert (build(classes=classes).classifier is not None) == bool(classes)


def test_initial_weights_depend_on_the_seed_alone():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(0 if seed == 5 else 1)
        network = SharedAutoencoder(make_config().architecture)
        network.initialize(generator(seed, Purpose.WEIGHTS))
        return torch.cat([p.flatten() for p in network.parameters()])

    assert torch.equal(weights(4), weights(4))
    assert not torch.equal(weights(4), weights(5))


def test_initial_weights_have_the_stated_spread():
    network = SharedAutoencoder(dataclasses.replace(make_config().architecture, width=200))
    network.initialize(generator(0, Purpose.WEIGHTS))
    weight = network.encoder.rest[1].weight * 200**0.5
    assert weight.abs().max() <= 2
    assert weight.std().item() == pytest.approx(0.88, abs=0.02)  # N(0, 1) cut at 2
    first = torch.cat([network.encoder.first.weight, torch.stack(list(network.encoder.first.rows), 1)], 1)
    assert first.shape == (200, 6)
    assert (first * 6**0.5).std().item() == pytest.approx(0.88, abs=0.03)  # a one-hot counts as input


def test_normalization_is_undone():
    network = build()
    network.set_normalization(1, torch.tensor([1.0, 2, 3, 4]), torch.tensor([0.5, 1, 2, 3]))
    z = torch.tensor([[1.5, 3.0, 5.0, 7.0]])
    assert torch.equal(network.normalize(z, 1), torch.ones(1, 4))
    assert torch.equal(network.denormalize(torch.ones(1, 4), 1), z)
    assert torch.equal(network.normalize(z, 0), z)
