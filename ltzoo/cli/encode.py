"""``ltzoo encode``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.inversion import check_encodes, inversion_content, invert_option, note_errors
from ltzoo.cli.items import device_option
from ltzoo.cli.output import note, print_ids, print_json
from ltzoo.cli.params import MODEL
from ltzoo.cli.references import offline_option
from ltzoo.distributed import is_main
from ltzoo.errors import UsageError
from ltzoo.spec import ModelSpec, format_shape

if TYPE_CHECKING:
    from tqdm import tqdm

    from ltzoo.latents import Inversion, InversionErrors, ItemSource


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The latent set to write."
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Items at once."
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="As stored.",
)
@click.option(
    "--keys",
    "keys_of",
    metavar="NAME",
    help="Name of what is encoded: items of sets with the same name pair up. By default the same input does.",
)
@click.option("--license", metavar="SPDX", help="Licence of the data, kept with the latents.")
@click.option("--no-resume", is_flag=True, help="Start anew even if a half-done file is there.")
@invert_option
@click.option("--seed", type=click.IntRange(min=0), help="Of --invert.  [default: 0]")
@device_option
@offline_option
@json_option
def encode(
    model: ModelSpec,
    inputs: tuple[str, ...],
    output: Path,
    batch_size: int,
    dtype: str,
    keys_of: str | None,
    license: str | None,
    no_resume: bool,
    invert: bool,
    seed: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Turn INPUT into latents of MODEL: one safetensors file, which train, decode and eval read.

    INPUT is a folder (sub-folders named as the model's labels give labels), files, an .npy array, an
    .npz archive with x and y, or x_train, y_train, x_test and y_test, or a text file with an item a
    line. Items of two latent sets pair up if both are made from the same INPUT, or with the same
    --keys NAME: by the names of the files below their folder, without suffix, by the array keys of an
    .npz archive, or by the number of the row or line. Memory does not grow with the number of items. A run that was interrupted goes on where it
    was when the same command is given again. Started by torchrun or accelerate launch, as in
    'torchrun --nproc-per-node 2 -m ltzoo encode ...', several processes share the work.

    With --invert, latents of a model that cannot encode (a GAN) are searched for by gradient descent, from
    several of its draws; that is hundreds of decodes an item. stderr says how near each item came.
    """
    check_encodes(model, invert=invert, hint="ltzoo models lists what each model can do")
    if seed is not None and not invert:
        raise UsageError("--seed goes with --invert: without it nothing is random", hint="leave --seed out")

    import torch
    from tqdm import tqdm

    from ltzoo.distributed import process_group
    from ltzoo.latents import Inversion, encode_to_file
    from ltzoo.media import open_items
    from ltzoo.zoo import load_model

    with process_group() as world:
        items = open_items(inputs, model.data, label_names=model.labels, model=model.id, say=note)
        bar: tqdm[None] = tqdm(
            total=len(items),
            desc=model.id,
            unit="item",
            file=sys.stderr,
            disable=None if world.is_main else True,
        )

        def progress(done: int, total: int) -> None:
            bar.update(done - bar.n)

        encoder = load_model(model, device=world.device(device))
        inversion = Inversion(encoder, seed=seed or 0) if invert else None
        with bar:
            encode_to_file(
                inversion or encoder,
                items,
                output,
                batch_size=batch_size,
                dtype=torch.float16 if dtype == "float16" else torch.float32,
                license=license,
                keys_of=keys_of,
                progress=progress,
                say=note,
                resume=not no_resume,
                world=world,
                method=inversion.method if inversion else None,
            )
    extra: dict[str, Any] = {}
    if inversion is not None and is_main():
        errors = _errors(inversion, items, output, batch_size)
        note_errors(errors, items.describe)
        extra = inversion_content(errors, seed or 0)
    if as_json:
        print_json(
            "encode",
            {
                "model": model.id,
                "items": len(items),
                "latent": format_shape(model.latent.shape),
                "fields": sorted(items.fields),
                "output": str(output),
                **extra,
            },
        )
    else:
        print_ids([str(output)])


def _errors(inversion: Inversion, items: ItemSource, path: Path, batch_size: int) -> InversionErrors:
    """What is left of each item: from the file, since another run or process may have done a part of it."""
    from ltzoo.latents import InversionErrors, LatentSet

    latents = LatentSet.load(path).latents.float()
    parts, first = [], 0
    for x, *_ in items.batches(0, batch_size):
        parts.append(inversion.errors(latents[first : first + len(x)], x))
        first += len(x)
    return InversionErrors.joined(parts)
