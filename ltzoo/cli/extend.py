"""``ltzoo bridges extend``."""

from __future__ import annotations

from pathlib import Path

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option
from ltzoo.cli.output import note, progress_wanted
from ltzoo.cli.params import BRIDGE, MODEL
from ltzoo.cli.references import offline_option, pin
from ltzoo.cli.train import joined_name, load_latents, parse_data
from ltzoo.cli.training import (
    check_new,
    command_line,
    keep_bridge,
    latents_plan,
    print_plan,
    print_trained,
    resumable,
    run_options,
    seed_option,
)
from ltzoo.distributed import World
from ltzoo.errors import UsageError
from ltzoo.spec import ModelSpec


@click.command(cls=Command)
@click.argument("bridge", type=BRIDGE)
@click.argument("model", type=MODEL)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the extended bridge; named after its models by default.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="MODEL=FILE",
    help="Latent set of a model, old or new; what its plugin ships by default.",
)
@click.option(
    "--labels",
    default="auto",
    show_default=True,
    metavar="auto|FILE",
    help="Which labels of MODEL mean the bridge's classes.",
)
@seed_option
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    help="As stored; float16 by default if BRIDGE is stored so.",
)
@run_options
@device_option
@offline_option
@json_option
def extend(
    bridge: str,
    model: ModelSpec,
    output: Path | None,
    data: tuple[str, ...],
    labels: str,
    seed: int,
    dtype: str | None,
    overwrite: bool,
    no_resume: bool,
    dry_run: bool,
    device: str,
    as_json: bool,
) -> None:
    """Add MODEL to a copy of BRIDGE, and print the copy's folder.

    BRIDGE is an id of 'ltzoo bridges', local:PATH, hf:org/repo, or hf:org/repo@commit; it is left as it is. Only the new
    model's layers are trained, with the bridge's recipe, on latents of all its models: translations between the
    others stay the same to the last bit. A run that was interrupted goes on where it was when the same command is
    given again.
    """
    if World.from_environment().size > 1:
        raise UsageError("a bridge is extended by one process", hint="leave torchrun out")

    from ltzoo.bridge import extend_bridge, load_bridge
    from ltzoo.bridge.extension import fits_half_precision
    from ltzoo.bridge.files import bridge_folder

    bridge = pin(bridge)
    old = load_bridge(bridge)
    if model.id in old.models:
        raise UsageError(f"{bridge} joins {model.id} already", hint=f"it joins {', '.join(old.models)}")
    models = (*(end.spec for end in old.config.models), model)
    folder = output or Path(joined_name(models))
    if folder.exists() and folder.resolve() == bridge_folder(bridge).resolve():
        raise UsageError(f"{folder} is the bridge itself, which is left as it is", hint="give -o ANOTHER")
    check_new(folder, overwrite=overwrite)
    halves = fits_half_precision(old.network)
    if dtype == "float16" and not halves:
        raise UsageError(
            f"{bridge} is stored as float32: as float16 its translations would change", hint="--dtype float32"
        )
    stored = dtype or ("float16" if halves else "float32")
    given = parse_data(data, models)
    sets = [load_latents(each, given) for each in models]
    plan = {
        "bridge": bridge,
        "model": model.id,
        "models": [each.id for each in models],
        "recipe": old.config.recipe.to_dict(),
        "latents": latents_plan(sets),
        "labels": labels,
        "seed": seed,
        "device": device,
        "dtype": stored,
        "output": str(folder),
    }
    if dry_run:
        print_plan("extend", plan, as_json=as_json)
        return
    with resumable(folder) as checkpoint:
        extended, report = extend_bridge(
            old,
            sets,
            model=model,
            seed=seed,
            device=device,
            labels=labels,
            checkpoint=checkpoint,
            resume=not no_resume,
            progress=progress_wanted(),
            command=command_line(),
        )
    for text in report.notes:
        note(text)
    keep_bridge(extended, report, folder, checkpoint, stored)
    print_trained("extend", plan, report, folder, as_json=as_json)
