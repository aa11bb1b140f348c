"""``ltzoo download``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from ltzoo.cli.base import Command, json_option, quiet_option
from ltzoo.cli.output import note, print_ids, print_json
from ltzoo.cli.params import BRIDGE
from ltzoo.cli.references import offline_option, pin


@click.command(cls=Command)
@click.argument("references", nargs=-1, required=True, type=BRIDGE, metavar="REF...")
@offline_option
@json_option
@quiet_option
def download(references: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Download bridges and models into the cache, check them, and print where they are.

    REF is a bridge (an id of 'ltzoo bridges', hf:org/repo, hf:org/repo@commit, local:PATH) or a model of an
    installed plugin (mnist/vae). What is in the cache is checked and not downloaded again; 'translate' and the
    others download what they need by themselves.
    """
    found = [_model(reference) if _is_model(reference) else _bridge(reference) for reference in references]
    if as_json:
        print_json("download", {"downloads": found})
    elif quiet:
        print_ids(one["reference"] for one in found)
    else:
        print_ids(folder for one in found for folder in one["folders"])


def _is_model(reference: str) -> bool:
    """A model's id has a slash, or the colon of a family; a bridge's has neither, or a prefix of its own."""
    return bool(re.search(r"[/:]", reference)) and not reference.startswith(("hf:", "local:"))


def _bridge(reference: str) -> dict[str, Any]:
    from ltzoo.bridge.config import read_config
    from ltzoo.bridge.files import bridge_files

    pinned = pin(reference)
    paths = bridge_files(pinned)
    config = read_config(paths[0].read_bytes(), where=str(paths[0]))
    models = [end.spec.id for end in config.models]
    for text in _missing(models):
        note(f"{reference}: {text}")
    return {
        "reference": pinned,
        "kind": "bridge",
        "models": models,
        "folders": [str(paths[0].parent)],
        "files": [path.name for path in paths],
        "bytes": sum(path.stat().st_size for path in paths),
    }


def _model(reference: str) -> dict[str, Any]:
    from ltzoo.hub import resolve_file
    from ltzoo.zoo import get_model

    spec = get_model(reference)
    paths = [resolve_file(spec.source, file.name) for file in spec.source.files]
    return {
        "reference": spec.id,
        "kind": "model",
        "models": [spec.id],
        "folders": sorted(
            {str(_root(path, file.name)) for path, file in zip(paths, spec.source.files, strict=True)}
        ),
        "files": [file.name for file in spec.source.files],
        "bytes": sum(path.stat().st_size for path in paths),
    }


def _root(path: Path, name: str) -> Path:
    """The folder that a file's name is relative to."""
    return path.parents[name.count("/")]


def _missing(models: list[str]) -> list[str]:
    """What to install before a bridge can be used: a line a plugin that is known, or one for those that are not."""
    from ltzoo.zoo import default_zoo

    zoo = default_zoo()
    lines = []
    for namespace in dict.fromkeys(re.split(r"[/:]", model, maxsplit=1)[0] for model in models):
        if zoo.host.info(namespace) is not None:
            continue
        package = zoo.package_of(namespace)
        lines.append(
            f"the plugin of {namespace} is not installed; try: ltzoo install {package}"
            if package
            else f"the plugin of {namespace} is not installed, and no registry knows its package"
        )
    return lines
