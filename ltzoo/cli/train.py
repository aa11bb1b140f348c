"""``ltzoo train``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.items import device_option
from ltzoo.cli.output import note, progress_wanted
from ltzoo.cli.params import MODEL
from ltzoo.cli.references import offline_option
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
from ltzoo.distributed import process_group
from ltzoo.errors import TrainingError, UsageError
from ltzoo.spec import ModelSpec

if TYPE_CHECKING:
    from ltzoo.bridge.pairs import PairLimit
    from ltzoo.latents import LatentSet


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from ltzoo.bridge.recipe import list_recipes

    return [CompletionItem(name) for name in list_recipes() if name.startswith(incomplete)]


@click.command(cls=Command)
@click.argument("models", nargs=-1, required=True, type=MODEL, metavar="MODEL MODEL...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the bridge; named after the models by default.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="MODEL=FILE",
    help="Latent set of a model; what its plugin ships by default.",
)
@click.option(
    "--recipe", default="default", show_default=True, metavar="NAME|FILE", shell_complete=complete_recipe
)
@click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Replace a field of the recipe."
)
@click.option(
    "--labels", default="auto", show_default=True, metavar="auto|none|FILE", help="How labels correspond."
)
@click.option(
    "--labels-per-class",
    type=click.IntRange(min=1),
    metavar="N",
    help="Forget all labels but N of each class, to see what few labels are worth.",
)
@click.option(
    "--pairs",
    default="auto",
    show_default=True,
    metavar="auto|none|N",
    help="Use latents known to be of the same item: all, none, or N items, to see what few are worth.",
)
@seed_option
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="As stored.",
)
@run_options
@device_option
@offline_option
@json_option
def train(
    models: tuple[ModelSpec, ...],
    output: Path | None,
    data: tuple[str, ...],
    recipe: str,
    overrides: tuple[str, ...],
    labels: str,
    labels_per_class: int | None,
    pairs: str,
    seed: int,
    dtype: str,
    overwrite: bool,
    no_resume: bool,
    dry_run: bool,
    device: str,
    as_json: bool,
) -> None:
    """Train a bridge between two or more models on their latents alone, and print its folder.

    Models whose plugins ship latents need no data. Labels of equal names are taken to mean the same
    class; --labels FILE maps them by a TOML file with a table a model, label = "class". Latents of the same
    item are found by their pair keys, and used by the recipes default, ridge and procrustes. A run that was
    interrupted goes on where it was when the same command is given again. Started by torchrun or accelerate
    launch, as in 'torchrun --nproc-per-node 2 -m ltzoo train ...', several processes share the work.
    """
    check_models(models)
    folder = output or Path(joined_name(models))
    check_new(folder, overwrite=overwrite)

    from ltzoo.bridge import get_recipe, train_bridge

    limit = parse_pairs(pairs)
    chosen = get_recipe(recipe, **parse_overrides(overrides))
    given = parse_data(data, models)
    sets = [load_latents(model, given) for model in models]
    plan = {
        "models": [model.id for model in models],
        "recipe": chosen.to_dict(),
        "latents": latents_plan(sets),
        "labels": labels,
        "labels_per_class": labels_per_class,
        "pairs": limit,
        "seed": seed,
        "device": device,
        "output": str(folder),
    }
    if dry_run:
        print_plan("train", plan, as_json=as_json)
        return
    with process_group() as world, resumable(folder) as checkpoint:
        bridge, report = train_bridge(
            sets,
            models=models,
            recipe=chosen,
            seed=seed,
            device=device,
            labels=labels,
            labels_per_class=labels_per_class,
            pairs=limit,
            checkpoint=checkpoint,
            resume=not no_resume,
            progress=progress_wanted(),
            command=command_line(),
            world=world,
        )
        for text in report.notes:
            note(text)
        if world.is_main:
            keep_bridge(bridge, report, folder, checkpoint, dtype)
    print_trained("train", plan, report, folder, as_json=as_json)


def check_models(models: tuple[ModelSpec, ...]) -> None:
    """Refuses what cannot be joined: fewer than two models, or one twice."""
    if len(models) < 2 or len({model.id for model in models}) < len(models):
        raise UsageError("a bridge joins two or more different models", hint="ltzoo models")


def joined_name(models: tuple[ModelSpec, ...]) -> str:
    """A file name made of the models' ids."""
    return "--".join(_short_name(model.id) for model in models)


def _short_name(id: str) -> str:
    """A model's id as a part of a file name: without commits and the folders above a path's last."""
    place = re.sub(r"@[0-9a-f]{40}", "", re.sub(r":local:.*/", ":", id))
    return re.sub(r"[^\w.-]+", "-", place).strip("-.")[:80]


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, Any]:
    """``FIELD=VALUE`` pairs; values are TOML, and words need no quotes."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {pair}: not FIELD=VALUE", hint="--set steps=500")
        try:
            found[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = text
    return found


def parse_pairs(text: str) -> PairLimit:
    """``auto``, ``none`` or a number."""
    if text == "auto":
        return "auto"
    if text == "none":
        return "none"
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--pairs {text}: not auto, none or a number", hint="--pairs 200") from None


def parse_data(pairs: tuple[str, ...], models: tuple[ModelSpec, ...]) -> dict[str, Path]:
    """``MODEL=FILE`` pairs."""
    from ltzoo.zoo import get_model

    found: dict[str, Path] = {}
    known = {model.id for model in models}
    for pair in pairs:
        # A reference that is a path may hold a sign of equality itself.
        name = max((id for id in known if pair.startswith(f"{id}=")), key=len, default=None)
        path = pair.removeprefix(f"{name}=")
        if name is None:
            typed, equals, path = pair.partition("=")
            # As the models may be given, so may they be here: at a branch, or with a relative path.
            name = get_model(typed).id if equals and ":" in typed else None
        if name is None or name not in known:
            raise UsageError(
                f"--data {pair}: not MODEL=FILE with one of the models", hint=f"models: {', '.join(known)}"
            )
        found[name] = Path(path).expanduser()
    return found


def load_latents(model: ModelSpec, given: dict[str, Path]) -> LatentSet:
    """The given latent set of a model, or the one that its plugin ships.

    Raises:
        TrainingError: There is neither.
    """
    from ltzoo.hub import resolve_file
    from ltzoo.latents import LatentSet
    from ltzoo.zoo import dataset_of

    if path := given.get(model.id):
        return LatentSet.load(path, model=model)
    dataset = dataset_of(model.id)
    file = dataset.latents_of(model.id) if dataset else None
    if dataset is None or file is None:
        raise TrainingError(
            f"no installed plugin ships latents of {model.id}",
            hint=f"ltzoo encode {model.id} DATA -o latents.safetensors, then --data {model.id}=latents.safetensors",
        )
    return LatentSet.load(resolve_file(dataset.source, file.file.name), model=model)
