"""The tiny autoencoders as ltzoo uses them: images in 0..1 to latents and back. There is nothing to scale."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from torch import Tensor

from ltzoo.errors import IntegrityError
from ltzoo.hub import resolve_file
from ltzoo.spec import ModelSpec
from ltzoo.tensor_files import open_tensors
from ltzoo_taesd.layers import read_shapes
from ltzoo_taesd.network import Network
from ltzoo_taesd.specs import read_parts

__all__ = ["TinyAutoencoder", "load"]

LARGEST = 1024 * 1024
"""Pixels that go through at once."""


class TinyAutoencoder:
    """A frozen autoencoder.

    Args:
        spec: The model's spec.
        encoder: With its weights.
        decoder: With its weights.
        device: Where they are.
    """

    def __init__(self, spec: ModelSpec, encoder: Network, decoder: Network, device: str) -> None:
        self.spec, self.encoder, self.decoder, self.device = spec, encoder, decoder, device

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Latents ``(batch, channels, height / stride, width / stride)`` of images ``(batch, 3, height, width)`` in 0..1.

        Sides that are no multiples of the stride are padded by repeating the edge.
        """
        stride = self.encoder.scale
        spare = (0, -x.shape[3] % stride, 0, -x.shape[2] % stride)
        x = torch.nn.functional.pad(x.to(self.device), spare, mode="replicate")
        return self._run(self.encoder, x, x.shape[2] * x.shape[3])

    def decode(self, z: Tensor) -> Tensor:
        """Images in 0..1 of latents; differentiable in ``z``."""
        pixels = z.shape[2] * z.shape[3] * self.decoder.scale**2
        return self._run(self.decoder, z.to(self.device), pixels).clamp(0, 1)

    def _run(self, network: Network, x: Tensor, pixels: int) -> Tensor:
        """The network of a few items at once, and of large ones piece by piece."""
        parts = x.split(max(1, LARGEST // max(pixels, 1)))
        return torch.cat([network(part, pieces=pixels > LARGEST) for part in parts])


def load(spec: ModelSpec, *, device: str) -> TinyAutoencoder:
    """Loads the model: what the spec's ``loader`` names.

    Raises:
        IntegrityError: The weights are not those of the spec, or of no such autoencoder.
    """
    paths = [resolve_file(spec.source, file.name) for file in spec.source.files]
    parts = read_parts([read_shapes(path) for path in paths], spec.id)
    networks = []
    for chain, keys, path in (
        (parts.encoder, parts.encoder_keys, paths[0]),
        (parts.decoder, parts.decoder_keys, paths[-1]),
    ):
        try:
            with open_tensors(path) as file:
                weights = {key: file.get_tensor(name) for key, name in keys.items()}
            network = Network(chain, weights)
        except (SafetensorError, RuntimeError, OSError) as error:
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise IntegrityError(f"{spec.id}: {path.name} cannot be used: {first[:300]}") from error
        networks.append(network.float().to(device).requires_grad_(False).eval())
    return TinyAutoencoder(spec, networks[0], networks[1], device)
