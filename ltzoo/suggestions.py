"""Hints for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["suggest"]


def suggest(word: str, known: Iterable[str], listing: str) -> str:
    """A hint for a misspelt name: the nearest known ones, or the command that lists them."""
    import difflib  # only here: the light commands are measured in milliseconds

    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.7)
    return f"did you mean {', '.join(near)}?" if near else listing
