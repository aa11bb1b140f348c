"""Label maps: which labels of the models mean the same class."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ltzoo.bridge.config import LabelMap
from ltzoo.errors import SpecError, TrainingError, UsageError
from ltzoo.latents import LatentSet

__all__ = ["Labels", "class_indices", "match_labels"]

NO_CLASS = -1
UNLABELLED_NOTE = (
    "trained without labels: nothing ties a class of one model to the same class of another, "
    "so translations need not keep the class"
)


Labels: TypeAlias = LabelMap | Mapping[str, Mapping[str, str]] | str | os.PathLike[str]
"""``"auto"``, ``"none"``, a map ``{model id: {label: class}}``, or the path of a TOML file that holds one."""


def match_labels(labels: Labels, sets: Sequence[LatentSet]) -> tuple[LabelMap, tuple[str, ...]]:
    """Settles which labels of the sets mean the same class.

    ``auto`` joins labels of equal names. If the sets share no name but have equally many labels, they
    are joined by position; if a set has no labels, there are no classes. Both are told in a note.

    Args:
        labels: See `Labels`.
        sets: The latent sets, one a model.

    Returns:
        The label map, and notes for the user.

    Raises:
        TrainingError: ``auto`` finds no way to join the labels, or a class has no label in a set.
        UsageError: The given map cannot be read, or names models or labels that are not there.
    """
    if labels == "none" or labels == LabelMap(origin="none"):
        return LabelMap(origin="none"), (UNLABELLED_NOTE,)
    if isinstance(labels, LabelMap):
        return _given(labels.models, sets), ()
    if labels == "auto":
        return _automatic(sets)
    if isinstance(labels, str | os.PathLike):
        return _given(_read(Path(labels)), sets), ()
    return _given(labels, sets), ()


def class_indices(label_map: LabelMap, latents: LatentSet) -> Tensor | None:
    """The class of each item.

    Returns:
        int64 ``(n,)``: an index into ``label_map.classes``, or -1 for items without a class. None if
        the map has no classes.
    """
    if not label_map.classes:
        return None
    assert latents.labels is not None
    index = {name: position for position, name in enumerate(label_map.classes)}
    names = label_map.models[latents.model]
    # One more entry at the end, for label -1.
    table = [index[names[label]] if label in names else NO_CLASS for label in latents.label_names]
    return torch.tensor([*table, NO_CLASS])[latents.labels.cpu()]


def _automatic(sets: Sequence[LatentSet]) -> tuple[LabelMap, tuple[str, ...]]:
    bare = [latents.model for latents in sets if latents.labels is None or not latents.label_names]
    if bare:
        return LabelMap(origin="none"), (f"{bare[0]} has no labels; {UNLABELLED_NOTE}",)
    first, *others = sets
    shared = [name for name in first.label_names if all(name in other.label_names for other in others)]
    if len(shared) > 1:
        label_map = LabelMap(
            origin="names",
            classes=tuple(shared),
            models={latents.model: {name: name for name in shared} for latents in sets},
        )
        return label_map, tuple(
            f"{latents.model}: labels that the other models do not have are left out: "
            + ", ".join(name for name in latents.label_names if name not in shared)
            for latents in sets
            if len(latents.label_names) > len(shared)
        )
    if shared or any(len(other.label_names) != len(first.label_names) for other in others):
        raise TrainingError(
            "the labels cannot be joined: " + "; ".join(_some_labels(latents) for latents in sets),
            hint="give a label map, or 'none' to train without labels",
        )
    label_map = LabelMap(
        origin="position",
        classes=first.label_names,
        models={
            latents.model: dict(zip(latents.label_names, first.label_names, strict=True)) for latents in sets
        },
    )
    pairs = ", ".join(" = ".join(names) for names in zip(*(one.label_names for one in sets), strict=True))
    return label_map, (f"no label names are shared, so labels are joined by position: {pairs}",)


def _given(models: Mapping[str, Mapping[str, str]], sets: Sequence[LatentSet]) -> LabelMap:
    for latents in sets:
        if latents.model not in models:
            raise UsageError(
                f"the label map has no labels of {latents.model}", hint=f"it has: {', '.join(models)}"
            )
        if latents.labels is None or not latents.label_names:
            raise TrainingError(
                f"latents of {latents.model} have no labels for the label map",
                hint="train without labels, or encode a labelled data set",
            )
        unknown = [label for label in models[latents.model] if label not in latents.label_names]
        if unknown:
            raise UsageError(
                f"the label map names '{unknown[0]}', which is no label of {latents.model}",
                hint=f"labels: {', '.join(latents.label_names)}",
            )
    used = {latents.model: dict(models[latents.model]) for latents in sets}
    try:
        return LabelMap(
            origin="given", classes=tuple(dict.fromkeys(used[sets[0].model].values())), models=used
        )
    except SpecError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _read(path: Path) -> Mapping[str, Mapping[str, str]]:
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"label map {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"label map {path}: not valid TOML: {error}") from error
    for model, names in data.items():
        if not isinstance(names, dict) or not all(isinstance(name, str) and name for name in names.values()):
            raise UsageError(
                f"label map {path}: '{model}' must be a table of label = class",
                hint='["mnist/vae"]\\n"0" = "zero"',
            )
    return data


def _some_labels(latents: LatentSet) -> str:
    names = latents.label_names
    return (
        f"{latents.model} has {len(names)} labels ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
    )
