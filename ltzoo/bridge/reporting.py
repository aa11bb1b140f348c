"""What is said of a finished run: in the bridge's config, and in the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import torch

import ltzoo
from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.config import Provenance
from ltzoo.bridge.labels import class_indices
from ltzoo.bridge.report import HeldOut, TrainingReport
from ltzoo.bridge.run import Run
from ltzoo.bridge.sampling import validation_part
from ltzoo.latents import LatentSet

__all__ = ["make_report", "provenance"]


def provenance(run: Run, device: str | torch.device, command: str | None) -> Provenance:
    """What a bridge's config says about the run."""
    return Provenance(
        seed=run.identity.seed,
        steps=run.step,
        seconds=round(run.seconds, 3),
        device=str(device),
        threads=torch.get_num_threads(),
        processes=run.world.size if run.world.size > 1 else None,
        date=datetime.now(UTC).date().isoformat(),
        ltzoo=ltzoo.__version__,
        torch=str(torch.__version__),
        latents=run.identity.latents,
        pairs=run.identity.pairs,
        command=command,
    )


def make_report(
    run: Run,
    bridge: Bridge,
    latents: Sequence[LatentSet],
    device: str | torch.device,
    resumed_at: int | None,
    notes: tuple[str, ...],
) -> TrainingReport:
    """The report of a finished run, with figures on what is held out of the latents."""
    return TrainingReport(
        steps=run.step,
        seconds=run.seconds,
        seed=run.identity.seed,
        device=str(device),
        threads=torch.get_num_threads(),
        resumed_at=resumed_at,
        losses=tuple(run.losses),
        held_out=tuple(_held_out(bridge, one) for one in latents),
        notes=notes,
    )


def _held_out(bridge: Bridge, latents: LatentSet) -> HeldOut:
    part = validation_part(latents)
    z = part.latents.to(bridge.device)
    end = bridge.index(latents.model)
    x = bridge.network.enter(z, end)
    y = bridge.network.enter(bridge.translate(z, source=latents.model, target=latents.model), end)
    spread = (x - x.mean(dim=0)).square().sum()
    accuracy = None
    classes = class_indices(bridge.config.labels, part)
    if classes is not None and bool((classes >= 0).any()):
        known = classes >= 0
        guesses = bridge.classify(z, source=latents.model).argmax(dim=1).cpu()[known]
        accuracy = float((guesses == classes[known]).double().mean())
    return HeldOut(
        model=latents.model,
        items=len(part),
        reconstruction_r2=float(1 - (x - y).square().sum() / spread) if spread > 0 else 0.0,
        classifier_accuracy=accuracy,
    )
