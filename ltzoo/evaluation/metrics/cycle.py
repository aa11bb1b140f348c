"""Cycles: what is left of an item after a translation there and back.

Cycle accuracy is `ltzoo.evaluation.metrics.accuracy.correct` of the returned latents, decoded by the source
model and read by its judge.

A clean cycle flatters a bridge: the identity can travel in directions in which the intermediate model's
latents hardly vary, where no decoder would ever see it (ltzoo's trials, section 5; Chu et al. 2017,
https://arxiv.org/abs/1712.02950, found cycles hiding it in noise). Noise as large as the intermediate model's
posterior drowns what it carries there, and leaves what that model itself can tell apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["r2", "r2_parts", "with_posterior_noise"]


def r2_parts(truth: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
    """Each item's squared error and squared distance from the mean; ``R² = 1 - sum / sum``.

    Args:
        truth: ``(n, ...)``.
        guess: Of the same shape.

    Returns:
        Two float64 ``(n,)``.
    """
    truth, guess = truth.flatten(1).double(), guess.flatten(1).double()
    return (truth - guess).square().sum(1), (truth - truth.mean(0)).square().sum(1)


def r2(truth: Tensor, guess: Tensor) -> float:
    """Share of the variance that ``guess`` explains, over all dimensions together.

    Dimensions weigh by their variance (scikit-learn's ``variance_weighted``), so that null dimensions,
    whose own R² is noise, do not count.

    Returns:
        At most 1; 0 = no better than the mean, negative = worse. NaN if ``truth`` does not vary.
    """
    error, total = (part.sum() for part in r2_parts(truth, guess))
    return float(1 - error / total) if total > 0 else float("nan")


def with_posterior_noise(z: Tensor, std: Tensor, seed: int) -> Tensor:
    """Latents with Gaussian noise of the model's mean posterior standard deviation.

    Args:
        z: Intermediate latents ``(n, *shape)``.
        std: Posterior standard deviations ``(m, *shape)`` of the intermediate model's own latents; their
            mean over items is the noise's, dimension by dimension.
        seed: Of the noise.
    """
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed), dtype=z.dtype)
    return z + noise * std.mean(0)
