"""``ltzoo interpolate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option, load_bridge_between, read_items
from ltzoo.cli.output import print_ids, print_json
from ltzoo.cli.params import BRIDGE, MODEL
from ltzoo.cli.references import offline_option, pin
from ltzoo.errors import CapabilityError, MediaError, UsageError
from ltzoo.files import replaceable
from ltzoo.spec import ModelSpec

if TYPE_CHECKING:
    from ltzoo.evaluation.interpolation import Method, Space


@click.command(cls=Command)
@click.argument("first")
@click.argument("last")
@click.option("--from", "source", type=MODEL, required=True, help="The model that understands the inputs.")
@click.option("--to", "target", type=MODEL, required=True, help="The model that makes the output.")
@click.option(
    "--bridge", type=BRIDGE, metavar="REF", help="The bridge to use; the best published one by default."
)
@click.option(
    "--space",
    type=click.Choice(["source", "shared", "target"]),
    default="source",
    show_default=True,
    help="Whose latents the way leads through.",
)
@click.option(
    "--method",
    type=click.Choice(["linear", "slerp"]),
    default="linear",
    show_default=True,
    help="Straight, or along an arc around zero.",
)
@click.option(
    "--steps",
    type=click.IntRange(2, 1000),
    default=8,
    show_default=True,
    help="Points on the way, both ends included.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="A picture for a strip, .gif for an animation, .wav for one sound.",
)
@device_option
@offline_option
@json_option
def interpolate(
    first: str,
    last: str,
    source: ModelSpec,
    target: ModelSpec,
    bridge: str | None,
    space: str,
    method: str,
    steps: int,
    output: Path,
    device: str,
    as_json: bool,
) -> None:
    """Walk from FIRST to LAST, data of one model, through latents, and show the way in another model.

    With the same model on both sides no bridge is needed. A sound, where the other model makes sounds,
    is the steps one after another; their strip shows spectrograms.
    """
    if not source.can("encode"):
        raise CapabilityError(
            f"{source.id} cannot encode, so it cannot be translated from", hint="ltzoo models"
        )
    if not target.can("decode"):
        raise CapabilityError(
            f"{target.id} cannot decode, so it cannot be translated to", hint="ltzoo models"
        )
    alone = source.id == target.id and bridge is None
    if alone and space == "shared":
        raise UsageError(
            "the shared space is a bridge's, and within one model there is none", hint="give --bridge REF"
        )
    from ltzoo.media import check_walk_suffix

    output = output.expanduser()
    check_walk_suffix(output, target.data)
    try:
        replaceable(output)
    except OSError as error:
        raise MediaError(f"{output}: cannot be written: {error.strerror or error}") from error
    items = read_items([first, last], source)
    used, ref = (None, None) if alone else load_bridge_between(bridge and pin(bridge), source, target, device)

    import torch

    from ltzoo.evaluation.interpolation import interpolate as walk
    from ltzoo.media import write_walk
    from ltzoo.media.padding import cut_back
    from ltzoo.zoo import load_model

    with torch.inference_mode():
        ends = load_model(source, device=device).encode(items)
        z = walk(
            ends,
            used,
            source=source.id,
            target=target.id,
            space=cast("Space", space),
            method=cast("Method", method),
            steps=steps,
        )
        results = cut_back(load_model(target, device=device).decode(z), items, source.data, target.data)
    write_walk(output, list(results), target.data)
    if as_json:
        print_json(
            "interpolate",
            {
                "source": source.id,
                "target": target.id,
                "bridge": ref,
                "space": space,
                "method": method,
                "steps": steps,
                "inputs": [first, last],
                "output": str(output),
            },
        )
    else:
        print_ids([str(output)])
