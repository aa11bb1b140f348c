"""The adversarial pair on log-mel spectrograms: a generator of Gaussian latents, and what it has to deceive.

Both see a spectrogram ``(batch, 1, 64, 64)`` as ``(batch, 2, 64, 32)``: even and odd frames are
channels, which costs half of what full time resolution would.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo.records import Record
from ltzoo_spoken_digits.spectrogram import FRAMES, MELS

__all__ = ["Discriminator", "Generator", "GeneratorShape", "fold", "unfold"]

Size = Annotated[int, Meta(ge=1, le=4096)]
GROUPS = 4


def fold(spectrograms: Tensor) -> Tensor:
    """``(batch, 1, mels, frames)`` to ``(batch, 2, mels, frames / 2)``."""
    return torch.cat((spectrograms[..., 0::2], spectrograms[..., 1::2]), 1)


def unfold(halves: Tensor) -> Tensor:
    """``(batch, 2, mels, frames / 2)`` to ``(batch, 1, mels, frames)``."""
    even, odd = halves.chunk(2, 1)
    return torch.stack((even, odd), -1).flatten(-2)


@dataclass(frozen=True, kw_only=True)
class GeneratorShape(Record):
    """What the generator's layers depend on.

    Attributes:
        latent: Dims of the latent vector.
        widths: Channels at 4, 8, 16 and 32 mel bands.
    """

    latent: Size
    widths: tuple[Size, Size, Size, Size]


class Stage(nn.Module):
    """Doubles both sides; the latent scales and shifts each channel, each mel band has a bias."""

    def __init__(self, inputs: int, outputs: int, bands: int, latent: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=False)
        self.style = nn.Linear(latent, 2 * outputs)
        self.bias = nn.Parameter(torch.zeros(outputs, bands, 1))
        nn.init.normal_(self.style.weight, std=0.02)
        nn.init.zeros_(self.style.bias)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        scale, shift = self.style(z)[:, :, None, None].chunk(2, 1)
        return torch.relu(self.norm(self.up(x)) * (1 + scale) + shift + self.bias)


class Generator(nn.Module):
    """Latents ``(batch, latent)`` to spectrograms ``(batch, 1, 64, 64)`` in -1..1."""

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        first = shape.widths[0]
        self.first = nn.Linear(shape.latent, first * 8)
        self.norm = nn.BatchNorm2d(first)
        self.stages = nn.ModuleList(
            Stage(inputs, outputs, 8 << level, shape.latent)
            for level, (inputs, outputs) in enumerate(zip(shape.widths, shape.widths[1:], strict=False))
        )
        self.last = nn.ConvTranspose2d(shape.widths[-1], 2, 4, stride=2, padding=1)
        self.bias = nn.Parameter(torch.zeros(2, MELS, 1))

    def forward(self, z: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(z).unflatten(1, (self.shape.widths[0], 4, 2))))
        for stage in self.stages:
            x = stage(x, z)
        return unfold(torch.tanh(self.last(x) + self.bias))


class Discriminator(nn.Module):
    """Spectrograms to a logit of being real, and to logits of the digit and of the speaker.

    Args:
        digits: Number of digits.
        speakers: Number of speakers.
        widths: Channels at 32, 16, 8 and 4 mel bands.
    """

    def __init__(
        self, digits: int, speakers: int, widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    ) -> None:
        super().__init__()
        sizes = (3, *widths)
        self.body = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1) for inputs, outputs in pairwise(sizes)
        )
        self.joint = nn.Conv2d(widths[3] + 1, widths[3], 3, padding=1)
        self.patch = nn.Conv2d(widths[2], 1, 1)
        self.real = nn.Linear(widths[3] * 8, 1)
        self.digit = nn.Linear(widths[3] * 8, digits)
        self.speaker = nn.Linear(widths[3] * 8, speakers)
        for layer in (*self.body, self.joint):
            nn.init.kaiming_normal_(layer.weight, 0.2)
            nn.init.zeros_(layer.bias)
        for head in (self.patch, self.real, self.digit, self.speaker):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.constant_(head.bias, 0.0)  # type: ignore[arg-type]
        self.register_buffer("place", torch.linspace(-1, 1, MELS)[:, None].repeat(1, FRAMES // 2))
        self.place: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits ``(batch,)``, ``(batch, digits)`` and ``(batch, speakers)``."""
        halves = fold(x)
        x = torch.cat((halves, self.place.expand(len(x), 1, -1, -1)), 1)
        for layer in self.body[:3]:
            x = F.leaky_relu(layer(x), 0.2)
        patch = self.patch(x).mean((1, 2, 3))
        x = F.leaky_relu(self.body[3](x), 0.2)
        features = F.leaky_relu(self.joint(torch.cat((x, _spread(x)), 1)), 0.2).flatten(1)
        alone = x.flatten(1)
        return self.real(features).squeeze(1) + patch / 2, self.digit(alone), self.speaker(alone)


def _spread(x: Tensor) -> Tensor:
    """Standard deviation over groups of the batch, averaged, as one more channel: sees a collapse."""
    groups = x.unflatten(0, (-1, GROUPS) if len(x) % GROUPS == 0 else (1, len(x)))
    spread: Tensor = (groups.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    each = spread.repeat_interleave(len(x) // len(spread))
    return each[:, None, None, None].expand(-1, 1, *x.shape[2:])
