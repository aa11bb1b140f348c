"""Spans of rows: which are done, and who does those that are not. A span is ``(first, stop)``, ``first < stop``."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

__all__ = ["Span", "count", "missing", "shares", "union"]

Span: TypeAlias = tuple[int, int]


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same rows in as few spans as there can be, in order."""
    joined: list[Span] = []
    for first, stop in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((first, stop))
    return tuple(joined)


def count(spans: Iterable[Span]) -> int:
    """How many rows the spans have, each counted once."""
    return sum(stop - first for first, stop in union(spans))


def missing(spans: Iterable[Span], total: int) -> tuple[Span, ...]:
    """The spans of ``0 <= row < total`` that are in none of the given ones."""
    gaps, row = [], 0
    for first, stop in union(spans):
        if row < first:
            gaps.append((row, first))
        row = stop
    return (*gaps, (row, total)) if row < total else tuple(gaps)


def shares(todo: Iterable[Span], starts: Sequence[int], size: int) -> list[tuple[Span, ...]]:
    """Deals spans out to ``size`` processes: as evenly as can be, in order, and cut at ``starts`` only.

    Args:
        todo: What is to be dealt out.
        starts: Rows, in order.
        size: How many processes there are.

    Returns:
        The spans of each.
    """
    pieces: list[Span] = []
    for first, stop in union(todo):
        cuts = [first, *starts[bisect_right(starts, first) : bisect_left(starts, stop)], stop]
        pieces += pairwise(cuts)
    total, before = count(pieces), 0
    dealt: list[list[Span]] = [[] for _ in range(size)]
    for first, stop in pieces:
        # By the middle of a piece: so no process gets more than its part and a piece.
        dealt[(2 * before + stop - first) * size // (2 * total)].append((first, stop))
        before += stop - first
    return [union(spans) for spans in dealt]
