"""A small convolutional variational autoencoder for images of any size that is a multiple of 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from ltzoo.records import Record
from ltzoo_convnets.prior import GaussianMixture

__all__ = ["ConvVAE", "VAEShape"]

Size = Annotated[int, Meta(ge=1, le=4096)]

MIN_LOG_STD, MAX_LOG_STD = -6.0, 2.0


@dataclass(frozen=True, kw_only=True)
class VAEShape(Record):
    """What the network's layers depend on.

    Attributes:
        image: Channels, height and width of one image; height and width are multiples of 4.
        latent: Dims of the latent vector.
        width: Channels at half resolution; twice as many at a quarter.
        components: Gaussians in the prior that samples are drawn from.
    """

    image: tuple[Size, Size, Size]
    latent: Size
    width: Size
    components: Size = 20


class Residual(nn.Module):
    """Two 3 x 3 convolutions whose result is added to their input; the identity at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(nn.functional.silu(self.first(nn.functional.silu(x))))
        return x + residual


class ConvVAE(nn.Module):
    """Images to Gaussian posteriors over a latent vector, and latent vectors back to images.

    No layer mixes the items of a batch. Images are float32 in 0..1.
    """

    def __init__(self, shape: VAEShape) -> None:
        super().__init__()
        channels, height, width = shape.image
        if height % 4 or width % 4:
            raise ValueError(f"height and width must be multiples of 4, not {height} x {width}")
        self.shape = shape
        w, grid = shape.width, (2 * shape.width, height // 4, width // 4)
        cells = grid[0] * grid[1] * grid[2]
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, w, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(w, 2 * w, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * w, 2 * w, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(cells, 2 * shape.latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(shape.latent, cells),
            nn.Unflatten(1, grid),
            Residual(2 * w),
            nn.SiLU(),
            nn.Conv2d(2 * w, 4 * w, 3, padding=1),
            nn.PixelShuffle(2),
            Residual(w),
            nn.SiLU(),
            nn.Conv2d(w, 2 * w, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(w // 2, channels, 3, padding=1),
            nn.Sigmoid(),
        )
        self.prior = GaussianMixture(shape.components, shape.latent)

    @torch.no_grad()
    def start_at(self, brightness: Tensor) -> None:
        """Makes the untrained decoder give images of about that brightness, ``(channels,)`` in 0..1.

        Without it the first steps of training on mostly black images drive every pixel so deep into the
        sigmoid's tail that no gradient brings it back.
        """
        bias = self.decoder[-2].bias
        assert isinstance(bias, Tensor)
        bias.copy_(brightness.clamp(0.01, 0.99).logit())

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, each ``(batch, latent)``."""
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        return mean, log_std.clamp(MIN_LOG_STD, MAX_LOG_STD).exp()

    def decode(self, z: Tensor) -> Tensor:
        """Images ``(batch, *image)`` of latents ``(batch, latent)``."""
        images: Tensor = self.decoder(z)
        return images

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A reconstruction from one draw of the posterior, and the posterior's mean and std."""
        mean, std = self.encode(x)
        return self.decode(mean + std * torch.randn_like(std)), mean, std
