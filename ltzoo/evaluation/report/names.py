"""Names of classes, as the models' own labels have them."""

from __future__ import annotations

from collections.abc import Sequence

from ltzoo.bridge.config import LabelMap

__all__ = ["class_names", "labels_of"]

MOST = 2
"""Labels that one name lists; a class of more is called by its own name."""


def labels_of(labels: LabelMap, model: str) -> list[str]:
    """What a model calls each shared class: a digit's class is a garment's name to the other model."""
    own: dict[str, list[str]] = {name: [] for name in labels.classes}
    for label, name in labels.models.get(model, {}).items():
        own[name].append(label)
    return [" or ".join(found) if 0 < len(found) <= MOST else name for name, found in own.items()]


def class_names(labels: LabelMap, models: Sequence[str]) -> list[str]:
    """What the models call each shared class, all of them where they differ."""
    columns = [labels_of(labels, model) for model in models]
    return [" = ".join(dict.fromkeys(names)) for names in zip(*columns, strict=True)]
