"""Walks: several items in order as one file: a strip of pictures, an animation, or one sound."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.files import replacing
from ltzoo.media.image import image_of
from ltzoo.media.reading import Item
from ltzoo.media.sheet import SHEET, SheetRow, contact_sheet
from ltzoo.media.writing import encode_media, suffixes_of
from ltzoo.spec import DataSpec

__all__ = ["check_walk_suffix", "write_walk"]

GIF = ".gif"
STRIPS = tuple(suffix for suffix in suffixes_of("image") if suffix != ".npy")
SOUNDS = tuple(suffix for suffix in suffixes_of("audio") if suffix != ".npy")
FRAME_SIDE = 224
FRAME_MILLISECONDS = 160
GAP_SECONDS = 0.15


def check_walk_suffix(path: str | os.PathLike[str], data: DataSpec) -> str:
    """The path's suffix in lower case; commands call this before long work.

    Raises:
        MediaError: Items of that kind cannot be strung together in such a file.
    """
    suffix = Path(path).suffix.lower()
    possible = _possible(data)
    if not possible:
        raise MediaError(f"{data.modality} cannot be shown as a strip or an animation")
    if suffix not in possible:
        raise MediaError(
            f"{os.fspath(path)}: several items of {data.modality} cannot be strung together "
            + (f"as {suffix}" if suffix else "without a suffix"),
            hint=f"possible: {' '.join(possible)}",
        )
    return suffix


def write_walk(path: str | os.PathLike[str], items: Sequence[Item], data: DataSpec) -> None:
    """Writes items in order; the suffix decides how. The file appears whole or not at all.

    A picture is a strip with one cell an item, sounds as spectrograms. A GIF goes through the items and
    back, for ever. A sound is the items one after another, with short silences between them.

    Args:
        path: The file; an existing one is replaced.
        items: One or more, each float32 ``(*data_shape)`` or a text.
        data: What they are.

    Raises:
        MediaError: The suffix does not fit the items, an item has NaN values, or the file cannot be written.
    """
    suffix = check_walk_suffix(path, data)
    if any(isinstance(item, Tensor) and not bool(item.isfinite().all()) for item in items):
        raise MediaError(f"{os.fspath(path)}: a result has NaN or infinite values, and is not written")
    if suffix == GIF:
        content = _animation(items, data)
    elif suffix in SOUNDS:
        content = encode_media(_joined(items, data), data, suffix)
    else:
        strip = contact_sheet([SheetRow(list(items), data)], columns=len(items))
        content = encode_media(strip, SHEET, suffix)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise MediaError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from error


def _possible(data: DataSpec) -> tuple[str, ...]:
    if data.modality == "array":
        return ()
    pictures = (*STRIPS, GIF)
    return (*SOUNDS, *pictures) if data.modality == "audio" else pictures


def _animation(items: Sequence[Item], data: DataSpec) -> bytes:
    frames = [_frame(item, data) for item in items]
    # There and back, without showing the ends twice.
    loop = [*frames, *frames[-2:0:-1]]
    buffer = io.BytesIO()
    loop[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=loop[1:],
        duration=FRAME_MILLISECONDS,
        loop=0,
        optimize=False,
        disposal=2,
    )
    return buffer.getvalue()


def _frame(item: Item, data: DataSpec) -> Image.Image:
    if data.modality != "image" or isinstance(item, str) or len(item) not in (1, 3):
        return image_of(contact_sheet([SheetRow([item], data)]))
    image = image_of(item).convert("RGB")
    factor = max(1, FRAME_SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _joined(items: Sequence[Item], data: DataSpec) -> Tensor:
    assert data.sample_rate is not None
    sounds = [item.detach().float().cpu() for item in items if isinstance(item, Tensor)]
    gap = torch.zeros(len(sounds[0]), round(GAP_SECONDS * data.sample_rate))
    parts = [part for sound in sounds for part in (sound, gap)]
    return torch.cat(parts[:-1], dim=1)
