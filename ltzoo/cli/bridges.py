"""``ltzoo bridges``."""

from __future__ import annotations

from typing import Any

import click

from ltzoo.cli.base import NounGroup, json_option, quiet_option
from ltzoo.cli.output import print_ids, print_json, print_table
from ltzoo.cli.params import BRIDGE, MODEL
from ltzoo.published import PublishedBridge
from ltzoo.registry import BridgeRow
from ltzoo.spec import ModelSpec


@click.group(cls=NounGroup, lazy={"extend": "ltzoo.cli.extend:extend", "verify": "ltzoo.cli.verify:verify"})
def bridges() -> None:
    """List the published bridges, show one, check one, or add a model to one."""


@bridges.command("list")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--source", type=MODEL, help="Only bridges that translate from this model.")
@click.option("--target", type=MODEL, help="Only bridges that translate to this model.")
@click.option("--matrix", is_flag=True, help="Show which models lead to which, directly or through others.")
@json_option
@quiet_option
def list_(
    patterns: tuple[str, ...],
    source: ModelSpec | None,
    target: ModelSpec | None,
    matrix: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """List the published bridges; PATTERN may hold wildcards."""
    from ltzoo.zoo import default_zoo

    zoo = default_zoo()
    if matrix:
        from ltzoo.cli.matrix import print_matrix

        if quiet:
            raise click.UsageError("--matrix has no ids to print: leave out --quiet")
        print_matrix(
            zoo,
            zoo.list_bridges(patterns or "*"),
            source=source.id if source else None,
            target=target.id if target else None,
            as_json=as_json,
        )
        return
    ids = zoo.list_bridges(
        patterns or "*", source=source.id if source else None, target=target.id if target else None
    )
    found = [zoo.bridges[id] for id in ids]
    if as_json:
        print_json("bridges", {"bridges": [describe(bridge) for bridge in found]})
    elif quiet:
        print_ids(ids)
    else:
        rows = [
            (
                bridge.row.id,
                ", ".join(bridge.row.models),
                bridge.row.recipe,
                _accuracy(bridge.row),
                f"{bridge.row.size / 1e6:.1f} MB",
                bridge.row.license,
            )
            for bridge in found
        ]
        print_table(("BRIDGE", "MODELS", "RECIPE", "ACCURACY", "SIZE", "LICENSE"), rows)


@bridges.command()
@click.argument("bridge", type=BRIDGE)
@json_option
def show(bridge: str, as_json: bool) -> None:
    """Show one published BRIDGE: its row in the registry, and all its figures; 'ltzoo explain' says it in words."""
    from ltzoo.zoo import get_bridge

    found = get_bridge(bridge)
    row = found.row
    if as_json:
        print_json("bridge", {"bridge": describe(found)})
        return
    place = row.path if row.repo is None else f"hf:{row.repo}@{row.revision}"
    facts = [
        ("bridge", row.id),
        ("models", ", ".join(row.models)),
        ("recipe", row.recipe),
        ("license", row.license),
        ("files", f"{place} ({row.size / 1e6:.1f} MB)"),
        ("registry", found.registry.place),
        ("needs", ", ".join(row.plugins) or "-"),
        ("date", row.date),
        ("trained by", row.command),
        ("measured by", row.metrics_command or "-"),
    ]
    for name, value in facts:
        click.echo(f"{name.ljust(11)}  {value}")
    if row.metrics:
        from ltzoo.bridge.explanation import explain_bridge
        from ltzoo.bridge.wording import direction_words

        explained = explain_bridge(row.id)
        for direction in explained.directions:
            click.echo(f"\n{direction.source} -> {direction.target}")
            for text in direction_words(explained, direction):
                click.echo(f"  {text}")
        click.echo()
        table = [
            (m.name, f"{m.source} -> {m.target}", f"{m.value:.4g}", "-" if m.std is None else f"{m.std:.2g}")
            for m in row.metrics
        ]
        print_table(("METRIC", "DIRECTION", "VALUE", "STD"), table)
    click.echo()
    click.echo(
        f"ltzoo translate INPUT --from {row.models[0]} --to {row.models[1]} --bridge {row.id} -o OUTPUT"
    )


def describe(bridge: PublishedBridge) -> dict[str, Any]:
    """The row as JSON, with the registry that it stands in."""
    return {**bridge.row.to_dict(), "registry": bridge.registry.place}


def _accuracy(row: BridgeRow) -> str:
    values = [metric.value for metric in row.metrics if metric.name == "transfer_accuracy"]
    if not values:
        return "-"
    return f"{min(values):.3f}" if len(values) == 1 else f"{min(values):.3f}-{max(values):.3f}"
