"""Networks applied piece by piece, for adapters: images and sounds too large to go through one at once.

Pieces overlap. What a network makes near a piece's border, where it saw no further, can be thrown away (the halo), and
what is left of the overlap fades from one piece to the next, so that there is no seam. With a halo of the network's
receptive radius the result is that of the whole, up to rounding; what looks at everything at once (attention,
normalisation over positions) never is quite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

__all__ = ["Tiling", "apply_in_parts", "apply_tiled"]


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How to cut, in units: a unit is the model's stride, a position of its latents.

    Attributes:
        tile: Units a side of a piece.
        overlap: Units that neighbours have in common, at least.
        halo: Units at an inner border that are thrown away, at most half of the overlap.
    """

    tile: int
    overlap: int
    halo: int = 0

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.halo <= self.overlap < self.tile:
            raise ValueError(f"{self}: the halo fits twice into the overlap, and that into a tile")

    def starts(self, length: int) -> list[int]:
        """Where pieces of so many units begin."""
        if length <= self.tile:
            return [0]
        steps = -(-(length - self.tile) // (self.tile - self.overlap))
        return [round(step * (length - self.tile) / steps) for step in range(steps + 1)]

    def weights(self, length: int, unit: int) -> Tensor:
        """Of each piece at each of its places; at each place of the whole they add up to 1.

        Args:
            length: Of the whole, in units.
            unit: Places a unit.

        Returns:
            ``(pieces, places of a piece)``.
        """
        starts, size = self.starts(length), min(self.tile, length) * unit
        places = torch.arange(size, dtype=torch.float64) + 0.5
        ramp = max(unit * (self.overlap - 2 * self.halo), 1)

        def rise(distance: Tensor) -> Tensor:
            return ((distance - self.halo * unit) / ramp).clamp(0, 1)

        rows, total = [], torch.zeros(length * unit, dtype=torch.float64)
        for start in starts:
            row = torch.ones(size, dtype=torch.float64)
            if start > 0:
                row = row * rise(places)
            if start + self.tile < length:
                row = row * rise(size - places)
            rows.append(row)
            total[start * unit : start * unit + size] += row
        return torch.stack(
            [row / total[start * unit : start * unit + size] for start, row in zip(starts, rows, strict=True)]
        ).float()


def apply_tiled(
    function: Callable[[Tensor], Tensor], x: Tensor, tiling: Tiling, *, unit: int, unit_out: int
) -> Tensor:
    """The function of the whole, computed piece by piece. Differentiable where the function is.

    Args:
        function: Of ``(batch, channels, *sizes)``; its result has ``unit_out`` places for every ``unit``.
        x: ``(batch, channels, *sizes)``, each size a multiple of ``unit``.
        tiling: How to cut.
        unit: Places of ``x`` a unit.
        unit_out: Places of the result a unit.

    Returns:
        ``(batch, channels of the result, *sizes)``.
    """
    lengths = [size // unit for size in x.shape[2:]]
    if all(length <= tiling.tile for length in lengths):
        return function(x)
    weights = [tiling.weights(length, unit_out).to(x.device) for length in lengths]
    result: Tensor | None = None
    for pieces in product(*(enumerate(tiling.starts(length)) for length in lengths)):
        starts = [start for _, start in pieces]
        part = function(x[_window(starts, lengths, tiling.tile, unit)])
        for axis, (piece, _) in enumerate(pieces):
            shape = [1] * part.ndim
            shape[2 + axis] = -1
            part = part * weights[axis][piece].view(shape)
        if result is None:
            result = part.new_zeros(*part.shape[:2], *(length * unit_out for length in lengths))
        result[_window(starts, lengths, tiling.tile, unit_out)] += part
    assert result is not None
    return result


def apply_in_parts(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    tiling: Tiling,
    *,
    unit: int,
    unit_out: int,
    at_once: int,
) -> Tensor:
    """The function of all items: as many at a time as have so many units, or larger ones piece by piece.

    Args:
        function: As in `apply_tiled`.
        x: As in `apply_tiled`.
        tiling: How to cut an item that is larger.
        unit: Places of ``x`` a unit.
        unit_out: Places of the result a unit.
        at_once: Units that the function is given at once.

    Returns:
        As `apply_tiled`.
    """
    units = max(math.prod(size // unit for size in x.shape[2:]), 1)
    if units > at_once:
        parts = [apply_tiled(function, one, tiling, unit=unit, unit_out=unit_out) for one in x.split(1)]
    else:
        parts = [function(some) for some in x.split(at_once // units)]
    return torch.cat(parts)


def _window(starts: Sequence[int], lengths: Sequence[int], tile: int, unit: int) -> tuple[slice, ...]:
    """The places of a piece."""
    return (
        slice(None),
        slice(None),
        *(
            slice(start * unit, (start + min(tile, length)) * unit)
            for start, length in zip(starts, lengths, strict=True)
        ),
    )
