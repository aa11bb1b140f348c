"""How latents reach the network: as vectors, or as grids and sequences whose positions all go the same way."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo.bridge.config import EntranceShape

__all__ = [
    "Entrance",
    "FoldedEntrance",
    "PooledEntrance",
    "VectorEntrance",
    "fit_pooling",
    "make_entrance",
    "rows_of",
]

SAMPLE = 4096
"""Latents that principal axes are found from, at most."""

SPARE = 16
"""Axes beyond those asked for that make the ones asked for exact."""


class Entrance(nn.Module, ABC):
    """Between latents of one model, ``(n, *latent shape)``, and what the network works on."""

    @abstractmethod
    def enter(self, z: Tensor) -> Tensor:
        """``(n, size)``, or ``(n, size, *positions)``, for latents."""

    @abstractmethod
    def enter_std(self, std: Tensor) -> Tensor:
        """The same for standard deviations of latents."""

    @abstractmethod
    def leave(self, x: Tensor) -> Tensor:
        """Latents for what `enter` gives."""

    def size_after(self, size: Sequence[int], target: Entrance) -> tuple[int, ...]:
        """Positions of translated latents that stand for something.

        Args:
            size: Positions of latents of this model, one number a dimension.
            target: Of the model translated to.

        Returns:
            One number a dimension that has positions; none, if latents of one size come out anyway.
        """
        del size, target
        return ()


class VectorEntrance(Entrance):
    """Latents of one shape, their numbers in a row.

    Args:
        shape: Of the latents.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def enter(self, z: Tensor) -> Tensor:
        """``(n, size)``."""
        return z.flatten(1)

    def enter_std(self, std: Tensor) -> Tensor:
        """``(n, size)``."""
        return std.flatten(1)

    def leave(self, x: Tensor) -> Tensor:
        """``(n, *shape)``."""
        return x.view(-1, *self.shape)


class PooledEntrance(Entrance):
    """Grids or sequences as vectors: resampled to one size, then projected onto principal axes.

    What does not lie along these axes is lost. Latents of any size enter; those that leave have one size.

    Attributes:
        centre: ``(numbers,)``, the mean latent of that size.
        axes: ``(numbers, size)``, orthonormal columns.

    Args:
        shape: ``(channels, steps)`` or ``(channels, height, width)`` that latents are resampled to.
        size: How many axes.
    """

    def __init__(self, shape: tuple[int, ...], size: int) -> None:
        super().__init__()
        self.shape = shape
        numbers = math.prod(shape)
        self.register_buffer("centre", torch.zeros(numbers))
        self.register_buffer("axes", torch.zeros(numbers, size))

    def enter(self, z: Tensor) -> Tensor:
        """``(n, size)``."""
        projected: Tensor = (self._resampled(z) - self.get_buffer("centre")) @ self.get_buffer("axes")
        return projected

    def enter_std(self, std: Tensor) -> Tensor:
        """``(n, size)``; the latents' own deviations are taken to be independent of each other."""
        projected: Tensor = self._resampled(std).square() @ self.get_buffer("axes").square()
        return projected.sqrt()

    def leave(self, x: Tensor) -> Tensor:
        """``(n, *shape)``."""
        return (self.get_buffer("centre") + x @ self.get_buffer("axes").T).view(-1, *self.shape)

    def _resampled(self, z: Tensor) -> Tensor:
        size = self.shape[1:]
        if z.shape[2:] == size:
            return z.flatten(1)
        if len(size) == 1:
            return F.interpolate(z, size, mode="linear", align_corners=False).flatten(1)
        return F.interpolate(z, size, mode="bilinear", align_corners=False, antialias=True).flatten(1)


class FoldedEntrance(Entrance):
    """Grids or sequences as they are, but with blocks of positions folded into channels.

    So models of different strides come to one number of positions. Sizes that are no multiple of a block
    are filled up by repeating the edge.

    Args:
        block: Positions of a block, one number a dimension: ``(2, 2)`` for two rows and two columns.
    """

    def __init__(self, block: tuple[int, ...]) -> None:
        super().__init__()
        self.block = block

    def enter(self, z: Tensor) -> Tensor:
        """``(n, channels * block, *positions)``."""
        spare = [-size % step for size, step in zip(z.shape[2:], self.block, strict=True)]
        if any(spare):
            z = F.pad(z, [amount for one in reversed(spare) for amount in (0, one)], mode="replicate")
        split = [
            number
            for size, step in zip(z.shape[2:], self.block, strict=True)
            for number in (size // step, step)
        ]
        dims = len(self.block)
        inner, outer = [3 + 2 * dim for dim in range(dims)], [2 + 2 * dim for dim in range(dims)]
        return z.reshape(*z.shape[:2], *split).permute(0, 1, *inner, *outer).flatten(1, 1 + dims)

    def enter_std(self, std: Tensor) -> Tensor:
        """As `enter`."""
        return self.enter(std)

    def size_after(self, size: Sequence[int], target: Entrance) -> tuple[int, ...]:
        """As many as the latents had, in the target's stride."""
        assert isinstance(target, FoldedEntrance)
        blocks = zip(size, self.block, target.block, strict=True)
        return tuple(math.ceil(length * theirs / own) for length, own, theirs in blocks)

    def leave(self, x: Tensor) -> Tensor:
        """``(n, channels, *sizes)``."""
        dims = len(self.block)
        split = x.reshape(x.shape[0], -1, *self.block, *x.shape[2:])
        order = [number for dim in range(dims) for number in (2 + dims + dim, 2 + dim)]
        sizes = [size * step for size, step in zip(x.shape[2:], self.block, strict=True)]
        return split.permute(0, 1, *order).reshape(x.shape[0], -1, *sizes)


def make_entrance(shape: EntranceShape, size: int) -> Entrance:
    """The entrance that a config asks for, not fitted.

    Args:
        shape: Its form.
        size: Of what comes out: length of the vectors, or channels.
    """
    if shape.kind == "flat":
        return VectorEntrance(shape.shape)
    return PooledEntrance(shape.shape, size) if shape.kind == "pooled" else FoldedEntrance(shape.shape)


def fit_pooling(entrance: PooledEntrance, latents: Tensor) -> float:
    """Sets the axes of an entrance to the principal ones of latents.

    Args:
        entrance: Gets them.
        latents: ``(n, *shape)``, of which a few thousand, evenly spread, are looked at.

    Returns:
        The share of the latents' variance that lies along the axes.
    """
    chosen = torch.linspace(0, len(latents) - 1, min(len(latents), SAMPLE)).round().long()
    x = latents[chosen.to(latents.device)].flatten(1)
    centre = x.mean(dim=0)
    x = x - centre
    size = entrance.get_buffer("axes").shape[1]
    # Random, but always the same, and without effect on anybody else's random numbers.
    with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
        torch.manual_seed(0)
        axes = torch.svd_lowrank(x, q=min(size + SPARE, *x.shape), niter=4)[2][:, :size]
    entrance.get_buffer("centre").copy_(centre)
    entrance.get_buffer("axes").copy_(axes)
    total = x.square().sum()
    return float((x @ axes).square().sum() / total) if total > 0 else 1.0


def rows_of(x: Tensor) -> Tensor:
    """``(n, size)`` for vectors; ``(n * positions, size)`` for ``(n, size, *positions)``, item by item."""
    return x if x.ndim == 2 else x.flatten(2).transpose(1, 2).flatten(0, 1)
