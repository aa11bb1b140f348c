"""How the VAE is trained: on spectrograms alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo_convnets.prior import fit_mixture
from ltzoo_convnets.training import fit, log
from ltzoo_spoken_digits.vae import SpectrogramVAE, VAEShape

__all__ = ["VAERecipe", "train_vae"]

SHIFT = 2
PRIOR_DRAWS = 8
"""Of each posterior, for the prior."""


@dataclass(frozen=True, kw_only=True)
class VAERecipe:
    """How the VAE is trained.

    Attributes:
        shape: The network.
        cell_std: Standard deviation of the Gaussian likelihood of a cell of the spectrogram.
        epochs: Passes over the recordings.
        seed: Of initialisation, order, posterior draws and shifts.
        aggregate: How much more it weighs that each dim of the latents has mean 0 and variance 1 over a
            batch than that each posterior is near the prior.
    """

    shape: VAEShape
    cell_std: float
    epochs: int
    seed: int
    aggregate: float = 10.0


def train_vae(recipe: VAERecipe, spectrograms: Tensor) -> SpectrogramVAE:
    """Trains a VAE; no label and no reader takes part.

    Args:
        recipe: Network and schedule.
        spectrograms: float32 ``(n, 1, 64, 64)`` in -1..1.

    Returns:
        The network with averaged weights and the fitted prior, in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    network = SpectrogramVAE(recipe.shape)

    def loss(index: Tensor) -> tuple[Tensor, Tensor]:
        x = _shifted(spectrograms[index])
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(x)
        y, mean, std = (output.float() for output in outputs)
        error = (x - y).square().flatten(1).sum(1)
        rate = (mean.square() + std.square() - 1 - 2 * std.log()).sum(1) / 2
        spread = mean.var(0) + std.square().mean(0)
        aggregate = (mean.mean(0).square() + spread - 1 - spread.log()).sum() / 2
        regularizer = rate.mean() + recipe.aggregate * aggregate
        return error.mean() / 2 + recipe.cell_std**2 * regularizer, rate.mean()

    network = fit(
        network,
        loss,
        len(spectrograms),
        epochs=recipe.epochs,
        learning_rate=2e-3,
        weight_decay=1e-4,
        figure="KL",
        batch=64,
    )
    with torch.no_grad():
        mean, std = (
            torch.cat(parts)
            for parts in zip(*(network.encode(x) for x in spectrograms.split(200)), strict=True)
        )
    draws = torch.cat([mean + std * torch.randn_like(std) for _ in range(PRIOR_DRAWS)])
    log(f"prior: log likelihood {fit_mixture(network.prior, draws):.2f} nats")
    return network


def _shifted(x: Tensor) -> Tensor:
    """The spectrograms, each moved by up to `SHIFT` frames; what comes in is silence."""
    frames = x.shape[-1]
    padded = F.pad(x, (SHIFT, SHIFT), value=-1.0)
    starts = torch.randint(2 * SHIFT + 1, (len(x),)).tolist()
    return torch.stack(
        [item[..., start : start + frames] for item, start in zip(padded, starts, strict=True)]
    )
