"""``ltzoo plugins``."""

from __future__ import annotations

import click

from ltzoo.cli.base import NounGroup, json_option, quiet_option
from ltzoo.cli.output import note, print_ids, print_json, print_table
from ltzoo.errors import ExitCode


@click.group(cls=NounGroup, lazy={"check": "ltzoo.cli.plugin_check:check", "new": "ltzoo.cli.plugin_new:new"})
def plugins() -> None:
    """List the installed plugins and what is wrong with them, check one, or begin a new one.

    A plugin is code that runs with your rights: install only those that you trust.
    """


@plugins.command("list")
@click.option("--check", is_flag=True, help="Exit with 3 if any plugin is not ok.")
@json_option
@quiet_option
@click.pass_context
def list_(context: click.Context, check: bool, as_json: bool, quiet: bool) -> None:
    """List the installed plugins: name, package, status, what each serves and how long its import takes."""
    from ltzoo.zoo import default_zoo, list_plugins

    infos, zoo = list_plugins(), default_zoo()
    served = {info.name: zoo.list_models(plugin=info.name) for info in infos}
    if as_json:
        rows = [
            {
                "name": info.name,
                "distribution": info.distribution,
                "version": info.version,
                "module": info.module,
                "status": info.status,
                "error": info.error,
                "warning": info.warning,
                "hooks": list(info.hooks),
                "models": served[info.name] if info.status == "ok" else [],
                "import_ms": info.import_ms,
            }
            for info in infos
        ]
        print_json("plugins", {"plugins": rows})
    elif quiet:
        print_ids(info.name for info in infos)
    else:
        table = [
            (
                info.name,
                f"{info.distribution} {info.version}",
                info.status,
                "-" if info.import_ms is None else f"{info.import_ms:.0f} ms",
                info.error or info.warning or ", ".join(served[info.name]) or "-",
            )
            for info in infos
        ]
        print_table(("PLUGIN", "PACKAGE", "STATUS", "IMPORT", "MODELS, OR WHAT IS WRONG"), table)
    if check and (bad := [info for info in infos if info.status not in ("ok", "blocked")]):
        note(f"{len(bad)} of {len(infos)} plugins do not work: {', '.join(info.name for info in bad)}")
        context.exit(ExitCode.PLUGIN)
