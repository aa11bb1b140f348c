"""What the commands that handle data share: inputs to batches, batches to outputs, and their options."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltzoo.cli.output import note
from ltzoo.errors import MediaError, UsageError
from ltzoo.files import replaceable
from ltzoo.settings import setting
from ltzoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from ltzoo.bridge import Bridge
    from ltzoo.model import Data

__all__ = [
    "device_option",
    "load_bridge_between",
    "output_option",
    "plan_outputs",
    "read_groups",
    "read_items",
    "report_option",
    "sheet_option",
    "write_items",
    "write_sheet",
]

output_option = click.option(
    "-o", "--output", metavar="PATH", help="File to write, or a folder for several; - for stdout."
)
sheet_option = click.option(
    "--sheet", metavar="FILE", help="Write one picture of everything, each result below its input."
)
device_option = click.option(
    "--device",
    default=lambda: setting("device"),
    show_default="cpu",
    metavar="NAME",
    help="cpu, cuda, cuda:1, mps.",
)


def _report_path(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """Checks the path before hours are spent on what would be written there."""
    if value is None:
        return None
    path = Path(value).expanduser()
    if path.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"'{value}' does not end in .html", context, parameter)
    try:
        replaceable(path)
    except OSError as error:
        raise click.BadParameter(
            f"'{value}' cannot be written: {error.strerror or error}", context, parameter
        ) from error
    return path


report_option = click.option(
    "--report",
    metavar="FILE.html",
    callback=_report_path,
    help="Write a page with pictures and charts; it needs no network.",
)


def plan_outputs(names: Sequence[str], output: str | None, sheet: str | None, target: ModelSpec) -> list[str]:
    """Where each result goes; decided, and as far as possible checked, before anything is computed.

    Args:
        names: What the results are named after.
        output: The ``--output`` option.
        sheet: The ``--sheet`` option.
        target: The model whose data is written.

    Returns:
        One path a name; empty if only a sheet is wanted.

    Raises:
        UsageError: Neither output nor sheet is given.
        MediaError: A folder is missing, or a file stands where a folder must be.
    """
    if output is None:
        if sheet is None:
            raise UsageError("nowhere to write to", hint="give -o FILE, -o FOLDER or --sheet FILE")
        return []
    if output == "-":
        if len(names) > 1:
            raise UsageError("one result fits on stdout, not several", hint="give -o FOLDER")
        return ["-"]
    from ltzoo.media import check_suffix, suffixes_of

    folder = Path(output).expanduser()
    if len(names) == 1 and not folder.is_dir() and not output.endswith(("/", os.sep)):
        check_suffix(folder, target.data)
        try:
            replaceable(folder)
        except OSError as error:
            raise MediaError(f"{output}: cannot be written: {error.strerror or error}") from error
        return [str(folder)]
    if folder.exists() and not folder.is_dir():
        raise MediaError(f"{output}: is a file, but several results need a folder", hint="give -o FOLDER")
    if not folder.parent.is_dir():
        raise MediaError(
            f"{output}: the folder {folder.parent} does not exist", hint=f"mkdir -p {folder.parent}"
        )
    stems: list[str] = []
    for name in names:
        stem = re.sub(r"[^\w.-]+", "-", Path(name).stem).strip("-.")[:60] or "stdin"
        stems.append(stem if stem not in stems else f"{stem}-{len(stems)}")
    return [str(folder / f"{stem}{suffixes_of(target.data.modality)[0]}") for stem in stems]


def read_groups(inputs: Sequence[str], model: ModelSpec) -> list[tuple[list[int], Data]]:
    """Reads all inputs as data of a model, as one batch for each size.

    Says on stderr what was converted.

    Returns:
        Which of the inputs a batch holds, and the batch; in order of their first inputs.

    Raises:
        MediaError: An input cannot be read or converted.
    """
    from ltzoo.media import read_media

    if model.data.modality == "text":
        return [(list(range(len(inputs))), [_read_text(name, model) for name in inputs])]
    import torch

    groups: dict[torch.Size, tuple[list[int], list[Tensor]]] = {}
    for row, name in enumerate(inputs):
        with _as_file(name) as path:
            item, notes = read_media(path, model.data, model=model.id)
        for text in notes:
            note(text)
        assert not isinstance(item, str)
        rows, items = groups.setdefault(item.shape, ([], []))
        rows.append(row)
        items.append(item)
    return [(rows, torch.stack(items)) for rows, items in groups.values()]


def read_items(inputs: Sequence[str], model: ModelSpec) -> Data:
    """Reads all inputs as data of a model, as one batch.

    Says on stderr what was converted.

    Raises:
        MediaError: An input cannot be read or converted, or inputs of varying size differ in size.
    """
    groups = read_groups(inputs, model)
    if len(groups) > 1:
        raise MediaError(
            f"{inputs[groups[1][0][0]]}: has another size than {inputs[0]}, and this takes one size at a time",
            hint="bring them to one size first",
        )
    return groups[0][1]


def write_items(results: Sequence[Tensor] | Tensor, paths: Sequence[str], model: ModelSpec) -> list[str]:
    """Writes one file a result; gives the paths."""
    from ltzoo.media import encode_media, suffixes_of, write_media

    if paths == ["-"]:
        sys.stdout.buffer.write(encode_media(results[0], model.data, suffixes_of(model.data.modality)[0]))
        return []
    for path, result in zip(paths, results, strict=False):
        # Only a folder that was named as one may be missing: see plan_outputs.
        Path(path).parent.mkdir(exist_ok=True)
        write_media(path, result, model.data)
    return list(paths)


def write_sheet(path: Path, rows: Sequence[tuple[Any, ModelSpec]]) -> str:
    """Writes one picture with a row of items for each model; gives its path."""
    from ltzoo.media import SHEET, SheetRow, contact_sheet, write_media

    sheet = contact_sheet([SheetRow(list(items), model.data, model.id) for items, model in rows])
    write_media(path, sheet, SHEET)
    return str(path)


def load_bridge_between(
    ref: str | None, source: ModelSpec, target: ModelSpec, device: str
) -> tuple[Bridge, str]:
    """The bridge of that reference, or the best published one; made sure that it joins these models.

    Raises:
        UnknownBridgeError: There is none.
        FingerprintError: It was trained on other weights.
    """
    from ltzoo.zoo import default_zoo

    if ref is None:
        ref = default_zoo().find_bridge(source.id, target.id).row.id
    from ltzoo.bridge import load_bridge

    bridge = load_bridge(ref, device=device)
    bridge.check_models([source, target])
    return bridge, ref


def _read_text(name: str, model: ModelSpec) -> str:
    from ltzoo.media import read_media

    # A text model takes the text itself; a file is meant where there is one.
    if name != "-" and not Path(name).is_file():
        return name
    with _as_file(name) as path:
        text, _ = read_media(path, model.data, model=model.id)
    assert isinstance(text, str)
    return text


@contextmanager
def _as_file(name: str) -> Iterator[Path]:
    """The path of an input; stdin, named ``-``, goes to a temporary file, since readers seek."""
    if name != "-":
        yield Path(name).expanduser()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        path.write_bytes(sys.stdin.buffer.read())
        yield path
