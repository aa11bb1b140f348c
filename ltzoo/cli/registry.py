"""``ltzoo registry``."""

from __future__ import annotations

from pathlib import Path

import click

from ltzoo.cli.base import NounGroup, json_option, quiet_option
from ltzoo.cli.output import note, print_ids, print_json, print_table


@click.group(cls=NounGroup)
def registry() -> None:
    """List the registries of bridges and plugins, check one, or add to one."""


@registry.command("list")
@json_option
@quiet_option
def list_(as_json: bool, quiet: bool) -> None:
    """List the registries in order of precedence: where two list the same bridge, the first one counts."""
    from ltzoo.zoo import default_zoo

    found = default_zoo().registries
    if as_json:
        rows = [
            {
                "name": source.name,
                "path": str(source.path),
                "bridges": [row.id for row in content.bridges],
                "plugins": [row.name for row in content.plugins],
            }
            for source, content in found
        ]
        print_json("registries", {"registries": rows})
    elif quiet:
        print_ids(str(source.path) for source, _ in found)
    else:
        print_table(
            ("REGISTRY", "BRIDGES", "PLUGINS", "PATH"),
            [(s.name, str(len(c.bridges)), str(len(c.plugins)), str(s.path)) for s, c in found],
        )


@registry.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
def check(file: Path | None) -> None:
    """Check every row of FILE, the bundled registry by default, and the files of the bridges beside it."""
    from ltzoo.hub import check_file
    from ltzoo.registry import Registry, RegistrySource, bundled_registry

    source = RegistrySource(name=str(file), path=file) if file else bundled_registry()
    content = Registry.load(source)
    for row in content.bridges:
        for part in row.files if row.path else ():
            check_file(source.path.parent / (row.path or "") / part.name, part)
    note(f"{source.path}: {len(content.bridges)} bridges and {len(content.plugins)} plugins, nothing wrong")


@registry.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--id", required=True, help="What the registry calls the bridge.")
@click.option("--license", required=True, metavar="SPDX", help="Licence of the bridge's weights.")
@click.option("--to", "file", required=True, type=click.Path(path_type=Path), help="The registry file.")
@click.option("--write", is_flag=True, help="Put the row into the file, rather than print it.")
def row(folder: Path, id: str, license: str, file: Path, write: bool) -> None:
    """Make the row of the bridge in FOLDER, which lies below the registry file's folder."""
    from ltzoo.bridge.row import make_row, requirement_of, row_text, write_row

    made = make_row(folder, id=id, license=license, requirement=requirement_of, place=file)
    if write:
        write_row(made, file)
        note(f"{file} lists {made.id}")
    else:
        click.echo(row_text(made), nl=False)
