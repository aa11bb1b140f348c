"""Neighbourhood overlap: do items that are close in the source stay close in the translation?"""

from __future__ import annotations

import torch
from torch import Tensor

from ltzoo.evaluation.metrics.distances import nearest

__all__ = ["neighbourhood_overlap"]


def neighbourhood_overlap(
    source: Tensor, translated: Tensor, *, k: int = 10, items: int = 2000, seed: int = 0
) -> Tensor:
    """The share of each item's k nearest neighbours that are the same before and after translation.

    The locality that the paper shows by eye (Tian & Engel 2019, https://arxiv.org/abs/1902.08261), as a
    figure; it needs no labels. Mutual k-NN of Huh et al. 2024 (https://arxiv.org/abs/2405.07987).

    Args:
        source: Latents ``(n, *source_shape)``.
        translated: Their translations ``(n, *target_shape)``.
        k: Neighbours.
        items: Above this many items, a seeded draw of as many: figures depend on how dense the set is.
        seed: Of that draw.

    Returns:
        float64 ``(min(n, items),)``, each 0..1; a map that keeps the order of distances has mean 1, a
        random one ``k / (n - 1)``. Among equal distances the choice of neighbours is arbitrary.

    Raises:
        ValueError: There are not more than k items.
    """
    if len(source) > items:
        index = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))[:items]
        source, translated = source[index], translated[index]
    before, after = nearest(source, k)[1], nearest(translated, k)[1]
    return (before[:, :, None] == after[:, None, :]).any(2).double().mean(1)
