"""``ltzoo sample``."""

from __future__ import annotations

from pathlib import Path

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option, output_option, plan_outputs, sheet_option, write_items, write_sheet
from ltzoo.cli.output import print_ids, print_json
from ltzoo.cli.params import MODEL
from ltzoo.errors import CapabilityError
from ltzoo.spec import ModelSpec


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.option("-n", "--number", type=click.IntRange(min=1), default=1, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@output_option
@sheet_option
@device_option
@json_option
def sample(
    model: ModelSpec,
    number: int,
    seed: int,
    output: str | None,
    sheet: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Draw data from the prior of MODEL, the same for the same seed, and print the paths written."""
    if not model.can("sample"):
        raise CapabilityError(f"{model.id} cannot sample", hint="ltzoo models lists what each model can do")
    paths = plan_outputs([f"{seed}-{i:04d}" for i in range(number)], output, sheet, model)

    import torch

    from ltzoo.zoo import load_model

    generator = load_model(model, device=device)
    with torch.inference_mode():
        results = torch.cat([generator.decode(z) for z in generator.sample(number, seed).split(64)])
    written = write_items(results, paths, model)
    if sheet is not None:
        written.append(write_sheet(Path(sheet), [(results, model)]))
    if as_json:
        print_json("sample", {"model": model.id, "seed": seed, "outputs": written})
    elif output != "-":
        print_ids(written)
