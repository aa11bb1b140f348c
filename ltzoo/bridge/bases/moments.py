"""Sums over latents, class by class, taken in one pass: all that the closed-form bases need."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Moments"]

KEPT = 2000
"""Latents of each class that are kept for signs of skewness, which sums of squares do not tell."""


class Moments:
    """Means, covariances and mean posterior variances of a model's latents, class by class.

    Latents come in chunks of any size; memory does not grow with their number.

    Args:
        size: Length of the latents.
        classes: Number of classes, at least 1.
    """

    def __init__(self, size: int, classes: int) -> None:
        self.size, self.classes = size, classes
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self._sums = torch.zeros(classes, size, dtype=torch.float64)
        self._products = torch.zeros(classes, size, size, dtype=torch.float64)
        self._noise = torch.zeros(classes, size, dtype=torch.float64)
        self._kept: list[list[Tensor]] = [[] for _ in range(classes)]

    def add(self, latents: Tensor, std: Tensor | None, label: int) -> None:
        """Takes in latents of one class.

        Args:
            latents: ``(n, size)``.
            std: Posterior standard deviations, of the same shape; None for none.
            label: The class.
        """
        # Around zero: the latents are normalised, so nothing is lost to cancellation in double precision.
        x = latents.double().cpu()
        room = KEPT - int(self.counts[label])
        if room > 0:
            self._kept[label].append(latents[:room].cpu().clone())
        self.counts[label] += len(x)
        self._sums[label] += x.sum(dim=0)
        self._products[label] += x.T @ x
        if std is not None:
            self._noise[label] += std.double().cpu().square().sum(dim=0)

    def kept(self, label: int) -> Tensor:
        """The first latents of a class, at most 2,000: ``(n, size)``."""
        return torch.cat(self._kept[label])

    @property
    def means(self) -> Tensor:
        """float64 ``(classes, size)``."""
        return self._sums / self.counts[:, None]

    @property
    def noise(self) -> Tensor:
        """Mean posterior variance, float64 ``(classes, size)``; zero without posteriors."""
        return self._noise / self.counts[:, None]

    @property
    def covariances(self) -> Tensor:
        """float64 ``(classes, size, size)``, drawn towards their pooled mean where a class has few latents.

        The pooled covariance counts as much as half as many latents as there are dimensions.
        """
        means, counts = self.means, self.counts[:, None, None]
        scatter = self._products - counts * means[:, :, None] * means[:, None, :]
        pooled = scatter.sum(dim=0) / self.counts.sum()
        weight = self.size / 2 if self.classes > 1 else 0.0
        return (scatter + weight * pooled) / (counts + weight)
