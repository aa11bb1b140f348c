"""How far a latent lies from what a bridge was trained on.

The score is how unlikely a latent is under the likeliest class, each a Gaussian of its own: Mahalanobis'
distance, as in Lee et al. 2018 (https://arxiv.org/abs/1807.03888), but with a covariance a class, which
sees latents off the few axes along which a class varies. Held-out latents say which scores are usual: novelty is
the share of them that score lower. Of m latents the highest score has novelty m / (m + 1), as in conformal
prediction: twenty cannot tell that a latent is past the 99th percentile. Beyond it novelty rises to 1. Where few
are held out, training latents take their turn at being held out too.
"""

from __future__ import annotations

import math
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

MOST = 2**22
"""So do those of so many classes that all their covariances have more numbers than this."""

ENOUGH = 100
"""Held-out scores that can tell the 99th percentile; with fewer, ordinary latents would be taken for novel."""

TURNS = 5
"""One in so many training latents is left out at a time, where too few are held out."""

ROUNDS = 2
"""How often latents without a label are given to the class they lie nearest to, and the classes fitted again."""

CHUNK = 8192

HIGHEST = 1e30
"""Scores end here, so that those of latents near the largest float, or beyond it, can still be compared."""

FLOOR = 1e-3
"""Least variance, as a share of the mean one: a dimension that never varied would make anything novel."""


class Novelty(nn.Module):
    """The scores of one model's latents, and what is usual for them.

    Attributes:
        centres: ``(classes, size)``, normalised latents.
        whiten: ``(classes, size, size)``, or ``(classes, size)`` for long latents and for many classes.
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
        full = size <= LARGEST and classes * size**2 <= MOST
        self.register_buffer("whiten", torch.zeros((classes, size, size) if full else (classes, size)))
        self.register_buffer("offsets", torch.zeros(classes))
        self.register_buffer("quantiles", torch.zeros(LEVELS + 2))
        self.register_buffer("levels", torch.zeros(LEVELS + 2))

    def fit(self, groups: Sequence[Tensor], held_out: Tensor, rest: Tensor | None = None) -> None:
        """Sets them all.

        Args:
            groups: Normalised training latents of each class, ``(n, size)``, n >= 1.
            held_out: Normalised latents that were not trained on, ``(m, size)``.
            rest: Normalised training latents that may be of any class, ``(k, size)``.
        """
        found = list(groups)
        self._fit_classes(found)
        for _ in range(ROUNDS if rest is not None and len(rest) else 0):
            assert rest is not None
            nearest = torch.cat([self._nearest(part)[1] for part in rest.split(CHUNK)])
            found = [torch.cat([group, rest[nearest == label]]) for label, group in enumerate(groups)]
            self._fit_classes(found)
        scores = self.score(held_out)
        for turn in range(TURNS):
            if len(scores) >= ENOUGH:
                break
            scores = torch.cat([scores, self._left_out(found, turn)])
        # With one latent a class and none held out, they are all that is known.
        self._calibrate(scores if len(scores) else self.score(torch.cat(found)))

    def _fit_classes(self, groups: Sequence[Tensor]) -> None:
        full = self.get_buffer("whiten").ndim == 3
        for label, (centre, whiten, offset) in enumerate(_gaussians(groups, full=full)):
            self.get_buffer("centres")[label].copy_(centre)
            self.get_buffer("whiten")[label].copy_(whiten)
            self.get_buffer("offsets")[label].copy_(offset)

    def _left_out(self, groups: Sequence[Tensor], turn: int) -> Tensor:
        """Scores of one in `TURNS` latents of the groups, under a fit to the others."""
        # A class keeps its only latent.
        out = [(torch.arange(len(group)) % TURNS == turn) & (len(group) > 1) for group in groups]
        others = Novelty(len(groups), groups[0].shape[1]).to(groups[0].device)
        others._fit_classes([group[~gone] for group, gone in zip(groups, out, strict=True)])
        return others.score(torch.cat([group[gone] for group, gone in zip(groups, out, strict=True)]))

    def _calibrate(self, scores: Tensor) -> None:
        levels = torch.linspace(0, 1, LEVELS + 1, device=scores.device)
        quantiles = torch.quantile(scores, levels)
        # As far beyond the highest score as that is beyond the median, nothing is usual any more. It is at least as
        # far as a Gaussian's scores spread: where all of them are alike, rounding would make a latent novel.
        spread = math.sqrt(2 * self.get_buffer("centres").shape[1])
        beyond = quantiles[-1:] + (quantiles[-1:] - quantiles[LEVELS // 2]).clamp_min(spread)
        self.get_buffer("quantiles").copy_(torch.cat([quantiles, beyond]))
        share = len(scores) / (len(scores) + 1)
        self.get_buffer("levels").copy_(torch.cat([share * levels, torch.ones_like(levels[:1])]))

    def score(self, x: Tensor) -> Tensor:
        """Of normalised latents ``(n, size)``: ``(n,)``, twice the negative log-likelihood up to a number."""
        return self._nearest(x)[0]

    def _nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest score among the classes, and the class that has it, each ``(n,)``."""
        best = torch.full((len(x),), math.inf, device=x.device)
        nearest = torch.zeros(len(x), dtype=torch.long, device=x.device)
        classes = zip(*(self.get_buffer(name) for name in ("centres", "whiten", "offsets")), strict=True)
        for label, (centre, axes, offset) in enumerate(classes):
            moved = (x - centre) @ axes if axes.ndim == 2 else (x - centre) * axes
            score = moved.square().sum(dim=1) + offset
            score = score.nan_to_num(nan=HIGHEST, posinf=HIGHEST).clamp_max(HIGHEST)
            nearest = torch.where(score < best, label, nearest)
            best = torch.minimum(score, best)
        return best, nearest

    def forward(self, x: Tensor) -> Tensor:
        """Novelty of normalised latents ``(n, size)``: ``(n,)``, 0..1."""
        scores = self.score(x)
        quantiles, levels = self.get_buffer("quantiles"), self.get_buffer("levels")
        above = torch.searchsorted(quantiles, scores.contiguous()).clamp(1, len(quantiles) - 1)
        low, high = quantiles[above - 1], quantiles[above]
        step = ((scores - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        novelty: Tensor = torch.lerp(levels[above - 1], levels[above], step)
        return novelty


def _gaussians(groups: Sequence[Tensor], *, full: bool) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Mean, whitening and log-determinant of each class.

    The pooled covariance of all classes counts as much as half as many latents as there are dimensions,
    for classes with few latents.
    """
    size = groups[0].shape[1]
    centres, scatters = [], []
    for group in groups:
        # Not every device has float64.
        x = group.cpu().double()
        centres.append(x.mean(dim=0))
        x = x - centres[-1]
        scatters.append(x.T @ x if full else x.square().sum(dim=0))
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
