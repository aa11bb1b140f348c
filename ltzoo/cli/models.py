"""``ltzoo models``."""

from __future__ import annotations

from typing import Any

import click

from ltzoo.cli.base import NounGroup, json_option, quiet_option
from ltzoo.cli.output import print_ids, print_json, print_table
from ltzoo.cli.params import MODEL
from ltzoo.cli.references import offline_option
from ltzoo.spec import ModelSpec, format_shape


@click.group(cls=NounGroup)
def models() -> None:
    """List the models that the installed plugins serve, or show one."""


@models.command("list")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option(
    "--modality", type=click.Choice(["image", "audio", "text", "array"]), help="Only models of this kind."
)
@click.option("--plugin", metavar="NAME", help="Only models of this plugin.")
@json_option
@quiet_option
def list_(patterns: tuple[str, ...], modality: Any, plugin: str | None, as_json: bool, quiet: bool) -> None:
    """List the models; PATTERN may hold wildcards, as in '*/vae'."""
    from ltzoo.zoo import default_zoo

    zoo = default_zoo()
    specs = [zoo.models[id] for id in zoo.list_models(patterns or "*", modality=modality, plugin=plugin)]
    if as_json:
        print_json("models", {"models": [describe(spec) for spec in specs]})
    elif quiet:
        print_ids(spec.id for spec in specs)
    else:
        rows = [
            (
                spec.id,
                spec.data.modality,
                format_shape(spec.data.shape),
                format_shape(spec.latent.shape),
                ", ".join(sorted(spec.capabilities)),
                spec.license,
                spec.title,
            )
            for spec in specs
        ]
        print_table(("MODEL", "KIND", "DATA", "LATENT", "CAN", "LICENSE", "TITLE"), rows)


@models.command()
@click.argument("model", type=MODEL)
@offline_option
@json_option
def show(model: ModelSpec, as_json: bool) -> None:
    """Show what is known of one MODEL without loading it."""
    from ltzoo.zoo import default_zoo

    zoo = default_zoo()
    dataset, info = zoo.dataset_of(model.id), zoo.host.info(model.namespace)
    if as_json:
        print_json("model", {"model": describe(model), "dataset": dataset.to_dict() if dataset else None})
        return
    data = model.data
    facts = [
        ("model", model.id),
        ("title", model.title),
        ("plugin", f"{info.distribution} {info.version}" if info else "-"),
        (
            "data",
            f"{data.modality} {format_shape(data.shape)}"
            + (f" at {data.sample_rate} Hz" if data.sample_rate else ""),
        ),
        ("other sizes", f"padded to multiples of {data.multiple}" if data.multiple > 1 else data.fit),
        ("latent", f"{model.latent.kind} {format_shape(model.latent.shape)}"),
        ("posterior", "mean and standard deviation" if model.latent.stochastic else "-"),
        ("can", ", ".join(sorted(model.capabilities))),
        ("labels", ", ".join(model.labels) or "-"),
        ("license", model.license),
        (
            "weights",
            ", ".join(f"{file.name} (sha256 {file.sha256[:12]}…)" for file in model.source.files) or "-",
        ),
        ("fingerprint", model.fingerprint),
        (
            "round trip",
            f"mean squared error below {model.reconstruction_mse}" if model.reconstruction_mse else "-",
        ),
        ("data set", f"{dataset.id}: {dataset.title}" if dataset else "-"),
    ]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name.ljust(width)}  {value}")


def describe(spec: ModelSpec) -> dict[str, Any]:
    """The spec as JSON, with what is derived from it."""
    return {**spec.to_dict(), "plugin": spec.namespace, "fingerprint": spec.fingerprint}
