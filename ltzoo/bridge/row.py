"""A bridge's row in a registry, made from its folder: nothing in it is written by hand. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ltzoo.bridge.config import read_config
from ltzoo.errors import BridgeError, PluginMissingError, SpecError
from ltzoo.files import replacing
from ltzoo.hub import file_sha256
from ltzoo.references import HubReference
from ltzoo.registry import BRIDGE_FILES, NEEDED_FILES, BridgeRow, MetricRow, Registry
from ltzoo.spec import FileSpec, ModelSpec

if TYPE_CHECKING:
    from tomlkit.items import Table

__all__ = ["ROW_METRICS", "make_row", "requirement_of", "row_text", "write_row"]

ROW_METRICS = (
    "transfer_accuracy",
    "transfer_accuracy_share",
    "class_fid",
    "clean_class_fid",
    "spread",
    "neighbourhood_overlap",
    "cycle_accuracy",
    "cycle_r2",
    "noisy_cycle_r2",
)
"""The figures that a row carries; the bridge's own config has them all."""

DIGITS = 6


def make_row(
    folder: Path,
    *,
    id: str,
    license: str,
    requirement: Callable[[ModelSpec], str],
    place: Path | HubReference,
) -> BridgeRow:
    """The row of a bridge that lies beside a registry file, or on the Hub.

    Args:
        folder: The bridge's folder: below the registry file's, or with the files that are on the Hub.
        id: What the registry calls it.
        license: Licence of the bridge's weights.
        requirement: Gives the requirement of the package that serves a model.
        place: The registry file, or the repository at a full commit.

    Raises:
        BridgeError: The folder is no bridge, does not lie below the registry file's, or has no command or
            figures to show.
        SpecError: Its config is not valid.
    """
    paths = [path for name in BRIDGE_FILES if (path := folder / name).exists() or name in NEEDED_FILES]
    try:
        config = read_config(paths[0].read_bytes(), where=str(paths[0]))
        files = tuple(FileSpec(name=path.name, sha256=file_sha256(path)) for path in paths)
        size = sum(path.stat().st_size for path in paths)
    except OSError as error:
        raise BridgeError(f"{folder}: no bridge there: {error.strerror or error}") from error
    where: dict[str, str | None]
    if isinstance(place, Path):
        root = place.resolve().parent
        if not folder.resolve().is_relative_to(root):
            raise BridgeError(f"{folder}: does not lie below {root}, the registry's folder")
        where = {"path": Path(os.path.relpath(folder.resolve(), root)).as_posix()}
    else:
        where = {"repo": place.repo, "revision": place.revision}
    runs = (config.trained, *config.extended)
    training = [run.command for run in runs if run.command is not None]
    if len(training) < len(runs):
        raise BridgeError(f"{folder}: its config does not say which command trained it")
    commands = {metric.command for metric in config.metrics if metric.command}
    if len(commands) != 1:
        raise BridgeError(
            f"{folder}: has no figures of one evaluation", hint=f"ltzoo eval local:{folder} --write"
        )
    return BridgeRow(
        id=id,
        models=tuple(end.spec.id for end in config.models),
        files=files,
        size=size,
        license=license,
        plugins=tuple(sorted({requirement(end.spec) for end in config.models})),
        command=" && ".join(training),
        recipe=config.recipe.name,
        date=runs[-1].date,
        metrics=tuple(
            MetricRow(
                name=metric.name,
                source=metric.source,
                target=metric.target,
                value=float(f"{metric.value:.{DIGITS}g}"),
                std=None if metric.std is None else float(f"{metric.std:.{DIGITS}g}"),
            )
            for metric in config.metrics
            if metric.name in ROW_METRICS
        ),
        metrics_command=commands.pop(),
        **where,
    )


def requirement_of(model: ModelSpec) -> str:
    """The requirement of the installed package that serves a model.

    Raises:
        PluginMissingError: It is not installed.
    """
    from ltzoo.zoo import default_zoo

    info = default_zoo().host.info(model.namespace)
    if info is None:
        raise PluginMissingError(f"the plugin of {model.id} is not installed", hint="ltzoo plugins")
    return f"{info.distribution}>={info.version}"


def row_text(row: BridgeRow) -> str:
    """The row as it stands in a registry file."""
    import tomlkit

    document = tomlkit.document()
    bridges = tomlkit.aot()
    bridges.append(_table(row))
    document.append("bridges", bridges)
    return tomlkit.dumps(document)


def write_row(row: BridgeRow, registry: Path) -> None:
    """Puts the row into a registry file, in place of one of the same id; the rest stays as it is, comments too.

    Raises:
        SpecError: The file cannot be read, or would not be a valid registry.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(registry.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise SpecError(f"registry {registry}: cannot be read: {error}") from error
    bridges = document.setdefault("bridges", tomlkit.aot())
    index = next((i for i, old in enumerate(bridges) if old.get("id") == row.id), None)
    if index is None:
        bridges.append(_table(row))
    else:
        bridges[index] = _table(row)
    text = tomlkit.dumps(document)
    Registry.from_dict(tomlkit.parse(text).unwrap(), where=f"registry {registry}")
    with replacing(registry) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _table(row: BridgeRow) -> Table:
    """A table with one file and one figure a line."""
    import tomlkit

    table = tomlkit.table()
    for name, value in row.to_dict().items():
        if name not in ("files", "metrics"):
            table.add(name, value)
            continue
        lines = tomlkit.array()
        for part in value:
            inline = tomlkit.inline_table()
            inline.update(part)
            lines.append(inline)
        table.add(name, lines.multiline(True))
    table.add(tomlkit.nl())
    return table
