"""How the starter models are trained: seeded, on one machine's CPU, from images in memory."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo_convnets.classifier import ClassifierShape, ConvClassifier
from ltzoo_convnets.prior import fit_mixture
from ltzoo_convnets.vae import ConvVAE, VAEShape

__all__ = ["ClassifierRecipe", "VAERecipe", "fit", "log", "train_classifier", "train_vae"]

Network = TypeVar("Network", bound=nn.Module)

BATCH = 256
EMA_DECAY = 0.998
# How much more it weighs that each dim of the latents has mean 0 and variance 1 over a batch than that each
# posterior is near the prior. In the divergence alone the few dims that say most grow too wide.
AGGREGATE_WEIGHT = 10.0
PRIOR_IMAGES = 20_000


@dataclass(frozen=True, kw_only=True)
class VAERecipe:
    """How one VAE is trained.

    Attributes:
        shape: The network.
        pixel_std: Standard deviation of the Gaussian likelihood of a pixel: the smaller, the more a
            reconstruction error weighs beside the KL divergence.
        epochs: Passes over the images.
        seed: Of initialisation, order and posterior draws.
        learning_rate: Peak of the one-cycle schedule.
    """

    shape: VAEShape
    pixel_std: float
    epochs: int
    seed: int
    learning_rate: float = 2e-3


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe:
    """How one classifier is trained.

    Attributes:
        shape: The network.
        epochs: Passes over the images.
        seed: Of initialisation, order and augmentation.
        mirror: Half of the images are mirrored left to right.
        learning_rate: Peak of the one-cycle schedule.
    """

    shape: ClassifierShape
    epochs: int
    seed: int
    mirror: bool
    learning_rate: float = 4e-3


def log(message: str) -> None:
    """One line of progress on stderr."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def train_vae(recipe: VAERecipe, images: Tensor) -> ConvVAE:
    """Trains a VAE on images alone; no label and no classifier takes part.

    Args:
        recipe: Network and schedule.
        images: uint8 ``(n, channels, height, width)``.

    Returns:
        The network with averaged weights and the fitted prior, in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    network = ConvVAE(recipe.shape)
    network.start_at(images.float().mean((0, 2, 3)) / 255)

    def loss(index: Tensor) -> tuple[Tensor, Tensor]:
        x = images[index].float() / 255
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(x.contiguous(memory_format=torch.channels_last))
        y, mean, std = (output.float() for output in outputs)
        error = (x - y).square().flatten(1).sum(1)
        rate = (mean.square() + std.square() - 1 - 2 * std.log()).sum(1) / 2
        spread = mean.var(0) + std.square().mean(0)
        aggregate = (mean.mean(0).square() + spread - 1 - spread.log()).sum() / 2
        regularizer = rate.mean() + AGGREGATE_WEIGHT * aggregate
        return error.mean() / 2 + recipe.pixel_std**2 * regularizer, rate.mean()

    network = fit(
        network,
        loss,
        len(images),
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=1e-4,
        figure="KL",
    )
    with torch.no_grad():
        posteriors = [network.encode(batch.float() / 255) for batch in images[:PRIOR_IMAGES].split(BATCH)]
    draws = torch.cat([mean + std * torch.randn_like(std) for mean, std in posteriors])
    log(f"prior: log likelihood {fit_mixture(network.prior, draws):.2f} nats")
    return network


def train_classifier(recipe: ClassifierRecipe, images: Tensor, labels: Tensor) -> ConvClassifier:
    """Trains a classifier on images, slightly turned, scaled, shifted and erased, and on their labels.

    Args:
        recipe: Network and schedule.
        images: uint8 ``(n, channels, height, width)``.
        labels: int64 ``(n,)``.

    Returns:
        The network with averaged weights, in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    network = ConvClassifier(recipe.shape)

    def loss(index: Tensor) -> tuple[Tensor, Tensor]:
        x = _augment(images[index].float() / 255, mirror=recipe.mirror)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x.contiguous(memory_format=torch.channels_last)).float()
        right = (logits.argmax(1) == labels[index]).float().mean()
        return F.cross_entropy(logits, labels[index], label_smoothing=0.05), right

    return fit(
        network,
        loss,
        len(images),
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=0.02,
        figure="accuracy",
    )


def fit(
    network: Network,
    loss: Callable[[Tensor], tuple[Tensor, Tensor]],
    count: int,
    *,
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    figure: str,
    batch: int = BATCH,
) -> Network:
    """Trains the network in place and gives the running average of its weights.

    Args:
        network: What to train.
        loss: Gives the loss of the items at an index, and a figure to log.
        count: Number of items.
        epochs: Passes over the items.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: As in AdamW.
        figure: What the figure is.
        batch: Items of a step.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    batches = count // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * batches, pct_start=0.1
    )
    network.train()
    start, step = time.monotonic(), 0
    for epoch in range(epochs):
        sums = torch.zeros(2)
        for index in torch.randperm(count)[: batches * batch].view(-1, batch):
            value, observed = loss(index)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
            schedule.step()
            step += 1
            # Early steps are forgotten fast, so that a short run is not an average of its start.
            _average(average, network, min(EMA_DECAY, step / (step + 10)))
            sums += torch.stack((value.detach(), observed.detach()))
        means, seconds = (sums / batches).tolist(), time.monotonic() - start
        log(f"epoch {epoch + 1}/{epochs}: loss {means[0]:.4f}, {figure} {means[1]:.4f}, {seconds:.0f} s")
    return average.eval()


def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def _augment(x: Tensor, *, mirror: bool) -> Tensor:
    """Other drawings of the same classes: images ``(n, channels, height, width)``, each changed at random."""
    count, _, height, width = x.shape
    if mirror:
        x = torch.where(torch.rand(count, 1, 1, 1) < 0.5, x.flip(3), x)
    # Small rotations, scalings and shifts, by one resampling.
    angle = (torch.rand(count) - 0.5) * 0.35
    scale = 1 + (torch.rand(count, 2) - 0.5) * 0.2
    shift = (torch.rand(count, 2) - 0.5) * 0.25
    cos, sin = angle.cos(), angle.sin()
    rows = (
        torch.stack((cos * scale[:, 0], -sin * scale[:, 0], shift[:, 0]), 1),
        torch.stack((sin * scale[:, 1], cos * scale[:, 1], shift[:, 1]), 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    warped = F.grid_sample(x, grid, align_corners=False)
    # The others stay as sharp as they are: resampling blurs.
    x = torch.where(torch.rand(count, 1, 1, 1) < 0.7, warped, x)
    top, left = torch.randint(0, height, (count, 1, 1, 1)), torch.randint(0, width, (count, 1, 1, 1))
    size = torch.randint(0, height // 3, (count, 1, 1, 1))
    ys, xs = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    hole = (ys >= top) & (ys < top + size) & (xs >= left) & (xs < left + size)
    hole &= torch.rand(count, 1, 1, 1) < 0.3
    return x.masked_fill(hole, 0.0)
