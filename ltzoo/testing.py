"""The contract that every model must keep, as tests to inherit.

A plugin's test suite needs no more than::

    from ltzoo.testing import ModelContract

    class TestVae(ModelContract):
        model_id = "mnist/vae"

pytest must be installed; ltzoo itself does not need it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from ltzoo.hub import resolve_file
from ltzoo.latents import LatentSet
from ltzoo.model import Data, LatentModel
from ltzoo.spec import Capability, DataSpec, ModelSpec, Shape
from ltzoo.zoo import dataset_of, get_model, load_model

__all__ = ["ModelContract"]

TEXTS = ["a crying cat", "seven", "a red shoe with a white sole", "Zwölf Boxkämpfer jagen Viktor"]

# Run in a fresh process: what this one has imported so far must not matter.
LISTING = """
import sys, ltzoo
ltzoo.list_models()
ltzoo.get_model({id!r})
heavy = {{"torch", "numpy", "transformers", "diffusers"}} & set(sys.modules)
assert not heavy, f"listing models imports {{sorted(heavy)}}"
"""
OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("loading the model opened a connection")
socket.socket.connect = socket.create_connection = refuse
import ltzoo
ltzoo.load_model({id!r})
"""


class ModelContract:
    """Tests of one model; subclass it and set ``model_id``.

    Attributes:
        model_id: Id or reference of the model.
        batch: How many items the tests run on.
        size: Stands in for the sizes that the spec leaves open.
        tolerance: Largest difference between an item alone and the same item in a batch, relative to
            the largest value.
    """

    model_id: ClassVar[str]
    batch: ClassVar[int] = 4
    size: ClassVar[int] = 64
    tolerance: ClassVar[float] = 1e-4

    def examples(self, spec: ModelSpec, model: LatentModel) -> Data:
        """Data to encode; override it where random data means nothing to the model.

        Decodes of held-out latents where the model's data set ships them; otherwise noise, or sentences.
        """
        if spec.can("decode") and (latents := shipped_latents(spec)) is not None:
            with torch.no_grad():
                return model.decode(latents[: self.batch])
        return random_data(spec.data, self.batch, self.size)

    # Fixtures

    # Class methods, since pytest makes a new instance for each test but these only once.

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls) -> ModelSpec:
        return get_model(cls.model_id)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, spec: ModelSpec) -> LatentModel:
        return load_model(spec)

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, spec: ModelSpec, model: LatentModel) -> Data:
        return cls().examples(spec, model)

    @pytest.fixture(scope="class")
    @classmethod
    def latents(cls, spec: ModelSpec, model: LatentModel, data: Data) -> Tensor:
        if (latents := shipped_latents(spec)) is not None:
            return latents[: cls.batch]
        if spec.can("encode"):
            return model.encode(data)
        return model.sample(cls.batch, seed=0)

    # The spec

    def test_spec_is_complete(self, spec: ModelSpec) -> None:
        assert spec.license.strip()
        assert spec.title.strip()
        assert ModelSpec.from_json(spec.to_json()) == spec

    def test_listing_imports_nothing_heavy(self, spec: ModelSpec) -> None:
        run_python(LISTING.format(id=spec.id))

    def test_loads_offline(self, spec: ModelSpec) -> None:
        run_python(OFFLINE.format(id=spec.id), HF_HUB_OFFLINE="1")

    def test_weights_have_the_stated_hashes(self, spec: ModelSpec) -> None:
        for file in spec.source.files:
            resolve_file(spec.source, file.name)

    # Encoding

    def test_encode_gives_latents_as_specified(self, spec: ModelSpec, model: LatentModel, data: Data) -> None:
        need(spec, "encode")
        check_tensor(model.encode(data), spec.latent.shape, self.batch)

    def test_encode_is_deterministic(self, spec: ModelSpec, model: LatentModel, data: Data) -> None:
        need(spec, "encode")
        assert torch.equal(model.encode(data), model.encode(data))

    def test_encode_treats_items_alone(self, spec: ModelSpec, model: LatentModel, data: Data) -> None:
        need(spec, "encode")
        self.check_close(model.encode(data)[1:2], model.encode(data[1:2]))

    def test_any_size_that_the_spec_allows_is_encoded(self, spec: ModelSpec, model: LatentModel) -> None:
        need(spec, "encode")
        if None not in spec.data.shape[1:]:
            pytest.skip("the model's data has one size")
        larger = -(-3 * self.size // 2 // spec.data.multiple) * spec.data.multiple
        # The last one is no multiple, where the model has one to ask for.
        for size in (larger, larger + spec.data.multiple // 2):
            x = random_data(spec.data, 2, size)
            assert isinstance(x, Tensor)
            z = model.encode(x)
            check_tensor(z, spec.latent.shape, 2)
            if spec.data.multiple > 1 and spec.can("decode"):
                padded = spec.data.padded(tuple(x.shape[1:]))
                back = model.decode(z).shape[1:]
                assert all(have >= want for have, want in zip(back, padded, strict=True)), (back, padded)

    def test_posterior_agrees_with_encode(self, spec: ModelSpec, model: LatentModel, data: Data) -> None:
        if not spec.latent.stochastic:
            pytest.skip("the model's encoder is deterministic")
        mean, std = model.posterior(data)
        check_tensor(std, spec.latent.shape, self.batch)
        assert torch.equal(mean, model.encode(data))
        assert (std > 0).all()

    # Decoding

    def test_decode_gives_data_as_specified(
        self, spec: ModelSpec, model: LatentModel, latents: Tensor
    ) -> None:
        need(spec, "decode")
        x = model.decode(latents)
        check_tensor(x, spec.data.shape, self.batch)
        low, high = {"image": (0.0, 1.0), "audio": (-1.0, 1.0)}.get(
            spec.data.modality, (-torch.inf, torch.inf)
        )
        assert x.min() >= low
        assert x.max() <= high

    def test_decode_is_deterministic(self, spec: ModelSpec, model: LatentModel, latents: Tensor) -> None:
        need(spec, "decode")
        assert torch.equal(model.decode(latents), model.decode(latents))

    def test_decode_treats_items_alone(self, spec: ModelSpec, model: LatentModel, latents: Tensor) -> None:
        need(spec, "decode")
        self.check_close(model.decode(latents)[1:2], model.decode(latents[1:2]))

    def test_decode_is_differentiable(self, spec: ModelSpec, model: LatentModel, latents: Tensor) -> None:
        need(spec, "decode")
        z = latents.clone().requires_grad_()
        model.decode(z).sum().backward()
        assert z.grad is not None
        assert z.grad.isfinite().all()
        assert z.grad.abs().sum() > 0

    def test_round_trip_stays_within_the_stated_error(
        self, spec: ModelSpec, model: LatentModel, data: Data
    ) -> None:
        if spec.reconstruction_mse is None:
            pytest.skip("the spec states no reconstruction error")
        assert isinstance(data, Tensor)
        with torch.no_grad():
            error = (model.decode(model.encode(data)) - data).square().mean().item()
        assert error <= spec.reconstruction_mse

    # Sampling

    def test_sample_gives_latents_that_decode(self, spec: ModelSpec, model: LatentModel) -> None:
        need(spec, "sample")
        z = model.sample(self.batch, seed=0)
        check_tensor(z, spec.latent.shape, self.batch)
        check_tensor(model.decode(z), spec.data.shape, self.batch)

    def test_sample_follows_its_seed(self, spec: ModelSpec, model: LatentModel) -> None:
        need(spec, "sample")
        assert torch.equal(model.sample(self.batch, seed=3), model.sample(self.batch, seed=3))
        assert not torch.equal(model.sample(self.batch, seed=3), model.sample(self.batch, seed=4))

    def test_sample_leaves_the_global_generator_alone(self, spec: ModelSpec, model: LatentModel) -> None:
        need(spec, "sample")
        before = torch.get_rng_state()
        model.sample(self.batch, seed=0)
        assert torch.equal(before, torch.get_rng_state())

    def check_close(self, one: Tensor, other: Tensor) -> None:
        """Equal within the tolerance, which is relative to the largest value."""
        torch.testing.assert_close(
            one, other, rtol=0.0, atol=self.tolerance * max(1.0, float(one.abs().max()))
        )


def need(spec: ModelSpec, capability: Capability) -> None:
    """Skips a test about something that the model does not claim to do."""
    if not spec.can(capability):
        pytest.skip(f"the model does not {capability}")


def shipped_latents(spec: ModelSpec) -> Tensor | None:
    """Held-out latents that the model's data set ships, if there is one."""
    dataset = dataset_of(spec.id)
    file = dataset.latents_of(spec.id) if dataset else None
    if dataset is None or file is None:
        return None
    return LatentSet.load(resolve_file(dataset.source, file.file.name), model=spec).part("test").latents


def random_data(data: DataSpec, n: int, size: int) -> Data:
    """Seeded noise in the range of the modality; sentences for text."""
    if data.modality == "text":
        return [TEXTS[i % len(TEXTS)] for i in range(n)]
    noise = torch.rand(n, *(side or size for side in data.shape), generator=torch.Generator().manual_seed(0))
    return noise * 2 - 1 if data.modality == "audio" else noise


def check_tensor(tensor: Tensor, shape: Shape, n: int) -> None:
    """A float32 batch of ``n`` finite items of that shape."""
    assert tensor.dtype == torch.float32
    assert tensor.shape[0] == n
    assert len(tensor.shape) == len(shape) + 1
    assert all(want in (None, got) for want, got in zip(shape, tensor.shape[1:], strict=True)), tensor.shape
    assert tensor.isfinite().all()


def run_python(code: str, **environment: str) -> None:
    """Runs code in a fresh interpreter and fails with what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert result.returncode == 0, result.stderr
