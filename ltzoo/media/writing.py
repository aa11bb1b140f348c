"""One item of a model's data, written as a file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.files import replacing
from ltzoo.media.image import IMAGE_SUFFIXES, encode_image
from ltzoo.media.reading import Item
from ltzoo.spec import DataSpec, Modality

__all__ = ["check_suffix", "encode_media", "suffixes_of", "write_media"]

SUFFIXES: dict[Modality, tuple[str, ...]] = {
    "image": (*IMAGE_SUFFIXES, ".npy"),
    "audio": (".wav", ".flac", ".ogg", ".npy"),
    "text": (".txt",),
    "array": (".npy",),
}


def suffixes_of(modality: Modality) -> tuple[str, ...]:
    """The suffixes that an item of that modality can be written with; the usual one comes first."""
    return SUFFIXES[modality]


def check_suffix(path: str | os.PathLike[str], data: DataSpec) -> str:
    """The path's suffix in lower case; commands call this before long work.

    Raises:
        MediaError: It is none that the data can be written with.
    """
    suffix = Path(path).suffix.lower()
    possible = SUFFIXES[data.modality]
    if suffix not in possible:
        raise MediaError(
            f"{os.fspath(path)}: the result is {data.modality}, which "
            + (f"cannot be written as {suffix}" if suffix else "needs a suffix"),
            hint=f"possible: {' '.join(possible)}",
        )
    return suffix


def write_media(path: str | os.PathLike[str], item: Item, data: DataSpec) -> None:
    """Writes an item; the suffix decides the format. The file appears whole or not at all.

    Args:
        path: The file; an existing one is replaced.
        item: float32 ``(*data_shape)``, or a text.
        data: What the item is.

    Raises:
        MediaError: The suffix does not fit the item, the item has NaN values, or the file cannot be written.
    """
    suffix = check_suffix(path, data)
    try:
        content = encode_media(item, data, suffix)
    except MediaError as error:
        raise MediaError(f"{os.fspath(path)}: {error.message}", hint=error.hint) from error
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise MediaError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from error


def encode_media(item: Item, data: DataSpec, suffix: str) -> bytes:
    """The bytes of the item's file.

    Args:
        item: float32 ``(*data_shape)``, or a text.
        data: What the item is.
        suffix: One of ``suffixes_of(data.modality)``.

    Raises:
        MediaError: The suffix does not fit the item, the format cannot hold it, or it has NaN values.
    """
    check_suffix(f"item{suffix}", data)
    if isinstance(item, str):
        return (item.rstrip("\n") + "\n").encode()
    if not bool(item.isfinite().all()):
        raise MediaError("the result has NaN or infinite values, and is not written")
    if suffix == ".npy":
        return _encode_array(item)
    if data.modality == "image":
        return encode_image(item, suffix)
    # Not at the top: libsndfile is not loaded where there is no sound.
    from ltzoo.media.audio import encode_audio

    return encode_audio(item, data, suffix)


def _encode_array(item: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, item.detach().float().cpu().contiguous().numpy(), allow_pickle=False)
    return buffer.getvalue()
