"""Image autoencoders of diffusers as ltzoo uses them: images in 0..1 to scaled latents and back."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltzoo.errors import IntegrityError
from ltzoo.hub import resolve_file
from ltzoo.spec import ModelSpec
from ltzoo.tiling import Tiling, apply_tiled
from ltzoo_diffusers.config import CONFIG, AutoencoderConfig, read_config

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
        pixels = x.shape[2] * x.shape[3] * (self.config.stride // unit) ** 2
        if pixels > LARGEST:
            parts = [
                apply_tiled(function, one, self.tiling, unit=unit, unit_out=self._unit_out(unit_out))
                for one in x.split(1)
            ]
        else:
            parts = [function(some) for some in x.split(max(1, LARGEST // max(pixels, 1)))]
        return torch.cat(parts)

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
    paths = [resolve_file(spec.source, file.name) for file in spec.source.files]
    content = json.loads(paths[0].read_bytes())
    config = read_config(content, spec.id)
    network = _network(config.name, paths[0].parent, spec, half=".fp16." in paths[-1].name)
    return ImageAutoencoder(spec, network.to(device).requires_grad_(False).eval(), config, device)


def _network(name: str, folder: Path, spec: ModelSpec, *, half: bool) -> Any:
    with warnings.catch_warnings():
        # Of libraries that diffusers would use if they were there.
        warnings.simplefilter("ignore")
        import diffusers
        from diffusers.utils import logging

        if not hasattr(diffusers, name):
            raise IntegrityError(
                f"{spec.id}: needs {name}, which diffusers {diffusers.__version__} does not have",
                hint="ltzoo install -U diffusers",
            )
        level = logging.get_verbosity()
        # What is wrong is said below, in one line.
        logging.set_verbosity(logging.CRITICAL)
        try:
            network, loading = getattr(diffusers, name).from_pretrained(
                str(folder),
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                torch_dtype=torch.float32,
                variant="fp16" if half else None,
                output_loading_info=True,
            )
        except (RuntimeError, ValueError, OSError, TypeError, AssertionError) as error:
            first = next(
                (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
            )
            raise IntegrityError(
                f"{spec.id}: its weights and its {CONFIG} do not go together: {first[:300]}"
            ) from error
        finally:
            logging.set_verbosity(level)
    if missing := loading["missing_keys"]:
        raise IntegrityError(
            f"{spec.id}: its weights lack {len(missing)} tensors that its {CONFIG} asks for, among them {min(missing)}"
        )
    return network
