"""Pictures: one item of data as what a browser shows, and plays, without asking for another file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ltzoo.media import encode_media
from ltzoo.media.image import image_of
from ltzoo.media.sheet import spectrogram
from ltzoo.model import Data
from ltzoo.spec import DataSpec

__all__ = ["SOUND_SECONDS", "Picture", "pictures_of"]

LARGEST = 160
SMALL = 64
QUALITY = 85
SOUND_SECONDS = 4.0
TEXT = 200
STRIP = 64


@dataclass(frozen=True)
class Picture:
    """One item as a browser shows it.

    Attributes:
        image: ``data:`` address of an image; empty for a text.
        sound: ``data:`` address of a WAV file, if the item is a sound.
        text: The item itself, if it is a text.
        alt: What it is, for who cannot see it.
        pixelated: It is enlarged by whole pixels rather than smoothed.
    """

    image: str = ""
    sound: str = ""
    text: str = ""
    alt: str = ""
    pixelated: bool = False


def pictures_of(items: Data, data: DataSpec, alts: Sequence[str], *, sounds: bool = True) -> list[Picture]:
    """Pictures of decoded data.

    Images are reduced to at most 160 pixels. Sounds become spectrograms, with a player of the first
    seconds. Arrays become strips of grey, from their least value (black) to their largest (white).

    Args:
        items: ``(n, *data_shape)``, or texts.
        data: What they are.
        alts: What each is, in words.
        sounds: Whether sounds can be played, which takes space.
    """
    return [_picture(item, data, alt, sounds) for item, alt in zip(items, alts, strict=True)]


def _picture(item: Tensor | str, data: DataSpec, alt: str, sounds: bool) -> Picture:
    if isinstance(item, str):
        return Picture(text=item if len(item) <= TEXT else item[: TEXT - 1] + "…", alt=alt)
    item = item.detach().float().cpu().nan_to_num()
    if data.modality == "audio":
        assert data.sample_rate is not None
        head = item[:, : round(SOUND_SECONDS * data.sample_rate)]
        sound = _address("audio/wav", encode_media(head, data, ".wav")) if sounds else ""
        return Picture(image=_image(image_of(spectrogram(item))), sound=sound, alt=alt)
    image = image_of(item if data.modality == "image" else _strip(item))
    return Picture(image=_image(image), alt=alt, pixelated=max(image.size) <= SMALL)


def _image(image: Image.Image) -> str:
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if max(image.size) <= SMALL or image.mode == "RGBA":
        image.save(buffer, format="PNG", optimize=True)
        return _address("image/png", buffer.getvalue())
    image.save(buffer, format="JPEG", quality=QUALITY)
    return _address("image/jpeg", buffer.getvalue())


def _strip(item: Tensor) -> Tensor:
    """An array as an image ``(1, height, width)`` in 0..1; only its beginning, if it is long."""
    values = item.flatten()[: STRIP * STRIP]
    low, high = float(values.min()), float(values.max())
    values = (values - low) / (high - low) if high > low else torch.zeros_like(values)
    rows = -(-len(values) // STRIP)
    if rows == 1:
        return values.expand(max(1, len(values) // 2), -1)[None]
    return torch.nn.functional.pad(values, (0, rows * STRIP - len(values))).view(1, rows, STRIP)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
