"""The report of a training run. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ltzoo.records import Record

__all__ = ["HeldOut", "LossRow", "TrainingReport"]


@dataclass(frozen=True, kw_only=True)
class LossRow(Record):
    """The objective at one step.

    Attributes:
        step: Steps done.
        loss: Weighted sum of the terms.
        terms: The terms without their weights.
    """

    step: Annotated[int, Meta(ge=1)]
    loss: float
    terms: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class HeldOut(Record):
    """How the trained bridge does on latents of one model that it was not trained on.

    Attributes:
        model: Id of the model.
        items: How many latents.
        reconstruction_r2: Share of their variance, in normalised units, that goes through z' and back.
        classifier_accuracy: Of the classifier on z'; None without classes.
    """

    model: str
    items: int
    reconstruction_r2: float
    classifier_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingReport(Record):
    """How a training run went.

    Attributes:
        steps: Steps done; none where the bridge is its base.
        seconds: Time spent in them and before them, resumed parts included.
        seed: Of the run.
        device: Where it ran.
        threads: Of torch on the CPU.
        resumed_at: The step that it went on from; None if it ran in one go.
        losses: The loss curve, about a hundred rows.
        held_out: Figures on held-out latents, one row a model.
        notes: What the user should know about this run.
    """

    steps: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(ge=0)]
    seed: int
    device: str
    threads: int
    resumed_at: int | None = None
    losses: tuple[LossRow, ...]
    held_out: tuple[HeldOut, ...]
    notes: tuple[str, ...] = ()
