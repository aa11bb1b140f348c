"""A convolutional variational autoencoder of log-mel spectrograms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from ltzoo.records import Record
from ltzoo_convnets.prior import GaussianMixture
from ltzoo_spoken_digits.gan import Generator, GeneratorShape, fold

__all__ = ["SpectrogramVAE", "VAEShape"]

Size = Annotated[int, Meta(ge=1, le=4096)]

MIN_LOG_STD, MAX_LOG_STD = -6.0, 2.0


@dataclass(frozen=True, kw_only=True)
class VAEShape(Record):
    """What the network's layers depend on.

    Attributes:
        latent: Dims of the latent vector.
        widths: Channels at 4, 8, 16 and 32 mel bands, of encoder and decoder.
        components: Gaussians in the prior that samples are drawn from.
    """

    latent: Size
    widths: tuple[Size, Size, Size, Size]
    components: Size = 10


class SpectrogramVAE(nn.Module):
    """Spectrograms ``(batch, 1, 64, 64)`` to Gaussian posteriors over a latent vector, and back.

    The decoder has the layers of the `Generator`, with weights of its own.
    """

    def __init__(self, shape: VAEShape) -> None:
        super().__init__()
        self.shape = shape
        widths = (2, *reversed(shape.widths))
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.1),
            ]
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * shape.widths[0], 2 * shape.latent))
        self.decoder = Generator(GeneratorShape(latent=shape.latent, widths=shape.widths))
        self.prior = GaussianMixture(shape.components, shape.latent)

    def encode(self, spectrograms: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, each ``(batch, latent)``."""
        mean, log_std = self.encoder(fold(spectrograms)).chunk(2, dim=1)
        return mean, log_std.clamp(MIN_LOG_STD, MAX_LOG_STD).exp()

    def decode(self, z: Tensor) -> Tensor:
        """Spectrograms of latents ``(batch, latent)``."""
        spectrograms: Tensor = self.decoder(z)
        return spectrograms

    def forward(self, spectrograms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A reconstruction from one draw of the posterior, and the posterior's mean and std."""
        mean, std = self.encode(spectrograms)
        return self.decode(mean + std * torch.randn_like(std)), mean, std
