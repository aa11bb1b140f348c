"""``ltzoo plugins new``."""

from __future__ import annotations

from pathlib import Path

import click

from ltzoo.cli.base import Command
from ltzoo.cli.output import note


@click.command("new", cls=Command)
@click.argument("name")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Folder to put the project into; by default the current one.",
)
def new(name: str, parent: Path) -> None:
    """Write the project of a new plugin, ltzoo-NAME, and print its folder.

    It has one working model to be replaced with yours, its tests, a CI workflow, a licence, and notes on publishing.
    Ids of its models begin with NAME. See docs/plugin-tutorial.md.
    """
    from ltzoo.plugin_project import new_plugin_project

    folder = new_plugin_project(name, parent)
    click.echo(folder)
    note(
        f"next: ltzoo install -e {folder if folder.is_absolute() else f'./{folder}'}, then ltzoo models '{name}/*'"
    )
