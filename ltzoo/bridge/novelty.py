"""How far a latent lies from what a bridge was trained on.

The score is how unlikely a latent is under the likeliest class, each a Gaussian of its own: Mahalanobis'
distance, as in Lee et al. 2018 (https://arxiv.org/abs/1807.03888), but with a covariance a class, which
sees latents off the few axes along which a class varies. Held-out latents say which scores are usual: novelty is
the share of them that score lower. Of m latents the highest score has novelty m / (m + 1), as in conformal
prediction: twenty cannot tell that a latent is past the 99th percentile. Beyond it novelty rises to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["UNUSUAL", "Novelty"]

UNUSUAL = 0.99
"""Novelty past which a latent is not like what the bridge was trained on."""

LEVELS = 200
"""Quantiles of the held-out scores are kept, at multiples of 1 / LEVELS."""

LARGEST = 512
"""Longer latents have a variance a dimension instead of a covariance, which would dwarf the bridge."""

FLOOR = 1e-3
"""Least variance, as a share of the mean one: a dimension that never varied would make anything novel."""


class Novelty(nn.Module):
    """The scores of one model's latents, and what is usual for them.

    Attributes:
        centres: ``(classes, size)``, normalised latents.
        whiten: ``(classes, size, size)``, or ``(classes, size)`` for long latents.
        offsets: ``(classes,)``, logarithms of the covariances' determinants.
        quantiles: ``(LEVELS + 2,)``, scores in rising order.
        levels: Of the same shape, the novelty at each of them.

    Args:
        classes: Number of classes, at least 1.
        size: Length of the latents.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(classes, size))
        self.register_buffer("whiten", torch.zeros((classes, *[size] * (2 if size <= LARGEST else 1))))
        self.register_buffer("offsets", torch.zeros(classes))
        self.register_buffer("quantiles", torch.zeros(LEVELS + 2))
        self.register_buffer("levels", torch.zeros(LEVELS + 2))

    def fit(self, groups: Sequence[Tensor], held_out: Tensor) -> None:
        """Sets them all.

        Args:
            groups: Normalised training latents of each class, ``(n, size)``.
            held_out: Normalised latents that were not trained on, ``(m, size)``, m >= 1.
        """
        for label, (centre, whiten, offset) in enumerate(_gaussians([group.double() for group in groups])):
            self.get_buffer("centres")[label] = centre
            self.get_buffer("whiten")[label] = whiten
            self.get_buffer("offsets")[label] = offset
        scores = self.score(held_out)
        levels = torch.linspace(0, 1, LEVELS + 1, device=scores.device)
        quantiles = torch.quantile(scores, levels)
        # As far beyond the highest score as that is beyond the median, nothing is usual any more.
        beyond = 2 * quantiles[-1:] - quantiles[LEVELS // 2]
        self.get_buffer("quantiles").copy_(torch.cat([quantiles, beyond]))
        share = len(scores) / (len(scores) + 1)
        self.get_buffer("levels").copy_(torch.cat([share * levels, torch.ones_like(levels[:1])]))

    def score(self, x: Tensor) -> Tensor:
        """Of normalised latents ``(n, size)``: ``(n,)``, twice the negative log-likelihood up to a number."""
        centres, whiten = self.get_buffer("centres"), self.get_buffer("whiten")
        scores = []
        for centre, axes, offset in zip(centres, whiten, self.get_buffer("offsets"), strict=True):
            moved = (x - centre) @ axes if axes.ndim == 2 else (x - centre) * axes
            scores.append(moved.square().sum(dim=1) + offset)
        return torch.stack(scores).amin(dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Novelty of normalised latents ``(n, size)``: ``(n,)``, 0..1."""
        scores = self.score(x)
        quantiles, levels = self.get_buffer("quantiles"), self.get_buffer("levels")
        above = torch.searchsorted(quantiles, scores.contiguous()).clamp(1, len(quantiles) - 1)
        low, high = quantiles[above - 1], quantiles[above]
        step = ((scores - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        novelty: Tensor = torch.lerp(levels[above - 1], levels[above], step)
        return novelty


def _gaussians(groups: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Mean, whitening and log-determinant of each class.

    The pooled covariance of all classes counts as much as half as many latents as there are dimensions,
    for classes with few latents.
    """
    size = groups[0].shape[1]
    centres = [group.mean(dim=0) for group in groups]
    centred = [group - centre for group, centre in zip(groups, centres, strict=True)]
    full = size <= LARGEST

    def scatter(x: Tensor) -> Tensor:
        return x.T @ x if full else x.square().sum(dim=0)

    scatters = [scatter(x) for x in centred]
    pooled = torch.stack(scatters).sum(dim=0) / sum(map(len, groups))
    # Where nothing varies at all there is no scale to measure by; any will do.
    floor = FLOOR * (pooled.diagonal() if full else pooled).mean().clamp_min(1e-9)
    weight = size / 2
    found = []
    for centre, own, group in zip(centres, scatters, groups, strict=True):
        covariance = (own + weight * pooled) / (len(group) + weight)
        if full:
            values, axes = torch.linalg.eigh(covariance)
            values = values.clamp_min(0) + floor
            found.append((centre, axes / values.sqrt(), values.log().sum()))
        else:
            values = covariance + floor
            found.append((centre, values.rsqrt(), values.log().sum()))
    return found
