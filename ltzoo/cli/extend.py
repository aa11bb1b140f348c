"""``ltzoo bridges extend``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option
from ltzoo.cli.output import note, print_ids, print_json
from ltzoo.cli.params import BRIDGE, MODEL
from ltzoo.cli.train import joined_name, load_latents, parse_data
from ltzoo.errors import UsageError
from ltzoo.spec import ModelSpec, format_shape


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
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    help="As stored; float16 by default if BRIDGE is stored so.",
)
@click.option("--overwrite", is_flag=True, help="Replace a bridge that is already at OUTPUT.")
@click.option("--no-resume", is_flag=True, help="Start anew even if a checkpoint is there.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
@device_option
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

    BRIDGE is an id of 'ltzoo bridges', local:PATH, or hf:org/repo@commit; it is left as it is. Only the new
    model's layers are trained, with the bridge's recipe, on latents of all its models: translations between the
    others stay the same to the last bit. A run that was interrupted goes on where it was when the same command is
    given again.
    """
    import torch

    from ltzoo.bridge import extend_bridge, load_bridge
    from ltzoo.bridge.extension import fits_half_precision
    from ltzoo.hub import bridge_folder
    from ltzoo.zoo import default_zoo

    old = load_bridge(bridge)
    if model.id in old.models:
        raise UsageError(f"{bridge} joins {model.id} already", hint=f"it joins {', '.join(old.models)}")
    models = (*(end.spec for end in old.config.models), model)
    folder = output or Path(joined_name(models))
    if folder.exists() and folder.resolve() == bridge_folder(bridge).resolve():
        raise UsageError(f"{folder} is the bridge itself, which is left as it is", hint="give -o ANOTHER")
    if folder.exists() and not overwrite:
        raise UsageError(f"{folder} exists already", hint="give -o ANOTHER, or --overwrite")
    halves = fits_half_precision(old.network)
    if dtype == "float16" and not halves:
        raise UsageError(
            f"{bridge} is stored as float32: as float16 its translations would change", hint="--dtype float32"
        )
    given = parse_data(data, models)
    sets = [load_latents(each, given) for each in models]
    checkpoint = folder.with_name(f"{folder.name}.checkpoint.safetensors")
    plan = {
        "bridge": bridge,
        "model": model.id,
        "models": [each.id for each in models],
        "recipe": old.config.recipe.to_dict(),
        "latents": {
            s.model: {
                "training": len(s.part("train") if s.split is not None else s),
                "shape": format_shape(tuple(s.latents.shape[1:])),
            }
            for s in sets
        },
        "labels": labels,
        "seed": seed,
        "device": device,
        "dtype": dtype or ("float16" if halves else "float32"),
        "output": str(folder),
    }
    if dry_run:
        if as_json:
            print_json("extend-plan", plan)
        else:
            for name, value in plan.items():
                click.echo(f"{name.ljust(8)}  {value}")
        return
    try:
        extended, report = extend_bridge(
            old,
            sets,
            model=model,
            seed=seed,
            device=device,
            labels=labels,
            checkpoint=checkpoint,
            resume=not no_resume,
            progress=sys.stderr.isatty(),
            command=shlex.join(["ltzoo", *sys.argv[1:]]),
        )
    except KeyboardInterrupt:
        note(f"the checkpoint is {checkpoint}; give the same command again to go on")
        raise
    for text in report.notes:
        note(text)
    for _ in default_zoo().host.call("bridge_trained", bridge=extended, report=report):
        pass
    extended.save_pretrained(folder, dtype=getattr(torch, str(plan["dtype"])))
    checkpoint.unlink(missing_ok=True)
    if as_json:
        print_json("extend", {**plan, "report": report.to_dict()})
        return
    for row in report.held_out:
        note(
            f"{row.model}: {row.items} held-out latents, reconstruction R² {row.reconstruction_r2:.3f}"
            + (
                ""
                if row.classifier_accuracy is None
                else f", class read from z′: {row.classifier_accuracy:.3f}"
            )
        )
    note(f"{report.steps} steps in {report.seconds:.0f} s; use it with --bridge local:{folder}")
    print_ids([str(folder)])
