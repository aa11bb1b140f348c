"""One file, read as one item of a model's data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.media.array import open_arrays
from ltzoo.media.convert import items_of_rows
from ltzoo.media.image import read_image
from ltzoo.media.sniff import open_input, refuse_kind, takes
from ltzoo.media.text import read_text
from ltzoo.spec import DataSpec, format_shape

__all__ = ["Item", "read_media"]

Item: TypeAlias = Tensor | str
"""One item of data: float32 ``(*data_shape)``, or a text."""


def read_media(
    path: str | os.PathLike[str], data: DataSpec, *, model: str | None = None
) -> tuple[Item, list[str]]:
    """Reads an image, sound, text or array as the model takes it.

    The file's content decides what it is, not its suffix. Arrays (.npy) are taken for images and sounds, too.

    Args:
        path: The file.
        data: What the model takes.
        model: The model's id, for messages.

    Returns:
        The item, float32 ``(*data_shape)`` or a text, and lines on what was converted.

    Raises:
        MediaError: The file is missing, empty, damaged, of another kind, or does not fit.
    """
    needs = takes(data, model)
    where = os.fspath(path)
    file, found = open_input(path, needs)
    if found.modality == "array" and data.modality != "text":
        return _read_array(where, data, model), []
    if found.modality is None:
        # Pillow and libsndfile know more formats than are sniffed, but say less about what they don't know.
        if data.modality not in ("image", "audio") or found.hint is not None:
            raise refuse_kind(where, found, needs)
    elif found.modality != data.modality:
        raise refuse_kind(where, found, needs)
    if data.modality == "image":
        return read_image(file, data, model=model)
    if data.modality == "text":
        return read_text(file), []
    # Not at the top: libsndfile is not loaded where there is no sound.
    from ltzoo.media.audio import read_audio

    return read_audio(file, data, model=model)


def _read_array(where: str, data: DataSpec, model: str | None) -> Tensor:
    arrays = open_arrays(Path(where))
    if len(arrays) != 1 and "x" not in arrays:
        raise MediaError(
            f"{where}: holds the arrays {', '.join(sorted(arrays))}", hint="save one array, named x"
        )
    array = arrays["x"] if "x" in arrays else next(iter(arrays.values()))
    whole = array.whole()
    if whole.ndim == 0:
        raise MediaError(f"{where}: is a single number; {takes(data, model)} of {format_shape(data.shape)}")
    items = items_of_rows(whole[None], data, lambda row: where, model=model)
    assert isinstance(items, Tensor)
    return items[0]
