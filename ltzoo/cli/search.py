"""``ltzoo search``."""

from __future__ import annotations

from typing import Any

import click

from ltzoo.cli.base import Command, json_option, quiet_option
from ltzoo.cli.output import note, one_line, print_ids, print_json, print_table
from ltzoo.search import search_bridges


@click.command(cls=Command)
@click.argument("text", required=False)
@click.option("--model", metavar="MODEL", help="Only bridges that join this model; it need not be installed.")
@click.option(
    "--modality",
    type=click.Choice(["image", "audio", "text", "array"]),
    help="Only bridges with a model of this kind.",
)
@click.option("--author", metavar="ORG", help="Only repositories of this user or organisation.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many bridges."
)
@json_option
@quiet_option
def search(
    text: str | None,
    model: str | None,
    modality: Any,
    author: str | None,
    limit: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search the Hugging Face Hub for bridges whose name has TEXT in it, the most downloaded first.

    What is found is what its owners say of it: nothing of it is checked. 'ltzoo bridges' lists what the registries
    hold.
    """
    found = search_bridges(text, model=model, modality=modality, author=author, limit=limit)
    if as_json:
        print_json("search", {"bridges": [bridge.to_dict() for bridge in found]})
        return
    if quiet:
        print_ids(bridge.reference for bridge in found)
    else:
        rows = [
            (
                bridge.reference + (" (gated)" if bridge.gated else ""),
                one_line(", ".join(bridge.models)) or "-",
                str(bridge.likes),
                str(bridge.downloads),
                one_line(bridge.modified or "") or "-",
            )
            for bridge in found
        ]
        print_table(("BRIDGE", "MODELS", "LIKES", "DOWNLOADS", "MODIFIED"), rows)
    if not found:
        note("the Hub has no such bridge; ltzoo bridges lists those of the registries")
    elif len(found) == limit:
        note(f"there may be more than these {limit}; --limit asks for them")
