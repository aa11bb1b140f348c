"""``ltzoo bridges verify``."""

from __future__ import annotations

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.output import print_json, print_table
from ltzoo.cli.params import BRIDGE
from ltzoo.cli.references import offline_option, pin


@click.command(cls=Command)
@click.argument("bridge", type=BRIDGE)
@offline_option
@json_option
@click.pass_context
def verify(context: click.Context, bridge: str, as_json: bool) -> None:
    """Check everything about BRIDGE: hashes, header, config, weights, models, and its golden outputs if it has any.

    BRIDGE is an id of 'ltzoo bridges', local:PATH, hf:org/repo, or hf:org/repo@commit. Exits with 5 where a file is
    not what it should be.
    """
    from ltzoo.bridge.verification import verify_bridge

    bridge = pin(bridge)
    checks = list(verify_bridge(bridge))
    errors = [check.error for check in checks if check.error]
    if as_json:
        found = [{"name": check.name, "ok": not check.error, "found": check.found} for check in checks]
        print_json("verification", {"bridge": bridge, "ok": not errors, "checks": found})
    else:
        rows = [(check.name, "wrong" if check.error else "ok", check.found) for check in checks]
        print_table(("CHECK", "RESULT", "FOUND"), rows)
    if errors:
        worst = max(errors, key=lambda error: error.exit_code)
        raise type(worst)(f"{bridge}: {worst}", hint=worst.hint)
