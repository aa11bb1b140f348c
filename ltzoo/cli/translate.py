"""``ltzoo translate``: the main job."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.inversion import check_encodes, inversion_content, invert_option, note_errors
from ltzoo.cli.items import (
    device_option,
    output_option,
    plan_outputs,
    read_groups,
    sheet_option,
    write_items,
    write_sheet,
)
from ltzoo.cli.output import note, one_line, print_ids, print_json
from ltzoo.cli.params import BRIDGE, MODEL
from ltzoo.cli.references import offline_option, pin
from ltzoo.errors import CapabilityError, UsageError
from ltzoo.routes import Route
from ltzoo.spec import ModelSpec
from ltzoo.zoo import find_route, load_model

if TYPE_CHECKING:
    from torch import Tensor

NAMED = 5
"""Inputs that a warning names."""

SHORT = 80
"""Characters of a name that it shows."""


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--from", "source", type=MODEL, required=True, help="The model that understands the input.")
@click.option("--to", "target", type=MODEL, required=True, help="The model that makes the output.")
@click.option(
    "--bridge",
    "bridges",
    type=BRIDGE,
    multiple=True,
    metavar="REF",
    help="The bridge to use, or several in turn, each with a --bridge of its own; by default the best "
    "published one, or where there is none the best way through several.",
)
@output_option
@sheet_option
@click.option("--sample", is_flag=True, help="Draw the shared latent rather than take its mean.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of --sample, and of --invert.")
@invert_option
@device_option
@offline_option
@json_option
def translate(
    inputs: tuple[str, ...],
    source: ModelSpec,
    target: ModelSpec,
    bridges: tuple[str, ...],
    output: str | None,
    sheet: str | None,
    sample: bool,
    seed: int | None,
    invert: bool,
    device: str,
    as_json: bool,
) -> None:
    """Translate INPUT, data of one model, into data of another, and print the paths written.

    INPUT is a file (for text models also the text itself), or - for stdin. With several inputs, OUTPUT
    is a folder. --bridge takes an id of 'ltzoo bridges', local:PATH, hf:org/repo, or
    hf:org/repo@commit.
    """
    check_encodes(source, invert=invert, purpose=", so it cannot be translated from")
    if not target.can("decode"):
        raise CapabilityError(
            f"{target.id} cannot decode, so it cannot be translated to", hint="ltzoo models"
        )
    if seed is not None and not (sample or invert):
        raise UsageError("--seed goes with --sample: without it nothing is random", hint="add --sample")
    paths = plan_outputs(inputs, output, sheet, target)
    if not bridges:
        # A route that is not there is said at once: reading inputs and importing torch takes seconds.
        find_route(source.id, target.id)
    groups = read_groups(inputs, source)
    bridges = tuple(pin(reference) for reference in bridges)

    import torch

    from ltzoo.bridge import load_chain
    from ltzoo.bridge.novelty import UNUSUAL
    from ltzoo.latents import Inversion, InversionErrors
    from ltzoo.media.padding import cut_back

    chain = load_chain(source.id, target.id, bridges=bridges, device=device)
    chain.check_models([source, target])
    route = chain.route
    if len(route.hops) > 1:
        note(_described(route))
    extra: dict[str, Any] = {}
    # Outside the block, where weights that are loaded could never have a part in a gradient.
    inversion = Inversion(load_model(source, device=device), seed=seed or 0) if invert else None
    latents: list[Tensor] = []
    if inversion is not None:
        latents = [inversion.encode(items) for _, items in groups]
        # One group: what can be inverted has one size.
        errors = InversionErrors.joined(
            [inversion.errors(z, items) for z, (_, items) in zip(latents, groups, strict=True)]
        )
        note_errors(errors, inputs.__getitem__)
        extra = inversion_content(errors, seed or 0)
    taken: dict[int, Tensor | str] = {}
    made: dict[int, Tensor] = {}
    strangeness: dict[int, float] = {}
    with torch.inference_mode():
        decoder = load_model(target, device=device)
        if inversion is None:
            encoder = load_model(source, device=device)
            latents = [encoder.encode(items) for _, items in groups]
        for z, (rows, items) in zip(latents, groups, strict=True):
            translated = chain.translate(
                z, source=source.id, target=target.id, sample=sample, seed=seed if sample else None
            )
            results = cut_back(decoder.decode(translated), items, source.data, target.data)
            taken.update(zip(rows, items, strict=True))
            made.update(zip(rows, results, strict=True))
            strangeness.update(zip(rows, chain.novelty(z, source=source.id).tolist(), strict=True))
    order = range(len(inputs))
    novelty = [round(strangeness[row], 4) for row in order]
    unlike = [name for name, value in zip(inputs, novelty, strict=True) if value > UNUSUAL]
    if unlike:
        note(_warned(unlike, source))
    written = write_items([made[row] for row in order], paths, target)
    if sheet is not None:
        shown = [([taken[row] for row in order], source), ([made[row] for row in order], target)]
        written.append(write_sheet(Path(sheet), shown))
    if as_json:
        print_json(
            "translate",
            {
                "source": source.id,
                "target": target.id,
                "bridge": route.bridges[0] if len(route.hops) == 1 else None,
                "route": [asdict(hop) for hop in route.hops],
                "expected_accuracy": route.expected_accuracy,
                "sample": sample,
                "seed": seed,
                "inputs": list(inputs),
                "novelty": novelty,
                "outputs": written,
                **extra,
            },
        )
    elif output != "-":
        print_ids(written)


def _warned(names: list[str], source: ModelSpec) -> str:
    """What to make of inputs past the usual."""
    shown = ", ".join(_short(one_line(name)) for name in names[:NAMED]) + (
        f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    )
    return (
        f"warning: {shown}: farther from what the bridge was trained on than 99 % of held-out latents of "
        f"{source.id}, so the translation may mean nothing; does it look like the data of {source.id} "
        f"(ltzoo models show {source.id})?"
    )


def _short(name: str) -> str:
    """The beginning and the end of a long name: a path says at its end which file it is."""
    return name if len(name) <= SHORT else f"{name[:30]}...{name[-(SHORT - 33) :]}"


def _described(route: Route) -> str:
    """The route in one line: its models, its bridges, and how good it may be expected to be."""
    way = f"route: {route} through {', '.join(route.bridges)}"
    expected = route.expected_accuracy
    if expected is None:
        unknown = ", ".join(hop.bridge for hop in route.hops if hop.accuracy is None)
        return f"{way}; no accuracy to expect: not measured in this direction: {unknown}"
    factors = " x ".join(f"{hop.accuracy:.3f}" for hop in route.hops)
    return f"{way}; expected accuracy {expected:.3f} = {factors}, an estimate that takes their errors for independent"
