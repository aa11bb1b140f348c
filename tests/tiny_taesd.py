"""Random autoencoders of TAESD's kinds, a few kilobytes large."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

WIDTH = 8


class Weights:
    """Tensors by the numbers of their layers, drawn as they are asked for."""

    def __init__(self, seed: int) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self.tensors: dict[str, Tensor] = {}
        self.number = -1

    def skip(self) -> None:
        """A layer without weights."""
        self.number += 1

    def conv(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        self.number += 1
        self._conv(f"{self.number}", inputs, outputs, 3, bias=bias)

    def block(self, inputs: int, outputs: int | None = None, *, pooled: bool = False) -> None:
        self.number += 1
        outputs = outputs or inputs
        for place, (a, b) in zip((0, 2, 4), ((inputs, outputs), (outputs,) * 2, (outputs,) * 2), strict=True):
            self._conv(f"{self.number}.conv.{place}", a, b, 3)
        if pooled:
            self._conv(f"{self.number}.pool.0", inputs, 4 * inputs, 1, bias=False)
            self.tensors[f"{self.number}.pool.1.weight"] = torch.ones(4 * inputs)
            self.tensors[f"{self.number}.pool.1.bias"] = torch.zeros(4 * inputs)
            self._conv(f"{self.number}.pool.3", 4 * inputs, inputs, 1, bias=False)
        if outputs != inputs:
            self._conv(f"{self.number}.skip", inputs, outputs, 1, bias=False)

    def _conv(self, name: str, inputs: int, outputs: int, size: int, *, bias: bool = True) -> None:
        shape = (outputs, inputs, size, size)
        scale = (inputs * size * size) ** -0.5
        self.tensors[f"{name}.weight"] = scale * torch.randn(shape, generator=self.rng)
        if bias:
            self.tensors[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=self.rng)


def encoder(latent: int, *, pooled: bool = False, deep: bool = False) -> dict[str, Tensor]:
    """Stride 4; ``deep``: begins with strides of 2 with ReLU, as those of stride 32 do, so that it is 8."""
    weights = Weights(1)
    if deep:
        for inputs, outputs in ((3, WIDTH // 2), (WIDTH // 2, WIDTH)):
            weights.conv(inputs, outputs)
            weights.skip()
    else:
        weights.conv(3, WIDTH)
        weights.block(WIDTH)
        weights.conv(WIDTH, WIDTH, bias=False)
    weights.block(WIDTH)
    weights.conv(WIDTH, WIDTH, bias=False)
    weights.block(WIDTH, pooled=pooled)
    weights.conv(WIDTH, latent)
    return weights.tensors


def decoder(latent: int, *, pooled: bool = False, deep: bool = False) -> dict[str, Tensor]:
    weights = Weights(2)
    weights.skip()
    wide = 2 * WIDTH if deep else WIDTH
    weights.conv(latent, wide)
    weights.skip()
    weights.block(wide, pooled=pooled)
    for inputs in (wide, WIDTH, WIDTH)[: 3 if deep else 2]:
        weights.skip()
        weights.conv(inputs, WIDTH, bias=False)
        weights.block(WIDTH)
    weights.conv(WIDTH, 3)
    return weights.tensors


KINDS = {"plain": {}, "gated": {"pooled": True}, "deep": {"deep": True}}


def save_tiny_taesd(folder: Path, kind: str = "plain", latent: int = 4, *, one_file: bool = False) -> Path:
    """Writes one of them, named after its folder; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"encoder": encoder(latent, **KINDS[kind]), "decoder": decoder(latent, **KINDS[kind])}
    if one_file:
        both = {f"{part}.layers.{name}": t for part, tensors in parts.items() for name, t in tensors.items()}
        save_file(both, folder / f"{folder.name}.safetensors")
    else:
        for part, tensors in parts.items():
            save_file(tensors, folder / f"{folder.name}_{part}.safetensors")
    return folder
