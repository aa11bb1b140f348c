"""Sums over pairs of latents, taken in one pass: all that maps fitted to pairs need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["JointMoments", "PairMoments", "hub_mean"]


class JointMoments:
    """Means and second moments of paired latents of two models.

    Pairs come in chunks of any size; memory does not grow with their number.

    Args:
        first: Length of the first model's latents.
        second: Length of the second model's latents.
    """

    def __init__(self, first: int, second: int) -> None:
        size = first + second
        self.first = first
        self.count = 0
        self._sum = torch.zeros(size, dtype=torch.float64)
        self._products = torch.zeros(size, size, dtype=torch.float64)

    def add(self, first: Tensor, second: Tensor) -> None:
        """Takes in pairs: ``(n, first)`` and ``(n, second)``, row i with row i."""
        # Around zero: the latents are normalised, so nothing is lost to cancellation in double precision.
        x = torch.cat([first, second], dim=1).double().cpu()
        self.count += len(x)
        self._sum += x.sum(dim=0)
        self._products += x.T @ x

    def swapped(self) -> JointMoments:
        """The same pairs, second model first."""
        size = len(self._sum)
        order = torch.cat([torch.arange(self.first, size), torch.arange(self.first)])
        other = JointMoments(size - self.first, self.first)
        other.count = self.count
        other._sum, other._products = self._sum[order], self._products[order][:, order]
        return other

    @property
    def means(self) -> tuple[Tensor, Tensor]:
        """Of both models, float64 ``(first,)`` and ``(second,)``."""
        mean = self._sum / self.count
        return mean[: self.first], mean[self.first :]

    @property
    def covariances(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the first model, between first and second, and of the second model; float64."""
        mean = self._sum / self.count
        whole = self._products / self.count - mean[:, None] * mean[None, :]
        cut = self.first
        return whole[:cut, :cut], whole[:cut, cut:], whole[cut:, cut:]


PairMoments: TypeAlias = Mapping[int, JointMoments]
"""Of the hub, a model that has pairs with all others, with each other model, by its index; the hub comes first."""


def hub_mean(pairs: PairMoments) -> Tensor:
    """Mean of the hub's latents over all its pairs, float64 ``(size,)``."""
    count = sum(joint.count for joint in pairs.values())
    return torch.stack([joint.means[0] * (joint.count / count) for joint in pairs.values()]).sum(dim=0)
