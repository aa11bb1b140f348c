"""The networks: chains of 3x3 convolutions, as their weight files have them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltzoo.tiling import Tiling, apply_tiled
from ltzoo_taesd.layers import Chain, Layer

__all__ = ["Network"]

NORM_GROUPS = 4
CLAMP = 3.0
TILE = 512
"""Pixels a side of a piece, without its halo."""


class Clamp(nn.Module):
    """Keeps latents within what the decoder has seen."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z / CLAMP) * CLAMP


class Block(nn.Module):
    """Three convolutions beside a shortcut, perhaps after a gated side path."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        inputs, outputs, pooled = layer.inputs, layer.outputs, layer.pooled
        self.conv = nn.Sequential(
            _conv(inputs, outputs), nn.ReLU(), _conv(outputs, outputs), nn.ReLU(), _conv(outputs, outputs)
        )
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False) if layer.projected else nn.Identity()
        self.pool = None
        if pooled:
            wide, narrow = nn.Conv2d(inputs, pooled, 1, bias=False), nn.Conv2d(pooled, inputs, 1, bias=False)
            self.pool = nn.Sequential(wide, nn.GroupNorm(NORM_GROUPS, pooled), nn.ReLU(), narrow)

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + self.skip(x))


class Network(nn.Module):
    """An encoder or a decoder, in two parts: at full resolution, where images are large, and at the latents'.

    The former sees a few pixels far, so it can go piece by piece and give the same; the latter, which may normalise
    over all positions, has little to compute.

    Args:
        chain: Its layers.
        weights: The tensors, by the chain's keys.
    """

    def __init__(self, chain: Chain, weights: dict[str, Tensor]) -> None:
        super().__init__()
        modules = [_module(layer) for layer in chain.layers]
        scaled = [i for i, layer in enumerate(chain.layers) if layer.kind in ("halve", "double")]
        self.grows = any(layer.kind == "double" for layer in chain.layers)
        self.scale = chain.scale
        cut = (min(scaled) if self.grows else max(scaled) + 1) if scaled else 0
        self.first, self.second = nn.Sequential(*modules[:cut]), nn.Sequential(*modules[cut:])
        self.radius = _radius(chain.layers[cut:] if self.grows else chain.layers[:cut], self.grows)
        for module, number in zip(modules, chain.numbers, strict=True):
            if number is not None:
                start = f"{number}."
                own = {
                    name.removeprefix(start): tensor
                    for name, tensor in weights.items()
                    if name.startswith(start)
                }
                module.load_state_dict(own)

    def forward(self, x: Tensor, *, pieces: bool = False) -> Tensor:
        """The result for ``(batch, channels, height, width)``.

        Args:
            x: Images, or latents.
            pieces: Compute the part at full resolution piece by piece, in little memory.
        """
        if not pieces:
            return self.second(self.first(x))
        # One unit is a position of the latent.
        halo = math.ceil(self.radius)
        tiling = Tiling(tile=max(TILE // self.scale, 1) + 2 * halo, overlap=2 * halo, halo=halo)
        if self.grows:
            return apply_tiled(self.second, self.first(x), tiling, unit=1, unit_out=self.scale)
        return self.second(apply_tiled(self.first, x, tiling, unit=self.scale, unit_out=1))


def _conv(inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, stride=stride, bias=bias)


def _module(layer: Layer) -> nn.Module:
    if layer.kind == "block":
        return Block(layer)
    if layer.kind in ("conv", "halve"):
        return _conv(layer.inputs, layer.outputs, stride=2 if layer.kind == "halve" else 1, bias=layer.bias)
    return {"relu": nn.ReLU, "clamp": Clamp}.get(layer.kind, lambda: nn.Upsample(scale_factor=2))()


def _radius(layers: tuple[Layer, ...], grows: bool) -> float:
    """How far the layers see, in positions of the latent."""
    pixels, step = 0.0, 1.0
    for layer in layers:
        if layer.kind == "double":
            step /= 2
        pixels += step * {"block": 3, "conv": 1, "halve": 1}.get(layer.kind, 0)
        if layer.kind == "halve":
            step *= 2
    return pixels if grows else pixels / step
