"""What translated latents must be like: a model's own, in their distribution and in where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltzoo.bridge.quantiles import QuantileTable

__all__ = ["Likeness", "NearestLatents"]

MOST = 1000
"""Latents of a class that others are compared with, at most."""
USUAL = 0.9
"""Share of a class's own latents that lie within the limit."""
CHUNK = 1024


class NearestLatents:
    """One model's latents, class by class, and how near its own lie to each other.

    Distances are squared, and averaged over dimensions.

    Args:
        groups: Normalised latents of each class, ``(n, size)``, at least two.
        rng: Chooses those that are kept.
    """

    def __init__(self, groups: list[Tensor], rng: np.random.Generator) -> None:
        kept = [
            group[torch.from_numpy(np.sort(rng.permutation(len(group))[:MOST])).to(group.device)]
            for group in groups
        ]
        self._limits = torch.stack([_usual(group) for group in kept])[:, None]
        most = max(len(group) for group in kept)
        # The same latents once more are no nearer.
        self._latents = torch.stack([group[torch.arange(most) % len(group)] for group in kept])
        self._squares = self._latents.square().sum(dim=2)[:, None]

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """What it is made of, for another process to copy."""
        return self._latents, self._squares, self._limits

    def excess(self, points: Tensor) -> Tensor:
        """How much farther points lie from the nearest latents of their class than nine of ten of these do.

        Args:
            points: Normalised latents ``(classes, n, size)``.

        Returns:
            The mean over all points; those that lie nearer count as zero.
        """
        with torch.no_grad():
            # Distances but for what is the same for all latents.
            nearest = (self._squares - 2 * points @ self._latents.mT).argmin(dim=2)
        chosen = self._latents.gather(1, nearest[:, :, None].expand_as(points))
        distances = (points - chosen).square().mean(dim=2)
        return (distances - self._limits).relu().mean()


def _usual(group: Tensor) -> Tensor:
    """The distance within which `USUAL` of the latents have their nearest neighbour; none for a single one."""
    if len(group) < 2:
        return group.new_tensor(torch.inf)
    nearest = []
    for first, part in enumerate(group.split(CHUNK)):
        distances = torch.cdist(part, group)
        rows = torch.arange(len(part))
        distances[rows, rows + first * CHUNK] = torch.inf
        nearest.append(distances.min(dim=1).values)
    return (torch.cat(nearest).square() / group.shape[1]).quantile(USUAL)


@dataclass(frozen=True)
class Likeness:
    """What translations into a model are compared with.

    Attributes:
        quantiles: Of its own latents.
        nearest: Its own latents; None where nothing asks for nearness.
    """

    quantiles: QuantileTable
    nearest: NearestLatents | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What it is made of, for another process to copy."""
        return (*self.quantiles.tensors, *(self.nearest.tensors if self.nearest else ()))
