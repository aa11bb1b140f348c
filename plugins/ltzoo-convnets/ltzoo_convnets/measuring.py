"""What is measured of a starter model on the official test images, and kept beside its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltzoo_convnets.adapters import Reader, VAEModel

__all__ = ["in_batches", "judge_accuracy", "measure_vae"]

BATCH = 500
ACTIVE_NATS = 0.05
"""A dim is active if its KL divergence from the prior is at least this, on average."""


def in_batches(images: Tensor) -> list[Tensor]:
    """uint8 images as float32 batches in 0..1."""
    return [batch.float() / 255 for batch in images.split(BATCH)]


def judge_accuracy(judge: Reader, batches: list[Tensor], labels: Tensor) -> float:
    """Share of the images that the judge reads right.

    Args:
        judge: The judge.
        batches: Images in 0..1.
        labels: int64 ``(n,)`` over all batches.
    """
    guesses = torch.cat([judge.logits(batch).argmax(1) for batch in batches])
    return (guesses == labels).float().mean().item()


@torch.no_grad()
def measure_vae(model: VAEModel, judge: Reader, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Reconstruction and posterior of a VAE on images that it was not trained on.

    Args:
        model: The VAE.
        judge: The data set's judge.
        images: uint8 ``(n, channels, height, width)``.
        labels: int64 ``(n,)``.

    Returns:
        ``judge_accuracy`` and ``mse`` of ``decode(encode(x))``, and of the posterior: mean ``kl`` in
        nats, number of ``active_dims``, largest absolute mean over the dims (``aggregate_mean_max``),
        smallest, mean and largest variance over the dims (``aggregate_variance``) of the aggregated
        posterior, which the prior says are 0 and 1, and the mean posterior std (``posterior_std``).
    """
    batches = in_batches(images)
    posteriors = [model.posterior(batch) for batch in batches]
    mean, std = (torch.cat(parts) for parts in zip(*posteriors, strict=True))
    reconstructions = [model.decode(part) for part in mean.split(BATCH)]
    squared = [(y - x).square().mean() for x, y in zip(batches, reconstructions, strict=True)]
    nats = ((mean.square() + std.square() - 1) / 2 - std.log()).mean(0)
    variance = mean.var(0) + std.square().mean(0)
    return {
        "judge_accuracy": judge_accuracy(judge, reconstructions, labels),
        "mse": torch.stack(squared).mean().item(),
        "kl": nats.sum().item(),
        "active_dims": int((nats >= ACTIVE_NATS).sum()),
        "aggregate_mean_max": mean.mean(0).abs().max().item(),
        "aggregate_variance": [variance.min().item(), variance.mean().item(), variance.max().item()],
        "posterior_std": std.mean().item(),
    }
