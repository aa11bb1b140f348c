"""Which rows of two latent sets are of the same item."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor

__all__ = ["Keyed", "paired_rows", "same_items"]


class Keyed(Protocol):
    """Rows with pair keys, as `ltzoo.latents.LatentSet` has them."""

    @property
    def keys(self) -> Tensor | None: ...

    @property
    def keys_of(self) -> str | None: ...


def same_items(a: Keyed, b: Keyed) -> bool:
    """Whether keys of the two sets number the same items, so that equal ones mark pairs."""
    return a.keys is not None and b.keys is not None and a.keys_of is not None and a.keys_of == b.keys_of


def paired_rows(a: Keyed, b: Keyed) -> np.ndarray:
    """The rows of two sets that are of the same item.

    Where a key comes several times, its rows take turns: as many pairs as the set with more of them has.

    Returns:
        int64 ``(pairs, 2)``: a row of ``a`` and one of ``b``, in the order of the rows of ``a``.
    """
    if not same_items(a, b):
        return np.empty((0, 2), dtype=np.int64)
    assert a.keys is not None
    assert b.keys is not None
    sides = [_Occurrences(one.cpu().numpy()) for one in (a.keys, b.keys)]
    _, *places = np.intersect1d(sides[0].keys, sides[1].keys, assume_unique=True, return_indices=True)
    counts = [side.counts[place] for side, place in zip(sides, places, strict=True)]
    turns = np.maximum(*counts)
    item = np.repeat(np.arange(len(turns)), turns)
    turn = np.arange(len(item)) - np.repeat(np.cumsum(turns) - turns, turns)
    rows = [
        side.order[side.starts[place][item] + turn % count[item]]
        for side, place, count in zip(sides, places, counts, strict=True)
    ]
    return np.stack(rows, axis=1)[np.lexsort(rows[::-1])]


class _Occurrences:
    """Different keys in rising order, and where their rows are."""

    def __init__(self, keys: np.ndarray) -> None:
        self.order = np.argsort(keys, kind="stable")
        self.keys, self.starts, self.counts = np.unique(
            keys[self.order], return_index=True, return_counts=True
        )
