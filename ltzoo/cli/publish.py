"""``ltzoo publish``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.output import note, print_json
from ltzoo.errors import UsageError

if TYPE_CHECKING:
    from ltzoo.bridge.publishing import Prepared


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("repo", metavar="ORG/NAME")
@click.option(
    "--license", metavar="SPDX", help="Licence of the bridge's weights; without one nobody may use it."
)
@click.option(
    "--licenses-checked",
    is_flag=True,
    help="You have read the licences of models and data that ltzoo does not know, and they allow this.",
)
@click.option("--id", help="What registries call the bridge; by default NAME.")
@click.option(
    "--registry",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Registry file to put the row into.",
)
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
@click.option("--pr", "pull_request", is_flag=True, help="Open a pull request rather than commit.")
@click.option("-m", "--message", metavar="TEXT", help="Of the commit.")
@click.option("--dry-run", is_flag=True, help="Make and check everything, and upload nothing.")
@json_option
def publish(
    folder: Path,
    repo: str,
    license: str | None,
    licenses_checked: bool,
    id: str | None,
    registry: Path | None,
    private: bool,
    pull_request: bool,
    message: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish the bridge in DIR on the Hugging Face Hub, and print the row that lists it in a registry.

    One commit holds config and weights as they are, a card, and golden outputs for 'ltzoo bridges verify'. The card
    says how to use it, how good it is, its limits, and the licences of all that it is made from. DIR is left as it
    is. Log in first: hf auth login.
    """
    if license is None:
        raise UsageError("a bridge is published under a licence", hint="--license CC-BY-SA-4.0, for example")
    from ltzoo.bridge.publishing import prepare, upload
    from ltzoo.bridge.row import row_text, write_row
    from ltzoo.registry import Registry, RegistrySource

    if registry is not None:
        # A file that cannot take the row is said before anything is uploaded.
        Registry.load(RegistrySource(name=str(registry), path=registry))
    with prepare(folder, repo, license=license, id=id, licenses_checked=licenses_checked) as prepared:
        for part in prepared.unknown:
            note(f"warning: {part.what} is under '{part.license}', which ltzoo does not know")
        content = _content(prepared)
        if dry_run:
            if as_json:
                print_json("publish-plan", content)
            else:
                click.echo((prepared.folder / "README.md").read_text("utf-8"), nl=False)
                files = ", ".join(f"{path.name} ({path.stat().st_size:,} bytes)" for path in prepared.files)
                note(f"would upload to hf:{repo}, under {prepared.license}: {files}")
            return
        published = upload(prepared, private=private, pull_request=pull_request, message=message)
    note(f"published: {published.url}")
    if registry is not None:
        write_row(published.row, registry)
        note(f"{registry} lists {published.row.id}")
    if as_json:
        print_json("publish", {**content, "url": published.url, "row": published.row.to_dict()})
    else:
        click.echo(row_text(published.row), nl=False)
    note(f"use it with --bridge hf:{repo}@{published.row.revision}")


def _content(prepared: Prepared) -> dict[str, Any]:
    return {
        "repo": prepared.repo,
        "license": prepared.license,
        "id": prepared.id,
        "files": {path.name: path.stat().st_size for path in prepared.files},
    }
