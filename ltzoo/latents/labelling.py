"""Labelled latents of a model without an encoder: drawn from its prior, labelled by a labeller.

Nobody else can label such latents, since no data comes with them. A judge must not be the labeller: it would
later score what it has chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltzoo.errors import CapabilityError, LatentsError
from ltzoo.latents.latent_set import LatentSet
from ltzoo.model import Labeller, LatentModel

__all__ = ["LabelledDraws", "draw_labelled"]

ROUND = 1024
"""Latents drawn at once; what is drawn depends on it."""


@dataclass(frozen=True, eq=False)
class LabelledDraws:
    """What was kept of the draws, and what it was kept from.

    Attributes:
        latents: float32 ``(n, *latent_shape)``, as many of each class, in the order in which they were drawn.
        labels: int64 ``(n,)``.
        confidence: float32 ``(n,)``, the labeller's.
        asked: What confidence a draw had to reach.
        drawn: Number of all draws.
        read: Of all draws, how many the labeller takes for each class.
        sure: Of those, how many reach the confidence.
    """

    latents: Tensor
    labels: Tensor
    confidence: Tensor
    asked: float
    drawn: int
    read: tuple[int, ...]
    sure: tuple[int, ...]

    @property
    def skew(self) -> float:
        """How much more often the commonest class is drawn surely than the rarest."""
        return max(self.sure) / min(self.sure)

    def latent_set(
        self, model: LatentModel, label_names: tuple[str, ...], license: str | None = None
    ) -> LatentSet:
        """The draws as latents of ``model``, without std, keys and split."""
        return LatentSet(
            model=model.spec.id,
            fingerprint=model.spec.fingerprint,
            latents=self.latents,
            labels=self.labels,
            label_names=label_names,
            license=license,
        )


def draw_labelled(
    model: LatentModel,
    labeller: Labeller,
    number: int,
    *,
    classes: int,
    confidence: float = 0.9,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> LabelledDraws:
    """Draws from the prior until each class has ``number`` draws that the labeller is sure of.

    The first ones of each class are kept, not the surest: those would be all alike.

    Args:
        model: The model; it samples and decodes.
        labeller: Reads the decoded draws; the softmax of its logits is its confidence.
        number: How many of each class, at least 1.
        classes: How many classes the labeller knows.
        confidence: What the labeller's confidence must reach, 0..1.
        seed: Of the draws. Draws of different seeds have nothing in common.
        limit: Draws after which it gives up; 1,000 times the number wanted by default.
        batch_size: Draws decoded at once.
        progress: Called with the number of draws kept so far and wanted.

    Raises:
        CapabilityError: The model cannot sample.
        LatentsError: The labeller knows another number of classes, or a class is not full at the limit.
    """
    if not (model.spec.can("sample") and model.spec.can("decode")):
        raise CapabilityError(
            f"{model.spec.id} cannot sample", hint="ltzoo models lists what each model can do"
        )
    limit = limit if limit is not None else 1000 * number * classes
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    read = torch.zeros(classes, dtype=torch.int64)
    sure, have = read.clone(), read.clone()
    drawn = 0
    while bool((have < number).any()):
        if drawn >= limit:
            raise _too_rare(model, drawn, have, number, confidence)
        latents = model.sample(ROUND, _round_seed(seed, drawn // ROUND))
        belief, labels = _read(model, labeller, latents, classes, batch_size).max(1)
        drawn += ROUND
        enough = belief >= confidence
        read += labels.bincount(minlength=classes)
        sure += labels[enough].bincount(minlength=classes)
        keep = torch.zeros(ROUND, dtype=torch.bool)
        for label in range(classes):
            rows = (enough & (labels == label)).nonzero()[:, 0][: number - int(have[label])]
            keep[rows] = True
            have[label] += len(rows)
        kept.append((latents[keep].cpu(), labels[keep], belief[keep]))
        if progress is not None:
            progress(int(have.sum()), number * classes)
    chosen, labels, belief = (torch.cat(parts) for parts in zip(*kept, strict=True))
    return LabelledDraws(
        latents=chosen,
        labels=labels,
        confidence=belief,
        asked=confidence,
        drawn=drawn,
        read=tuple(read.tolist()),
        sure=tuple(sure.tolist()),
    )


@torch.no_grad()
def _read(model: LatentModel, labeller: Labeller, latents: Tensor, classes: int, batch_size: int) -> Tensor:
    """The labeller's belief in each class for each latent, ``(n, classes)``, on the CPU."""
    logits = torch.cat([labeller.logits(model.decode(z)).float().cpu() for z in latents.split(batch_size)])
    if logits.shape[1] != classes:
        raise LatentsError(
            f"the labeller tells {logits.shape[1]} classes apart, not {classes}",
            hint="use the labeller of the data set whose classes the draws are to have",
        )
    return logits.softmax(1)


def _round_seed(seed: int, number: int) -> int:
    """Seeds whose streams of draws do not run into each other, unlike ``seed + number``."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _too_rare(model: LatentModel, drawn: int, have: Tensor, number: int, confidence: float) -> LatentsError:
    counts = ", ".join(f"class {label}: {int(have[label])}" for label in (have < number).nonzero()[:, 0])
    return LatentsError(
        f"{model.spec.id}: {drawn} draws do not give {number} of each class with a confidence of "
        f"{confidence:g} ({counts})",
        hint="ask for fewer, or for less confidence",
    )
