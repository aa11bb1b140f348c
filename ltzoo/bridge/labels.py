"""Label maps: which labels of the models mean the same class."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from ltzoo.bridge.config import LabelMap
from ltzoo.errors import SpecError, TrainingError, UsageError
from ltzoo.latents import LatentSet

__all__ = ["Labels", "class_indices", "join_labels", "match_labels", "paired_notes"]

NO_CLASS = -1
Origin = Literal["names", "position", "given"]
ORIGINS: tuple[Origin, ...] = ("names", "position", "given")
"""Ways to join labels, the most certain first."""
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


def join_labels(
    label_map: LabelMap, labels: Labels, sets: Sequence[LatentSet]
) -> tuple[LabelMap, tuple[str, ...]]:
    """Settles which labels of a model that is added mean which class of a bridge.

    ``auto`` joins labels by the names of the classes, or else by what one of the other models calls them. If
    none of these names are there but equally many labels as classes, they are joined by position, which is told in a
    note. A class that the model has no label for is an error, as all models of a bridge have its classes.

    Args:
        label_map: Of the bridge.
        labels: See `Labels`. A map needs a table of the new model only; others must be the bridge's.
        sets: The latent sets, one a model, the new model's last.

    Returns:
        The label map with the new model, and notes for the user. Its origin is the less certain one of the
        bridge's and the new model's.

    Raises:
        TrainingError: ``auto`` finds no way to join the labels, or a set has no labels and the bridge has classes.
        UsageError: The given map cannot be read, leaves out a class, names models or labels that are not there, or
            differs from the bridge's; or there is one and the bridge has no classes.
    """
    none = labels == "none" or labels == LabelMap(origin="none")
    if not label_map.classes:
        if not none and labels != "auto":
            raise UsageError("the bridge was trained without labels", hint="leave the label map out")
        return label_map, (UNLABELLED_NOTE,)
    if none:
        raise UsageError("the bridge was trained with labels", hint="say which labels mean its classes")
    bare = [latents.model for latents in sets if latents.labels is None or not latents.label_names]
    if bare:
        raise TrainingError(
            f"latents of {bare[0]} have no labels, but the bridge was trained with labels",
            hint="encode a labelled data set",
        )
    new = sets[-1]
    origin, table, notes = (
        _found(label_map, new) if labels == "auto" else ("given", _table(label_map, labels, new), ())
    )
    joined = LabelMap(
        origin=max(label_map.origin, origin, key=ORIGINS.index),
        classes=label_map.classes,
        models={**label_map.models, new.model: table},
    )
    return joined, notes


def paired_notes(notes: Sequence[str]) -> tuple[str, ...]:
    """Those of `match_labels` that are also true where pairs tie the models."""
    return tuple(note for note in notes if not note.endswith(UNLABELLED_NOTE))


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


def _found(label_map: LabelMap, new: LatentSet) -> tuple[Origin, dict[str, str], tuple[str, ...]]:
    """A table of the new model's labels by names, or else by position."""
    classes, names = label_map.classes, new.label_names
    tables = [
        {name: known[name] for name in names if name in known}
        for known in ({name: name for name in classes}, *label_map.models.values())
    ]
    for table in tables:
        if set(table.values()) == set(classes):
            rest = ", ".join(name for name in names if name not in table)
            note = f"{new.model}: labels that are no class of the bridge are left out: {rest}"
            return "names", table, (note,) if rest else ()
    if any(tables) or len(names) != len(classes):
        raise TrainingError(
            f"the labels cannot be joined: the bridge has {len(classes)} classes ({_some(classes)}); "
            + _some_labels(new),
            hint="give a label map",
        )
    pairs = ", ".join(f"{name} = {label}" for name, label in zip(names, classes, strict=True))
    note = f"no label names are shared, so labels of {new.model} are joined by position: {pairs}"
    return "position", dict(zip(names, classes, strict=True)), (note,)


def _table(label_map: LabelMap, labels: Labels, new: LatentSet) -> dict[str, str]:
    """The new model's table of a given map."""
    if isinstance(labels, LabelMap):
        models: Mapping[str, Mapping[str, str]] = labels.models
    else:
        models = _read(Path(labels)) if isinstance(labels, str | os.PathLike) else labels
    given = _given(models, [new])
    known = ", ".join(label_map.classes)
    for name in given.classes:
        if name not in label_map.classes:
            raise UsageError(f"the label map names '{name}', which is no class of the bridge", hint=known)
    for name in label_map.classes:
        if name not in given.classes:
            raise UsageError(f"the label map has no label of {new.model} for class '{name}'", hint=known)
    for model, table in label_map.models.items():
        if model in models and dict(models[model]) != table:
            raise UsageError(
                f"the label map has other labels of {model} than the bridge",
                hint="leave its table out: the bridge has one",
            )
    return given.models[new.model]


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
    return f"{latents.model} has {len(names)} labels ({_some(names)})"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
