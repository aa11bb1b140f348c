"""``ltzoo decode``."""

from __future__ import annotations

from pathlib import Path

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option, output_option, plan_outputs, sheet_option, write_items, write_sheet
from ltzoo.cli.output import print_ids, print_json
from ltzoo.cli.params import MODEL
from ltzoo.cli.references import offline_option
from ltzoo.errors import CapabilityError, UsageError
from ltzoo.spec import ModelSpec


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.argument("latents", type=click.Path(path_type=Path), metavar="LATENTS")
@output_option
@sheet_option
@click.option("--part", type=click.Choice(["train", "validation", "test"]), help="Only this part of the set.")
@click.option("--rows", metavar="FIRST[-LAST]", help="Only these rows, counted from 0.")
@device_option
@offline_option
@json_option
def decode(
    model: ModelSpec,
    latents: Path,
    output: str | None,
    sheet: str | None,
    part: str | None,
    rows: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Turn LATENTS, a file that 'ltzoo encode' wrote, into data of MODEL, and print the paths written."""
    if not model.can("decode"):
        raise CapabilityError(f"{model.id} cannot decode", hint="ltzoo models lists what each model can do")

    import torch

    from ltzoo.latents import LatentSet
    from ltzoo.media.padding import cut_to_size
    from ltzoo.zoo import load_model

    found = LatentSet.load(latents, model=model)
    if part is not None:
        found = found.part(part)
    first, last = _range(rows, len(found))
    names = [f"{row:06d}" for row in range(first, last)]
    paths = plan_outputs(names, output, sheet, model)
    decoder = load_model(model, device=device)
    with torch.inference_mode():
        decoded = torch.cat([decoder.decode(z) for z in found.latents[first:last].split(64)])
    results = list(decoded)
    if found.sizes is not None:
        sizes = found.sizes[first:last].tolist()
        results = [cut_to_size(item, size, model.data) for item, size in zip(results, sizes, strict=True)]
    written = write_items(results, paths, model)
    if sheet is not None:
        written.append(write_sheet(Path(sheet), [(results, model)]))
    if as_json:
        print_json("decode", {"model": model.id, "latents": str(latents), "outputs": written})
    elif output != "-":
        print_ids(written)


def _range(text: str | None, n: int) -> tuple[int, int]:
    """First row, and the one after the last."""
    if text is None:
        return 0, n
    first, _, last = text.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise UsageError(f"--rows {text}: not FIRST or FIRST-LAST", hint="--rows 0-15")
    begin, end = int(first), int(last or first) + 1
    if not begin < end <= n:
        raise UsageError(f"--rows {text}: the set has rows 0-{n - 1}")
    return begin, end
