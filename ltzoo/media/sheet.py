"""Contact sheets: what went in above what came out, as one image."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.media.image import image_of
from ltzoo.media.reading import Item
from ltzoo.spec import DataSpec

__all__ = ["SHEET", "SheetRow", "contact_sheet", "spectrogram"]

SHEET = DataSpec(modality="image", shape=(3, None, None), background=1.0)
"""What a contact sheet is, for `ltzoo.media.write_media`."""

CELL = 112
GAP = 4
BAND_GAP = 16
CAPTION_HEIGHT = 14
FONT_SIZE = 11
CHARACTERS = CELL // 6
PAPER = (255, 255, 255)
INK = (40, 40, 40)
FFT = 256
RANGE_DB = 70.0


@dataclass(frozen=True)
class SheetRow:
    """One row of a sheet: the same step of every translation.

    Attributes:
        items: One per column.
        data: What the items are.
        caption: Stands above the row, once; empty for none.
    """

    items: Sequence[Item]
    data: DataSpec
    caption: str = ""


def contact_sheet(rows: Sequence[SheetRow], *, captions: Sequence[str] = (), columns: int = 10) -> Tensor:
    """Draws items in a grid: the first row's items, each with those of the other rows below it.

    Images are enlarged by whole pixels, or reduced, to cells of one size. Sounds are drawn as spectrograms:
    time to the right, pitch upwards, loud is bright. Texts are set in small type.

    Args:
        rows: Inputs, outputs, perhaps steps between them; each has the same number of items.
        captions: One per column, set below it.
        columns: After so many the sheet goes on further down.

    Returns:
        float32 ``(3, height, width)`` in 0..1, as `SHEET` says.

    Raises:
        MediaError: The rows have no or not the same number of items, or hold arrays, which cannot be drawn.
    """
    counts = {len(row.items) for row in rows}
    if len(counts) != 1 or counts == {0} or (captions and {len(captions)} != counts):
        raise MediaError(f"a contact sheet needs the same number of items in each row, not {sorted(counts)}")
    count = counts.pop()
    bands = [range(start, min(start + columns, count)) for start in range(0, count, columns)]
    row_heights = [CELL + GAP + (CAPTION_HEIGHT if row.caption else 0) for row in rows]
    band_height = sum(row_heights) + (CAPTION_HEIGHT if captions else 0)
    size = (
        GAP + min(count, columns) * (CELL + GAP),
        GAP + len(bands) * band_height + (len(bands) - 1) * BAND_GAP,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=FONT_SIZE)
    top = GAP
    for band in bands:
        for row, height in zip(rows, row_heights, strict=True):
            if row.caption:
                draw.text((GAP, top), row.caption, fill=INK, font=font)
            for place, column in enumerate(band):
                cell = _cell(row.items[column], row.data)
                sheet.paste(cell, (GAP + place * (CELL + GAP), top + height - GAP - CELL))
            top += height
        if captions:
            for place, column in enumerate(band):
                text = textwrap.shorten(captions[column], CHARACTERS, placeholder="…")
                draw.text((GAP + place * (CELL + GAP), top), text, fill=INK, font=font)
            top += CAPTION_HEIGHT
        top += BAND_GAP
    return torch.from_numpy(np.array(sheet, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()


def _cell(item: Item, data: DataSpec) -> Image.Image:
    """The item as a picture of exactly one cell."""
    if isinstance(item, str):
        return _text_cell(item)
    if data.modality == "array" or item.ndim not in (2, 3) or (item.ndim == 3 and len(item) not in (1, 3, 4)):
        raise MediaError(f"{data.modality} of shape {tuple(item.shape)} cannot be drawn on a contact sheet")
    picture = image_of(spectrogram(item) if data.modality == "audio" else item)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (*PAPER, 255)), picture)
    longest = max(picture.size)
    if longest <= CELL:
        factor = CELL // longest
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    else:
        scale = CELL / longest
        picture = picture.resize(
            (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
            Image.Resampling.LANCZOS,
        )
    cell = Image.new("RGB", (CELL, CELL), PAPER)
    cell.paste(picture.convert("RGB"), ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return cell


def _text_cell(text: str) -> Image.Image:
    cell = Image.new("RGB", (CELL, CELL), PAPER)
    lines = textwrap.wrap(text, CHARACTERS, max_lines=CELL // CAPTION_HEIGHT, placeholder="…")
    font = ImageFont.load_default(size=FONT_SIZE)
    ImageDraw.Draw(cell).multiline_text((2, 2), "\n".join(lines), fill=INK, font=font)
    return cell


def spectrogram(sound: Tensor) -> Tensor:
    """A sound as an image: time to the right, frequency upwards, level in decibels as brightness.

    Args:
        sound: ``(channels, samples)``.

    Returns:
        ``(1, height, width)`` in 0..1 with sides of one cell; silence is black.
    """
    mono = sound.detach().float().cpu().mean(dim=0)
    # A hop that gives about two columns a pixel, whatever the length, and no fewer samples than a window.
    mono = torch.nn.functional.pad(mono, (0, max(0, FFT - len(mono))))
    hop = max(1, len(mono) // (2 * CELL))
    spectrum = torch.stft(
        mono, FFT, hop, window=torch.hann_window(FFT), center=True, return_complex=True
    ).abs()
    level = 20 * torch.log10(spectrum.clamp_min(1e-7))
    top = max(float(level.max()), -60.0)
    image = ((level - top) / RANGE_DB + 1).clamp(0, 1).flip(0)
    return torch.nn.functional.interpolate(
        image[None, None], size=(CELL, CELL), mode="bilinear", align_corners=False, antialias=True
    )[0].clamp(0, 1)
