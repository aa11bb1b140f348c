"""``ltzoo translate``: the main job."""

from __future__ import annotations

from pathlib import Path

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import (
    device_option,
    load_bridge_between,
    output_option,
    plan_outputs,
    read_items,
    sheet_option,
    write_items,
    write_sheet,
)
from ltzoo.cli.output import print_ids, print_json
from ltzoo.cli.params import BRIDGE, MODEL
from ltzoo.errors import CapabilityError, UsageError
from ltzoo.spec import ModelSpec


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--from", "source", type=MODEL, required=True, help="The model that understands the input.")
@click.option("--to", "target", type=MODEL, required=True, help="The model that makes the output.")
@click.option(
    "--bridge", type=BRIDGE, metavar="REF", help="The bridge to use; the best published one by default."
)
@output_option
@sheet_option
@click.option("--sample", is_flag=True, help="Draw the shared latent rather than take its mean.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of --sample.")
@device_option
@json_option
def translate(
    inputs: tuple[str, ...],
    source: ModelSpec,
    target: ModelSpec,
    bridge: str | None,
    output: str | None,
    sheet: str | None,
    sample: bool,
    seed: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Translate INPUT, data of one model, into data of another, and print the paths written.

    INPUT is a file (for text models also the text itself), or - for stdin. With several inputs, OUTPUT
    is a folder. --bridge takes an id of 'ltzoo bridges', local:PATH, or hf:org/repo@commit.
    """
    if not source.can("encode"):
        raise CapabilityError(
            f"{source.id} cannot encode, so it cannot be translated from", hint="ltzoo models"
        )
    if not target.can("decode"):
        raise CapabilityError(
            f"{target.id} cannot decode, so it cannot be translated to", hint="ltzoo models"
        )
    if seed is not None and not sample:
        raise UsageError("--seed goes with --sample: without it nothing is random", hint="add --sample")
    paths = plan_outputs(inputs, output, sheet, target)
    items = read_items(inputs, source)
    used, ref = load_bridge_between(bridge, source, target, device)

    import torch

    from ltzoo.zoo import load_model

    with torch.inference_mode():
        encoder, decoder = load_model(source, device=device), load_model(target, device=device)
        z = encoder.encode(items)
        translated = used.translate(z, source=source.id, target=target.id, sample=sample, seed=seed)
        results = decoder.decode(translated)
    written = write_items(results, paths, target)
    if sheet is not None:
        written.append(write_sheet(Path(sheet), [(items, source), (results, target)]))
    if as_json:
        print_json(
            "translate",
            {
                "source": source.id,
                "target": target.id,
                "bridge": ref,
                "sample": sample,
                "seed": seed,
                "inputs": list(inputs),
                "outputs": written,
            },
        )
    elif output != "-":
        print_ids(written)
