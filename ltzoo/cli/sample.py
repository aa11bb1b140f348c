"""``ltzoo sample``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option, output_option, plan_outputs, sheet_option, write_items, write_sheet
from ltzoo.cli.output import note, print_ids, print_json
from ltzoo.cli.params import MODEL
from ltzoo.cli.references import offline_option
from ltzoo.errors import CapabilityError, LatentsError, UsageError
from ltzoo.files import replaceable
from ltzoo.spec import DatasetSpec, ModelSpec

DEFAULT_CONFIDENCE = 0.9


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.option(
    "-n",
    "--number",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many; with --label-with, of each class.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@click.option(
    "--label-with",
    metavar="DATASET",
    help="Write labelled latents in place of data: DATASET's labeller says what each draw is.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help=f"How sure the labeller must be of a draw, 0 to 1.  [default: {DEFAULT_CONFIDENCE}]",
)
@output_option
@sheet_option
@device_option
@offline_option
@json_option
def sample(
    model: ModelSpec,
    number: int,
    seed: int,
    label_with: str | None,
    confidence: float | None,
    output: str | None,
    sheet: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Draw data from the prior of MODEL, the same for the same seed, and print the paths written.

    With --label-with, write a latent set that train and eval read: so a model that cannot encode joins
    a bridge. The first NUMBER draws of each class are kept that the labeller is sure enough of.
    """
    if not model.can("sample"):
        raise CapabilityError(f"{model.id} cannot sample", hint="ltzoo models lists what each model can do")
    if label_with is not None:
        if sheet is not None:
            raise UsageError("--label-with writes latents, so there is no sheet", hint="leave --sheet out")
        if output is None or output == "-":
            raise UsageError("--label-with needs a file to write", hint="give -o latents.safetensors")
        limit = DEFAULT_CONFIDENCE if confidence is None else confidence
        _label(model, number, seed, label_with, limit, Path(output).expanduser(), device, as_json)
        return
    if confidence is not None:
        raise UsageError("--confidence goes with --label-with", hint="leave it out")
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


def _label(
    model: ModelSpec,
    number: int,
    seed: int,
    dataset_id: str,
    confidence: float,
    path: Path,
    device: str,
    as_json: bool,
) -> None:
    """Writes labelled latents of the model, and says what share of the draws they are."""
    from ltzoo.zoo import get_dataset, load_labeller, load_model

    dataset = get_dataset(dataset_id)
    _check_data(model, dataset)
    labeller = load_labeller(dataset, device=device)
    try:
        replaceable(path)
    except OSError as error:
        raise LatentsError(f"{path}: cannot be written: {error.strerror or error}") from error

    from tqdm import tqdm

    from ltzoo.latents import draw_labelled

    generator = load_model(model, device=device)
    classes = len(dataset.labels)
    bar: tqdm[None] = tqdm(
        total=number * classes, desc=model.id, unit="latent", file=sys.stderr, disable=None
    )

    def progress(done: int, total: int) -> None:
        bar.update(done - bar.n)

    with bar:
        draws = draw_labelled(
            generator,
            labeller,
            number,
            classes=classes,
            confidence=confidence,
            seed=seed,
            progress=progress,
        )
    draws.latent_set(generator, dataset.labels, model.license).save(path)
    counts = ", ".join(f"{name} {count}" for name, count in zip(dataset.labels, draws.sure, strict=True))
    note(
        f"of {draws.drawn} draws the labeller is sure of {sum(draws.sure) / draws.drawn:.1%} ({counts}); "
        f"the commonest class is {draws.skew:.1f} times as frequent as the rarest"
    )
    if as_json:
        content = {
            "model": model.id,
            "seed": seed,
            "labeller": dataset.id,
            "confidence": confidence,
            "items": len(draws.labels),
            "drawn": draws.drawn,
            "read": dict(zip(dataset.labels, draws.read, strict=True)),
            "sure": dict(zip(dataset.labels, draws.sure, strict=True)),
            "outputs": [str(path)],
        }
        print_json("sample", content)
    else:
        print_ids([str(path)])


def _check_data(model: ModelSpec, dataset: DatasetSpec) -> None:
    """Refuses a labeller of other data than the model's."""
    ours, theirs = ((d.modality, d.shape, d.sample_rate) for d in (model.data, dataset.data))
    if ours != theirs:
        raise UsageError(
            f"the labeller of {dataset.id} reads other data than {model.id} gives",
            hint="use a data set of the model's own kind of data",
        )
