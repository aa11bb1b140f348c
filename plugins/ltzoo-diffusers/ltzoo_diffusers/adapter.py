"""Image autoencoders of diffusers as ltzoo uses them: images in 0..1 to scaled latents and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltzoo.pretrained import load_pretrained, open_checkpoint
from ltzoo.spec import ModelSpec
from ltzoo.tiling import Tiling, apply_in_parts
from ltzoo_diffusers.config import AutoencoderConfig, read_config

__all__ = ["ImageAutoencoder", "load"]

LARGEST = 1024 * 1024
"""Pixels that go through the network at once; these networks are trained on no more."""
TILE, OVERLAP, HALO = 512, 128, 16
"""Of larger images, in pixels."""


class ImageAutoencoder:
    """A frozen autoencoder.

    Args:
        spec: The model's spec.
        network: Of a class of diffusers.
        config: What its config says.
        device: Where the network is.
    """

    def __init__(self, spec: ModelSpec, network: Any, config: AutoencoderConfig, device: str) -> None:
        self.spec, self.network, self.config, self.device = spec, network, config, device
        stride = config.stride
        overlap = max(OVERLAP // stride, 2)
        self.tiling = Tiling(
            tile=max(TILE // stride, 2 * overlap),
            overlap=overlap,
            halo=min(max(HALO // stride, 1), overlap // 2),
        )
        self.mean, self.std = (
            torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (config.mean, config.std)
        )

    def encode(self, x: Tensor) -> Tensor:
        """Latents ``(batch, channels, height / stride, width / stride)`` of images ``(batch, 3, height, width)`` in 0..1.

        Sides that are no multiples of the stride are padded by repeating the edge.
        """
        return (self._encoded(x)[:, : self.config.channels] - self.mean) / self.std

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, of the same shape."""
        mean, std = self._encoded(x).split(self.config.channels, dim=1)
        return (mean - self.mean) / self.std, std / self.std

    def decode(self, z: Tensor) -> Tensor:
        """Images in 0..1 of latents; differentiable in ``z``."""
        raw = z.to(self.device) * self.std + self.mean
        return (self._pieces(self._decoded_at_once, raw, 1, self.config.stride) / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def _encoded(self, x: Tensor) -> Tensor:
        """What the encoder gives: means, and behind them standard deviations if there are any."""
        stride = self.config.stride
        x = x.to(self.device) * 2 - 1
        spare = (0, -x.shape[3] % stride, 0, -x.shape[2] % stride)
        x = torch.nn.functional.pad(x, spare, mode="replicate")
        return self._pieces(self._encoded_at_once, x, stride, 1)

    def _pieces(self, function: Any, x: Tensor, unit: int, unit_out: int) -> Tensor:
        """The function of all items: a few at once, or large ones piece by piece."""
        return apply_in_parts(
            function,
            x,
            self.tiling,
            unit=unit,
            unit_out=self._unit_out(unit_out),
            at_once=LARGEST // self.config.stride**2,
        )

    def _unit_out(self, unit_out: int) -> int:
        """Pixels a position, decoded: asymmetric decoders may give more than went in."""
        levels = getattr(self.network.config, "up_block_out_channels", None)
        return 2 ** (len(levels) - 1) if unit_out > 1 and levels else unit_out

    def _encoded_at_once(self, x: Tensor) -> Tensor:
        if self.config.kind.frames:
            x = x[:, :, None]
        output = self.network.encode(x)
        if self.config.kind.stochastic:
            found = torch.cat([output.latent_dist.mean, output.latent_dist.std], dim=1)
        else:
            found = output.latents if hasattr(output, "latents") else output.latent
        return found[:, :, 0] if self.config.kind.frames else found

    def _decoded_at_once(self, z: Tensor) -> Tensor:
        if self.config.kind.frames:
            return self.network.decode(z[:, :, None]).sample[:, :, 0]
        return self.network.decode(z).sample


def load(spec: ModelSpec, *, device: str) -> ImageAutoencoder:
    """Loads the model: what the spec's ``loader`` names.

    Raises:
        IntegrityError: The weights are not what the config asks for, or not those of the spec.
    """
    folder, content = open_checkpoint(spec)
    config = read_config(content, spec.id)
    network = load_pretrained(
        "diffusers", config.name, folder, spec, torch_dtype=torch.float32, low_cpu_mem_usage=False
    )
    return ImageAutoencoder(spec, network.to(device), config, device)
