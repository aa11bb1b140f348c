"""How the judge, the labeller and the speaker network are trained: on changed recordings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo_convnets.training import fit
from ltzoo_spoken_digits.readers import Labeller, LabellerShape, Picture, PictureShape

__all__ = ["LabellerRecipe", "PictureRecipe", "train_labeller", "train_picture"]

BATCH = 64
SMOOTHING = 0.05


@dataclass(frozen=True, kw_only=True)
class PictureRecipe:
    """How a `Picture` is trained: passes over the recordings, and the seed of all that is random."""

    shape: PictureShape
    epochs: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class LabellerRecipe:
    """How the `Labeller` is trained: passes over the recordings, and the seed of all that is random."""

    shape: LabellerShape
    epochs: int
    seed: int


def train_picture(recipe: PictureRecipe, clips: Tensor, labels: Tensor) -> Picture:
    """Trains on clips ``(n, 1, 8000)``, shifted, in noise, coloured and masked, and their labels ``(n,)``."""
    torch.manual_seed(recipe.seed)
    network = Picture(recipe.shape)

    def loss(index: Tensor) -> tuple[Tensor, Tensor]:
        picture = network.picture(_noisy(_shifted(clips[index], 800, 1200), -55.0, -25.0))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network.read(_masked(picture)).float()
        return _loss(logits, labels[index])

    return fit(
        network,
        loss,
        len(clips),
        epochs=recipe.epochs,
        learning_rate=3e-3,
        weight_decay=0.02,
        figure="accuracy",
        batch=BATCH,
    )


def train_labeller(recipe: LabellerRecipe, clips: Tensor, labels: Tensor) -> Labeller:
    """Trains on clips ``(n, 1, 8000)``, shifted, filtered and in noise, and their labels ``(n,)``."""
    torch.manual_seed(recipe.seed)
    network = Labeller(recipe.shape)

    def loss(index: Tensor) -> tuple[Tensor, Tensor]:
        changed = _noisy(_tilted(_shifted(clips[index], 600, 1600)), -60.0, -30.0)
        return _loss(network(changed), labels[index])

    return fit(
        network,
        loss,
        len(clips),
        epochs=recipe.epochs,
        learning_rate=4e-3,
        weight_decay=0.05,
        figure="accuracy",
        batch=BATCH,
    )


def _loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    right = (logits.argmax(1) == labels).float().mean()
    return F.cross_entropy(logits, labels, label_smoothing=SMOOTHING), right


def _shifted(clips: Tensor, earlier: int, later: int) -> Tensor:
    """The clips moved by up to so many samples; what comes in is silence."""
    n, _, samples = clips.shape
    padded = F.pad(clips, (later, earlier))
    starts = torch.randint(earlier + later + 1, (n,)).tolist()
    return torch.stack([clip[:, start : start + samples] for clip, start in zip(padded, starts, strict=True)])


def _noisy(clips: Tensor, low: float, high: float) -> Tensor:
    """White noise at a level between the two, in dB below a peak of 1; none in a third of the clips."""
    level = 10 ** (torch.empty(len(clips), 1, 1).uniform_(low, high) / 20)
    return clips + torch.randn_like(clips) * level * (torch.rand(len(clips), 1, 1) < 0.67)


def _tilted(clips: Tensor) -> Tensor:
    """Duller or brighter, by one zero at random."""
    zero = torch.empty(len(clips), 1, 1).uniform_(-0.4, 0.4)
    return clips + zero * F.pad(clips[..., :-1], (1, 0))


def _masked(picture: Tensor) -> Tensor:
    """A stretch of the bands and one of the frames made silent, each in half of the pictures."""
    n, _, bands, frames = picture.shape
    for size, shape, longest in ((bands, (n, 1, bands, 1), 8), (frames, (n, 1, 1, frames), 12)):
        length = torch.randint(longest + 1, (n, 1)) * (torch.rand(n, 1) < 0.5)
        start = torch.randint(size, (n, 1))
        place = torch.arange(size)
        hole = (place >= start) & (place < start + length)
        picture = picture.masked_fill(hole.view(shape), -1.0)
    return picture
