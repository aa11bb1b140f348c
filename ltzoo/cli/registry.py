"""``ltzoo registry``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltzoo.cli.base import NounGroup, json_option, quiet_option
from ltzoo.cli.output import note, print_ids, print_json, print_table, progress_bar
from ltzoo.errors import IntegrityError, LtzooError, OfflineError, SpecError, UsageError

if TYPE_CHECKING:
    from ltzoo.registries import RegistryUpdate
    from ltzoo.registry import RegistrySource

SETTING = "registry"


@click.group(cls=NounGroup)
def registry() -> None:
    """List the registries of bridges and plugins, choose more, update or check them, or add a bridge to one."""


@registry.command("list")
@json_option
@quiet_option
def list_(as_json: bool, quiet: bool) -> None:
    """List the registries in order of precedence: where two list the same bridge, the first one counts."""
    from ltzoo.zoo import default_zoo

    found = [(source, _kind(source), content) for source, content in default_zoo().registries]
    if as_json:
        rows = [
            {
                "name": source.name,
                "kind": kind,
                "place": source.place,
                "revision": source.revision,
                "path": str(source.file),
                "bridges": [row.id for row in content.bridges],
                "plugins": [row.name for row in content.plugins],
            }
            for source, kind, content in found
        ]
        print_json("registries", {"registries": rows})
    elif quiet:
        print_ids(source.place for source, _, _ in found)
    else:
        print_table(
            ("", "REGISTRY", "KIND", "COMMIT", "BRIDGES", "PLUGINS", "FILE"),
            [
                (
                    str(number),
                    source.name,
                    kind,
                    (source.revision or "-")[:12],
                    str(len(content.bridges)),
                    str(len(content.plugins)),
                    str(source.file),
                )
                for number, (source, kind, content) in enumerate(found, start=1)
            ],
        )


@registry.command()
@click.argument("source", metavar="PATH|hf:ORG/REPO[@REVISION]")
def add(source: str) -> None:
    """Check a registry, and read it from now on: behind your other ones, before the bundled one.

    One on the Hub is a repository with a file registry.toml. It is read at one commit, the newest one if none is
    named, until 'ltzoo registry update'.
    """
    from ltzoo.cli.references import pin
    from ltzoo.registries import add_registry

    added = add_registry(pin(source))
    note(f"added {added.place}")
    _say_precedence()


@registry.command()
@click.argument("name")
def remove(name: str) -> None:
    """Read a registry no more: NAME is its path or repository, as 'ltzoo registry' lists it."""
    from ltzoo.registries import remove_registry

    note(f"removed {remove_registry(name)}")
    _say_precedence()


@registry.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def update(names: tuple[str, ...], as_json: bool) -> None:
    """Bring your registries on the Hub to their newest commits, and show what changed; all of them by default.

    Those that are files are checked. Those whose commit a plugin or LTZOO_REGISTRY names stay at it, and are
    downloaded if they are not in the cache.
    """
    from ltzoo.registries import configured_registries, fetch_registry, own_sources, update_registry
    from ltzoo.settings import is_overridden
    from ltzoo.zoo import default_zoo

    if not configured_registries():
        note("you have no registries of your own; ltzoo registry add chooses one")
    done: list[RegistryUpdate] = []
    failures: list[LtzooError] = []
    for name in names or configured_registries():
        try:
            done.append(update_registry(name))
        except OfflineError:
            raise
        except LtzooError as error:
            failures.append(error)
    if not names:
        fixed = [*(own_sources() if is_overridden(SETTING) else ()), *default_zoo().plugin_registries]
        for source in fixed:
            if source.file is None:
                fetch_registry(source)
                note(f"downloaded {source.place}")
    if as_json:
        rows = [
            {
                "name": one.new.name,
                "old": one.old,
                "new": one.new.place,
                "added": one.added,
                "removed": one.removed,
                "changed": one.changed,
            }
            for one in done
        ]
        print_json("registry-update", {"registries": rows})
    else:
        print_table(("REGISTRY", "OLD", "NEW", "BRIDGES"), [_update_row(one) for one in done])
    for failure in failures[1:]:
        note(f"error: {failure}")
    if failures:
        raise failures[0]
    _warn_of_override()


@registry.command()
@click.argument("name", metavar="[FILE|NAME]", required=False)
@click.option("--online", is_flag=True, help="Ask the Hub whether what lies there is as the rows say.")
@json_option
def check(name: str | None, online: bool, as_json: bool) -> None:
    """Check every row of a registry, the bundled one by default, and the files of the bridges beside it.

    NAME is one of 'ltzoo registry', or hf:org/repo[@revision]. With --online the repositories and commits on the
    Hub must exist and have every file, with the size and hash that the row says; large files are not downloaded.
    Whatever is wrong is one line on stderr. Exits with 5 if a hash differs, with 1 if only other things are wrong.
    """
    from ltzoo.registries import fetch_registry
    from ltzoo.registry_check import check_rows

    source = _named(name)
    content = fetch_registry(source)
    with progress_bar() as progress:
        problems = check_rows(source, content, online=online, progress=progress)
    if as_json:
        rows = [{"bridge": p.bridge, "problem": p.text, "is_integrity": p.is_integrity} for p in problems]
        checked = {"registry": source.place, "bridges": len(content.bridges), "online": online}
        print_json("registry-check", {**checked, "problems": rows})
    for problem in problems:
        note(f"bridge '{problem.bridge}': {problem.text}")
    if problems:
        kind = IntegrityError if any(problem.is_integrity for problem in problems) else SpecError
        rows_hit = len({problem.bridge for problem in problems})
        raise kind(
            f"{source.place}: {rows_hit} of {len(content.bridges)} rows are wrong",
            hint="ltzoo registry row makes a right one",
        )
    unasked = "" if online else _unasked(sum(row.repo is not None for row in content.bridges))
    note(
        f"{source.place}: {len(content.bridges)} bridges and {len(content.plugins)} plugins, nothing wrong{unasked}"
    )


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


def _sources() -> list[RegistrySource]:
    """All registries in order of precedence, as the settings are now; none is read."""
    from ltzoo.registries import own_sources
    from ltzoo.registry import bundled_registry
    from ltzoo.zoo import default_zoo

    return [*own_sources(), bundled_registry(), *default_zoo().plugin_registries]


def _kind(source: RegistrySource) -> str:
    from ltzoo.registry import bundled_registry
    from ltzoo.zoo import default_zoo

    if source == bundled_registry():
        return "bundled"
    return "plugin" if source in default_zoo().plugin_registries else "own"


def _named(name: str | None) -> RegistrySource:
    """The registry to check."""
    from ltzoo.cli.references import pin
    from ltzoo.references import reference_kind
    from ltzoo.registries import registry_source
    from ltzoo.registry import bundled_registry
    from ltzoo.suggestions import suggest

    if name is None:
        return bundled_registry()
    for source in _sources():
        if name in (source.name, source.place):
            return source
    if reference_kind(name) == "hub":
        return registry_source(pin(name))
    if not Path(name).is_file():
        known = [source.name for source in _sources()]
        raise UsageError(f"no registry '{name}'", hint=suggest(name, known, "ltzoo registry list"))
    return registry_source(name)


def _say_precedence() -> None:
    names = ", ".join(f"{number}. {source.name}" for number, source in enumerate(_sources(), start=1))
    note(f"order of precedence: {names}")
    _warn_of_override()


def _warn_of_override() -> None:
    from ltzoo.settings import config_path, is_overridden

    if is_overridden(SETTING):
        note(f"LTZOO_REGISTRY is set, and takes the place of the registries in {config_path()}")


def _update_row(update: RegistryUpdate) -> tuple[str, str, str, str]:
    old, new = update.old.partition("@")[2], update.new.revision or ""
    changes = [
        *(f"+{id}" for id in update.added),
        *(f"-{id}" for id in update.removed),
        *(f"~{id}" for id in update.changed),
    ]
    return update.new.name, old[:12] or "-", new[:12] or "-", ", ".join(changes) or "no change"


def _unasked(number: int) -> str:
    return f"; --online asks the Hub about the {number} that lie there" if number else ""
