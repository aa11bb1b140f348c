"""``ltzoo explain``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.output import note, one_line, print_json
from ltzoo.cli.params import BRIDGE
from ltzoo.cli.references import offline_option, pin


@click.command(cls=Command)
@click.argument("bridge", type=BRIDGE)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw it too, as one picture: .svg or .png.",
)
@offline_option
@json_option
def explain(bridge: str, output: Path | None, as_json: bool) -> None:
    """Explain BRIDGE: what it joins, how good it is, how it was trained, licences, and what it needs.

    BRIDGE is an id of 'ltzoo bridges', of which nothing is downloaded, or local:PATH, hf:org/repo, or
    hf:org/repo@commit, whose config is read. Figures are those that were measured; 'ltzoo bridges show' has them
    all.
    """
    from ltzoo.bridge.explanation import explain_bridge
    from ltzoo.bridge.wording import direction_words, explanation_lines

    explained = explain_bridge(pin(bridge))
    if output is not None:
        from ltzoo.bridge.picture import draw_bridge

        draw_bridge(explained).save(output)
        note(f"the picture is {output}")
    if as_json:
        content = asdict(explained)
        for row, direction in zip(content["directions"], explained.directions, strict=True):
            row["words"] = direction_words(explained, direction)
        print_json("explanation", {"bridge": content})
        return
    for line in explanation_lines(explained):
        indent = len(line) - len(line.lstrip())
        click.echo(" " * indent + one_line(line))
