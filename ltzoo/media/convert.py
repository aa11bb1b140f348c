"""Rows of an array as items of a model's data.

An array that has the model's own shape is taken as it is: only files, whose makers knew nothing of the model,
have their polarity guessed and their drawing centred.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.media.image import fit_image
from ltzoo.model import Data
from ltzoo.spec import DataSpec, format_shape

__all__ = ["items_of_rows"]

Array = NDArray[Any]

FILE_CHANNELS = (1, 3, 4)
MOST_SOUND_CHANNELS = 8


def items_of_rows(
    rows: Array,
    data: DataSpec,
    describe: Callable[[int], str],
    *,
    rate: int | None = None,
    model: str | None = None,
) -> Data:
    """Rows of an array as a batch of data.

    Args:
        rows: ``(n, ...)``. Images: uint8, uint16, bool, or floats in 0..1, as height x width, height x width x
            channels or channels x height x width. Sound: int16, int32, or floats in -1..1, as samples or
            channels x samples. Text: strings. Arrays: numbers in the model's shape.
        data: The model's data.
        describe: The place of the row of that index, for messages.
        rate: Samples per second of sound; the model's own unless given.
        model: The model's id, for messages.

    Returns:
        float32 ``(n, *data_shape)``, or a list of strings.

    Raises:
        MediaError: dtype or shape cannot be read as the model's modality, or a row does not fit.
    """
    owner = model or "this model"
    if data.modality == "text":
        return _texts(rows, describe, owner)
    if rows.dtype.kind not in "biuf":
        raise MediaError(f"{describe(0)}: holds {rows.dtype} values; {owner} takes numbers")
    if data.modality == "image":
        return _images(rows, data, describe, owner)
    if data.modality == "audio":
        return _sounds(rows, data, describe, owner, rate)
    if not _matches(rows.shape[1:], data):
        raise MediaError(
            f"{describe(0)}: has shape {format_shape(rows.shape[1:])}, but {owner} takes {format_shape(data.shape)}"
        )
    values = _float32(rows)
    _check_finite(values, describe)
    return torch.from_numpy(values)


def _float32(rows: Array) -> NDArray[np.float32]:
    """The values as float32; those too large for it become infinite, without numpy's warning."""
    with np.errstate(over="ignore"):
        return rows.astype(np.float32)


def _matches(shape: tuple[int, ...], data: DataSpec) -> bool:
    return len(shape) == len(data.shape) and all(
        want is None or have == want for have, want in zip(shape, data.shape, strict=True)
    )


def _check_finite(rows: Array, describe: Callable[[int], str]) -> None:
    bad = ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
    if bad.any():
        raise MediaError(f"{describe(int(bad.argmax()))}: has values that are NaN, infinite or too large")


def _texts(rows: Array, describe: Callable[[int], str], owner: str) -> list[str]:
    if rows.ndim != 1 or rows.dtype.kind != "U":
        raise MediaError(
            f"{describe(0)}: holds {rows.dtype} of shape {format_shape(rows.shape[1:])}; {owner} takes texts",
            hint="save a one-dimensional array of strings",
        )
    texts = [str(text).strip() for text in rows]
    for index, text in enumerate(texts):
        if not text:
            raise MediaError(f"{describe(index)}: holds no text")
    return texts


def _images(rows: Array, data: DataSpec, describe: Callable[[int], str], owner: str) -> Tensor:
    planes = _channels_first(rows, data)
    if planes is None:
        raise MediaError(
            f"{describe(0)}: has shape {format_shape(rows.shape[1:])}, but {owner} takes images of "
            f"{format_shape(data.shape)}",
            hint="save images as height x width, or height x width x channels",
        )
    if planes.dtype.kind == "f":
        _check_finite(planes, describe)
        outside = ((planes < 0) | (planes > 1)).reshape(len(planes), -1).any(axis=1)
        if outside.any():
            row = int(outside.argmax())
            raise MediaError(
                f"{describe(row)}: has values from {planes[row].min():.4g} to {planes[row].max():.4g}; "
                "images in floating point lie in 0..1",
                hint="save them as uint8, or divide them by 255",
            )
        unit = planes.astype(np.float32)
    elif planes.dtype == np.bool_ or (planes.dtype.kind == "u" and planes.dtype.itemsize <= 2):
        full = 1 if planes.dtype == np.bool_ else np.iinfo(planes.dtype).max
        unit = planes.astype(np.float32) / np.float32(full)
    else:
        raise MediaError(f"{describe(0)}: holds {planes.dtype} values", hint="save images as uint8")
    if _matches(unit.shape[1:], data):
        return torch.from_numpy(unit)
    if unit.shape[1] not in FILE_CHANNELS:
        raise MediaError(f"{describe(0)}: has {unit.shape[1]} channels; {owner} takes {data.shape[0]}")
    return torch.stack(
        [fit_image(_picture(item), data, describe(index), model=owner)[0] for index, item in enumerate(unit)]
    )


def _channels_first(rows: Array, data: DataSpec) -> Array | None:
    """``(n, channels, height, width)``, whichever way round the rows are; None if they are no images."""
    if rows.ndim == 3:
        return rows[:, None]
    if rows.ndim != 4:
        return None
    if _matches(rows.shape[1:], data):
        return rows
    if rows.shape[3] in FILE_CHANNELS:
        return np.ascontiguousarray(rows.transpose(0, 3, 1, 2))
    return rows if rows.shape[1] in FILE_CHANNELS else None


def _picture(item: NDArray[np.float32]) -> Image.Image:
    pixels = (item * 255).round().astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _sounds(
    rows: Array, data: DataSpec, describe: Callable[[int], str], owner: str, rate: int | None
) -> Tensor:
    # Not at the top: libsndfile is not loaded where there is no sound.
    from ltzoo.media.audio import fit_sound

    if rows.ndim == 2:
        rows = rows[:, None]
    elif rows.ndim == 3 and rows.shape[1] > MOST_SOUND_CHANNELS >= rows.shape[2]:
        rows = rows.transpose(0, 2, 1)
    if rows.ndim != 3 or rows.shape[1] > MOST_SOUND_CHANNELS:
        raise MediaError(
            f"{describe(0)}: has shape {format_shape(rows.shape[1:])}; {owner} takes sound",
            hint="save sound as samples, or channels x samples",
        )
    if rows.dtype.kind == "i" and rows.dtype.itemsize in (2, 4):
        samples = (rows / -float(np.iinfo(rows.dtype).min)).astype(np.float32)
    elif rows.dtype.kind == "f":
        samples = _float32(rows)
    else:
        raise MediaError(f"{describe(0)}: holds {rows.dtype} values", hint="save sound as int16 or float32")
    assert data.sample_rate is not None
    return torch.stack(
        [
            fit_sound(sound, rate or data.sample_rate, data, describe(index), model=owner)
            for index, sound in enumerate(samples)
        ]
    )
