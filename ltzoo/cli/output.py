"""Streams: data goes to stdout, everything else to stderr, and nothing is coloured.

Of several processes that do one job, only the main one writes; errors aside, which any may meet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ltzoo.distributed import await_the_first, first_to_say, is_main

if TYPE_CHECKING:
    from ltzoo.evaluation.measuring import Progress

__all__ = [
    "complain",
    "note",
    "one_line",
    "print_ids",
    "print_json",
    "print_table",
    "progress_bar",
    "progress_wanted",
]

TICKS = 1000


def print_json(kind: str, content: dict[str, Any]) -> None:
    """One JSON document on stdout; ``schema`` names what it is and the version of its form."""
    if not is_main():
        return
    document = msgspec.json.encode({"schema": f"ltzoo/{kind}/1", **content})
    click.echo(msgspec.json.format(document, indent=2))


def print_ids(ids: Iterable[str]) -> None:
    """One id a line on stdout, for ``xargs``."""
    for id in ids if is_main() else ():
        click.echo(id)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns on stdout, as wide as their content."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table if is_main() else ():
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def note(text: str) -> None:
    """One line on stderr."""
    if is_main():
        click.echo(f"ltzoo: {one_line(text)}", err=True)


def complain(text: str) -> None:
    """What ends the process, as one line on stderr; said once, however many processes it ends."""
    line = f"ltzoo: {one_line(text)}"
    if first_to_say(line):
        click.echo(line, err=True)
    else:
        await_the_first()


def one_line(text: str) -> str:
    """The text without line breaks, and without control characters that a terminal would obey."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


def progress_wanted() -> bool:
    """Whether a progress bar has somebody to look at it."""
    return is_main() and sys.stderr.isatty()


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """A bar on stderr, if that is a terminal."""
    if not progress_wanted():
        yield None
        return
    from tqdm import tqdm

    with tqdm(
        total=TICKS, bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining}  {desc}", leave=False
    ) as bar:

        def show(share: float, what: str) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update(round(share * TICKS) - bar.n)

        yield show
