"""What translated latents are compared with: each class's distribution along fixed directions.

A table of quantiles over all latents is less noisy than a second batch would be, and costs nothing a step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ltzoo.bridge.randomness import unit_directions

__all__ = ["QuantileTable"]

DIRECTIONS = 512
MOST = 3000
"""Latents of a class that a table is made from, at most: further ones change nothing that is seen."""
LEAST = 1e-6


class QuantileTable:
    """Quantiles of one model's latents, class by class, along random directions.

    Directions are scaled so that latents of a class have unit variance along them on average: each counts
    alike, whatever the spread of a model's dimensions.

    Args:
        groups: Normalised latents of each class, ``(n, size)``.
        levels: How many quantiles; as many rows of a class are compared with them.
        rng: Gives the directions.
    """

    def __init__(self, groups: list[Tensor], levels: int, rng: np.random.Generator) -> None:
        device = groups[0].device
        directions = unit_directions(rng, groups[0].shape[1], DIRECTIONS).to(device)
        shares = (torch.arange(levels) + 0.5) / levels
        values, variances = [], []
        for group in groups:
            projected = np.sort((group[:MOST] @ directions).cpu().numpy(), axis=0)
            variances.append(torch.from_numpy(projected.var(axis=0)))
            values.append(torch.from_numpy(projected)[(shares * len(projected)).long()])
        scale = torch.stack(variances).mean(dim=0).sqrt().clamp_min(LEAST).to(device)
        self._directions = directions / scale
        self._values = (torch.stack(values).to(device) / scale).mT.contiguous()

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """What the table is made of, for another process to copy."""
        return self._directions, self._values

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Some of the directions: ``(size, count)``, and the quantiles along them, ``(classes, count, levels)``."""
        chosen = torch.from_numpy(rng.choice(DIRECTIONS, size=min(count, DIRECTIONS), replace=False))
        chosen = chosen.to(self._directions.device)
        return self._directions[:, chosen], self._values[:, chosen]
