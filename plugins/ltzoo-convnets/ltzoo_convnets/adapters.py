"""The networks as ltzoo knows them: `ltzoo.model.LatentModel` and `ltzoo.model.Judge`."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from torch import Tensor

from ltzoo.hub import resolve_file
from ltzoo.spec import JudgeSpec, ModelSpec
from ltzoo_convnets.files import load_classifier, load_vae
from ltzoo_convnets.prior import GaussianMixture

__all__ = ["Reader", "VAEModel", "load_judge", "load_model"]


class VAENetwork(Protocol):
    """What `VAEModel` asks of a network, a torch module."""

    prior: GaussianMixture

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, each ``(batch, latent)``."""

    def decode(self, z: Tensor) -> Tensor:
        """Data of latents ``(batch, latent)``."""

    def to(self, device: str) -> Self:
        """The network on a device."""


class ReaderNetwork(Protocol):
    """What `Reader` asks of a network, a torch module."""

    def __call__(self, x: Tensor) -> Tensor:
        """Logits ``(batch, classes)``."""

    def features(self, x: Tensor) -> Tensor:
        """Activations before the last layer, ``(batch, features)``."""

    def to(self, device: str) -> Self:
        """The network on a device."""


class VAEModel:
    """A VAE as a model: latents are posterior means, in the network's own scale.

    Args:
        spec: The model's spec.
        network: Frozen, in evaluation mode.
        device: Where it computes.
    """

    def __init__(self, spec: ModelSpec, network: VAENetwork, *, device: str = "cpu") -> None:
        self.spec = spec
        self.network = network.to(device)
        self.device = device

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Posterior means ``(batch, latent)`` of images ``(batch, channels, height, width)`` in 0..1."""
        return self.posterior(x)[0]

    @torch.no_grad()
    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, each ``(batch, latent)``."""
        return self.network.encode(x.to(self.device))

    def decode(self, z: Tensor) -> Tensor:
        """Images in 0..1 of latents ``(batch, latent)``; differentiable in ``z``."""
        return self.network.decode(z.to(self.device))

    def sample(self, n: int, seed: int) -> Tensor:
        """``n`` latents drawn from the mixture fitted to the latents; see `ltzoo_convnets.prior`."""
        # Drawn on the CPU, so that a seed means the same latents on every device.
        generator = torch.Generator().manual_seed(seed)
        return self.network.prior.sample(n, generator)


class Reader:
    """A network that reads data, as a judge or a labeller.

    Args:
        network: Frozen, in evaluation mode.
        device: Where it computes.
    """

    def __init__(self, network: ReaderNetwork, *, device: str = "cpu") -> None:
        self.network = network.to(device)
        self.device = device

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Scores ``(batch, classes)`` of data ``(batch, *data_shape)``."""
        logits: Tensor = self.network(x.to(self.device))
        return logits

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Activations before the last layer, ``(batch, features)``."""
        return self.network.features(x.to(self.device))


def load_model(spec: ModelSpec, *, device: str) -> VAEModel:
    """The VAE whose weights are the only file of the spec's source.

    Raises:
        PluginError: The package does not carry the file.
        IntegrityError: The file is not the one that the spec names.
    """
    (file,) = spec.source.files
    return VAEModel(spec, load_vae(resolve_file(spec.source, file.name)), device=device)


def load_judge(spec: JudgeSpec, *, device: str) -> Reader:
    """The judge whose weights are the only file of the spec's source.

    Raises:
        PluginError: The package does not carry the file.
        IntegrityError: The file is not the one that the spec names.
    """
    (file,) = spec.source.files
    return Reader(load_classifier(resolve_file(spec.source, file.name)), device=device)
