"""Spread: how much variety inside a class a translation keeps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["class_variances", "spread"]


def class_variances(features: Tensor, classes: Tensor) -> dict[int, float]:
    """Total variance (trace of the covariance) of each class that has two items or more.

    Args:
        features: ``(n, d)``.
        classes: int64 ``(n,)``; items of class -1 are left out.
    """
    found, counts = torch.unique(classes[classes >= 0], return_counts=True)
    return {
        int(label): float(features[classes == label].double().var(0).sum()) for label in found[counts >= 2]
    }


def spread(translated: dict[int, float], real: dict[int, float]) -> float:
    """Mean over classes of translated over real within-class variance (ltzoo's trials, section 1).

    Args:
        translated: `class_variances` of translations, grouped by their sources' true class.
        real: `class_variances` of the target's own items.

    Returns:
        >= 0; 1 = as varied as real items, 0 = one answer a class. Above 1: mixed classes, or noise. NaN
        if no class is on both sides with a variance above 0 on the real one.
    """
    ratios = [
        translated[label] / real[label]
        for label in sorted(translated.keys() & real.keys())
        if real[label] > 0
    ]
    return sum(ratios) / len(ratios) if ratios else float("nan")
