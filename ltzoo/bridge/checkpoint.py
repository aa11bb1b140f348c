"""A training run as it stands, in one safetensors file that is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ltzoo.bridge.config import BridgeEnd, LabelMap, PairedOn, TrainedOn
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.report import LossRow
from ltzoo.errors import SpecError, TrainingError
from ltzoo.files import replacing
from ltzoo.records import Record
from ltzoo.tensor_files import open_tensors

__all__ = ["RunIdentity", "RunState", "load_checkpoint", "save_checkpoint"]

METADATA_KEY = "ltzoo_checkpoint"


@dataclass(frozen=True, kw_only=True)
class RunIdentity(Record):
    """What makes a run the run it is: resuming needs all of it unchanged.

    Attributes:
        models: The models joined.
        latents: What is trained on.
        labels: The label map.
        recipe: The recipe.
        seed: The seed.
        bridge: Digest of the bridge that a model is added to; None where all are trained.
        pairs: Which latents are known to be pairs.
    """

    models: tuple[BridgeEnd, ...]
    latents: tuple[TrainedOn, ...]
    labels: LabelMap
    recipe: Recipe
    seed: int
    bridge: str | None = None
    pairs: tuple[PairedOn, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunState(Record):
    """How far a run has come.

    Attributes:
        step: Steps done.
        seconds: Time spent in them, resumed parts included.
        losses: The loss curve so far.
    """

    step: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(ge=0)]
    losses: tuple[LossRow, ...]


@dataclass(frozen=True, kw_only=True)
class _Header(Record):
    format_version: Annotated[int, Meta(ge=1, le=1)] = 1
    run: RunIdentity
    state: RunState


def save_checkpoint(path: Path, run: RunIdentity, state: RunState, tensors: Mapping[str, Tensor]) -> None:
    """Writes a checkpoint in place of an earlier one.

    Raises:
        TrainingError: The file cannot be written.
    """
    header = _Header(run=run, state=state)
    try:
        with replacing(path) as temporary:
            save_file(
                {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
                temporary,
                metadata={METADATA_KEY: header.to_json()},
            )
            # On the disk before it takes the old one's place: a crash of the machine must not cost both.
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"checkpoint {path} cannot be written: {error}") from error


def load_checkpoint(
    path: Path, run: RunIdentity, like: Mapping[str, Tensor]
) -> tuple[RunState, dict[str, Tensor]]:
    """Reads a checkpoint of the given run.

    Args:
        path: The file.
        run: The run that is to go on.
        like: The names, shapes and dtypes that the tensors must have.

    Raises:
        TrainingError: The file cannot be read, or belongs to another run.
    """
    hint = f"train anew without resuming, or remove {path}"
    try:
        with open_tensors(path) as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None:
                raise TrainingError(f"{path} is not a checkpoint of ltzoo", hint="give another path")
            header = _Header.from_json(text, where=str(path))
            _check_run(header.run, run, path, hint)
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, SpecError) as error:
        raise TrainingError(f"checkpoint {path} cannot be read: {error}", hint=hint) from error
    if _layout(found) != _layout(like) or header.state.step > run.recipe.steps:
        raise TrainingError(f"checkpoint {path} is damaged: its tensors are not those of this run", hint=hint)
    return header.state, found


def _check_run(found: RunIdentity, run: RunIdentity, path: Path, hint: str) -> None:
    for field in fields(RunIdentity):
        there, here = getattr(found, field.name), getattr(run, field.name)
        if there != here:
            raise TrainingError(
                f"checkpoint {path} belongs to another run: its {field.name} differ{_difference(there, here)}",
                hint=hint,
            )


def _difference(there: Any, here: Any) -> str:
    if isinstance(there, Recipe):
        names = [
            field.name for field in fields(Recipe) if getattr(there, field.name) != getattr(here, field.name)
        ]
        return " (" + ", ".join(f"{name} {getattr(there, name)} there" for name in names) + ")"
    return f" ({there} there)" if isinstance(there, int) else ""


def _layout(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
