"""Latent classifiers: they infer the class of a latent, for the references and for the clean subset.

Neither is a judge: a judge reads data, and scores; these read latents, and score nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo.errors import LatentsError

__all__ = ["LatentClassifier", "train_classifier"]

Form = Literal["inference", "separate"]

STEPS, BATCH = 600, 512
PEAK_RATE, WEIGHT_DECAY, SMOOTHING = 3e-3, 0.01, 0.05
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class LatentClassifier:
    """A trained classifier on the latents of one model.

    Attributes:
        network: Gives logits ``(n, classes)`` for standardised, flattened latents.
        mean: Of the training latents, ``(size,)``.
        scale: Their standard deviation, ``(size,)``.
        seconds: Time that training took.
    """

    network: nn.Module
    mean: Tensor
    scale: Tensor
    seconds: float = 0.0

    def predict(self, z: Tensor) -> Tensor:
        """The class of each latent of ``z`` ``(n, *shape)``: int64 ``(n,)``."""
        with torch.no_grad():
            parts = [
                self.network((part.flatten(1) - self.mean) / self.scale).argmax(1) for part in z.split(CHUNK)
            ]
        return torch.cat(parts)


def train_classifier(
    latents: Tensor, classes: Tensor, *, count: int, form: Form, seed: int, std: Tensor | None = None
) -> LatentClassifier:
    """Trains a classifier; a few seconds.

    ``inference`` is the recipe of ltzoo's trials (section 4.1): 2 x 256 ReLU units, posterior noise on the
    inputs. ``separate`` tells which sources can be told apart at all; it shares neither form nor noise nor
    seed with the other, so that their mistakes are not the same ones by construction: one layer of
    256 ReLU units, no noise.

    Args:
        latents: float32 ``(n, *shape)``.
        classes: int64 ``(n,)``; items of class -1 are left out.
        count: Number of classes.
        form: Which of the two.
        seed: Of weights and batches.
        std: Posterior standard deviations, of the shape of ``latents``.

    Raises:
        LatentsError: No item has a class.
    """
    start = time.monotonic()
    known = classes >= 0
    if not bool(known.any()):
        raise LatentsError("no training latent has a class, so the class of a latent cannot be inferred")
    x, y = latents[known].flatten(1), classes[known]
    mean, scale = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    noise = std[known].flatten(1) / scale if std is not None and form == "inference" else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2 * seed + (form == "separate"))
        network = _network(x.shape[1], count, form)
        _fit(network, (x - mean) / scale, y, noise)
    network.requires_grad_(False).eval()
    return LatentClassifier(network, mean, scale, seconds=time.monotonic() - start)


def _network(size: int, count: int, form: Form) -> nn.Module:
    if form == "separate":
        return nn.Sequential(nn.Linear(size, 256), nn.ReLU(), nn.Linear(256, count))
    hidden = [nn.Linear(size, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(256, count))


def _fit(network: nn.Module, x: Tensor, y: Tensor, noise: Tensor | None) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=STEPS)
    for _ in range(STEPS):
        index = torch.randint(len(x), (BATCH,))
        batch = x[index]
        if noise is not None:
            batch = batch + noise[index] * torch.randn_like(batch)
        loss = F.cross_entropy(network(batch), y[index], label_smoothing=SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
