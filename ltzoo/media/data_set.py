"""What somebody names as a data set (a folder, files, an array file, a text file), opened item by item."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TypeAlias

from ltzoo.errors import MediaError
from ltzoo.media.array_items import PARTS, ArrayItems
from ltzoo.media.items import FileItems, TextLines
from ltzoo.media.sniff import open_input, takes
from ltzoo.spec import DataSpec, Modality

__all__ = ["Items", "open_items"]

Items: TypeAlias = ArrayItems | FileItems | TextLines

FOLDER_SUFFIXES: dict[Modality, frozenset[str]] = {
    "image": frozenset(
        (
            ".png",
            ".jpg",
            ".jpeg",
            ".webp",
            ".bmp",
            ".tif",
            ".tiff",
            ".gif",
            ".ppm",
            ".pgm",
            ".ico",
            ".avif",
            ".jp2",
        )
    ),
    "audio": frozenset((".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")),
    "text": frozenset((".txt",)),
    "array": frozenset((".npy",)),
}
UNLABELLED = -1


def open_items(
    paths: Sequence[str | os.PathLike[str]],
    data: DataSpec,
    *,
    label_names: Sequence[str] = (),
    model: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Items:
    """Opens a data set.

    Args:
        paths: One folder, whose files are the items, in the order of their names; its sub-folders may be
            named as labels, and those above them ``train``, ``validation`` and ``test``. Or one .npy or .npz
            file, as `ArrayItems` reads it. Or, for text, one file with an item per line. Or files, an item each.
        data: What the model takes.
        label_names: Class names by index.
        model: The model's id, for messages.
        say: Called with one line for each thing worth knowing: files passed over, conversions.

    Raises:
        MediaError: There is nothing to read, or a sub-folder's name is no label where others' are.
    """
    needs = takes(data, model)
    names = [os.fspath(path) for path in paths]
    if len(names) == 1 and Path(names[0]).is_dir():
        return _folder(names[0], data, label_names, model, say)
    found = [open_input(name, needs)[1] for name in names]
    if not names:
        raise MediaError(f"no files were given; {needs}")
    if len(names) == 1 and found[0].modality == "array":
        return ArrayItems(names[0], data, model=model)
    if len(names) == 1 and found[0].modality == "text" and data.modality == "text":
        return TextLines(names[0], data)
    return FileItems(names, data, model=model, say=say)


def _folder(
    folder: str,
    data: DataSpec,
    label_names: Sequence[str],
    model: str | None,
    say: Callable[[str], None] | None,
) -> FileItems:
    suffixes = FOLDER_SUFFIXES[data.modality]
    names: list[str] = []
    others = 0
    for name in _walk(folder):
        if os.path.splitext(name)[1].lower() in suffixes:
            names.append(name)
        else:
            others += 1
    if not names:
        raise MediaError(
            f"{folder}: holds no files that can be read for it; {takes(data, model)}",
            hint=f"suffixes that are looked for: {' '.join(sorted(suffixes))}",
        )
    if others and say is not None:
        say(f"{folder}: {others} other files were passed over")
    names.sort(key=lambda name: PurePath(name).parts)
    folders = [PurePath(name).parts[:-1] for name in names]
    split = None
    if all(parts and parts[0] in PARTS for parts in folders):
        split = [PARTS[parts[0]] for parts in folders]
        folders = [parts[1:] for parts in folders]
    return FileItems(
        [os.path.join(folder, name) for name in names],
        data,
        labels=_labels(folder, [parts[0] if parts else None for parts in folders], label_names),
        split=split,
        folder=folder,
        model=model,
        say=say,
    )


def _walk(folder: str) -> Iterator[str]:
    """The files below a folder, relative to it; hidden ones are passed over."""

    def fail(error: OSError) -> None:
        raise MediaError(f"{error.filename}: cannot be read: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(root, name), folder)


def _labels(folder: str, names: list[str | None], label_names: Sequence[str]) -> list[int] | None:
    """A label for each file by the name of its sub-folder; None if no sub-folder is named as a label."""
    indices: dict[str | None, int] = {name: index for index, name in enumerate(label_names)}
    if not any(name in indices for name in names):
        return None
    indices[None] = UNLABELLED
    for name in names:
        if name not in indices:
            close = difflib.get_close_matches(str(name), label_names, n=1)
            raise MediaError(
                f"{os.path.join(folder, str(name))}: '{name}' is not a label, though other folders are",
                hint=f"did you mean '{close[0]}'?" if close else f"labels: {', '.join(label_names)}",
            )
    return [indices[name] for name in names]
