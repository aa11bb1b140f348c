"""A drawing from anywhere, brought into the form that MNIST's digits have.

As MNIST was made (LeCun et al. 1998): the drawing is cropped to its ink, scaled so that its longer side is
20 of the frame's 28 pixels, and put with its centre of mass in the frame's centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ltzoo.errors import MediaError

__all__ = ["composite_drawing", "has_polarity", "ink_drawing"]

FloatImage = NDArray[np.float32]

INK_SHARE = 20 / 28
WORKING_SIZE = 1024
"""Larger drawings are reduced to about this before their ink is looked for."""
LEAST_CONTRAST = 0.1
"""Between ink and paper, of full scale: below it a drawing counts as blank."""
CLEAR_CONTRAST = 0.3
"""What stands out by this much is a drawing, however restless its background is."""
EDGE_MASS = 0.001
"""Share of the ink that each side of the crop may cut off, so that a speck of dust does not widen it."""
FAINT = 0.25
"""Ink fainter than this share of the full ink does not widen the crop."""
CLEAR_MAJORITY = 0.75


def has_polarity(pixels: FloatImage, background: float) -> bool:
    """Whether an image of the exact size has the background that the model's images have.

    Only a border that lies almost wholly on the other side says no: garments reach the border in places.

    Args:
        pixels: ``(height, width)``, 0..1.
        background: Brightness of the empty parts.
    """
    other_side = (_ring(pixels, 1) > 0.5) != (background > 0.5)
    return bool(other_side.mean() < CLEAR_MAJORITY)


def composite_drawing(image: Image.Image) -> Image.Image:
    """A drawing with transparent parts, put on white if it is dark and on black if it is bright.

    Args:
        image: RGBA.

    Returns:
        Greyscale.
    """
    grey = np.asarray(image.convert("RGB").convert("L"), dtype=np.float32)
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32)
    opaque = float(alpha.sum())
    dark = opaque == 0 or float((grey * alpha).sum()) / opaque < 127.5
    paper = Image.new("RGBA", image.size, (255, 255, 255, 255) if dark else (0, 0, 0, 255))
    return Image.alpha_composite(paper, image).convert("L")


def ink_drawing(grey: Image.Image, size: tuple[int, int], background: float, where: str) -> FloatImage:
    """The drawing in a frame, as MNIST was made.

    Args:
        grey: Greyscale, of any size and polarity.
        size: Height and width of the frame.
        background: Brightness of the frame's empty parts; the ink is at the other end of the scale.
        where: The file, for the message.

    Returns:
        ``(height, width)``, 0..1.

    Raises:
        MediaError: There is no drawing: the image is blank.
    """
    factor = max(1, max(grey.size) // WORKING_SIZE)
    pixels = np.asarray(grey.reduce(factor) if factor > 1 else grey, dtype=np.float32) / np.float32(255)
    ink = _crop(_ink(pixels, where))
    height, width = size
    scale = INK_SHARE * min(size) / max(ink.shape)
    rows, columns = (max(1, round(side * scale)) for side in ink.shape)
    small = np.asarray(Image.fromarray(ink).resize((columns, rows), Image.Resampling.LANCZOS))
    small = small.clip(0, 1)
    # Strokes thinner than a pixel of the frame come out faint; a fifth of the inked pixels gets full ink.
    small = (small / np.percentile(small[small > FAINT * small.max()], 80)).clip(0, 1)
    frame = np.zeros((height, width), dtype=np.float32)
    top, left = (
        min(max(round(side / 2 - centre), 0), side - extent)
        for side, centre, extent in zip(size, _centre_of_mass(small), small.shape, strict=True)
    )
    frame[top : top + rows, left : left + columns] = small
    ink_level = 0.0 if background > 0.5 else 1.0
    return np.asarray(background + frame * (ink_level - background), dtype=np.float32)


def _ink(pixels: FloatImage, where: str) -> FloatImage:
    """How much ink each pixel has, 0 (paper) to 1, whatever the polarity."""
    ring = _ring(pixels, max(1, round(0.02 * min(pixels.shape))))
    paper = float(np.median(ring))
    # Three standard deviations of the paper's own texture (1.4826 makes one of a median deviation).
    texture = 3 * 1.4826 * float(np.median(np.abs(ring - paper)))
    darker, brighter = (paper - pixels).clip(0), (pixels - paper).clip(0)
    ink = darker if float((darker**2).sum()) >= float((brighter**2).sum()) else brighter
    contrast = float(ink.max())
    if contrast < max(LEAST_CONTRAST, min(2 * texture, CLEAR_CONTRAST)):
        raise MediaError(
            f"{where}: is blank: no drawing stands out from its background",
            hint="draw dark on light or light on dark, with a margin around it",
        )
    # A border that is no paper at all (a photo of something) must not swallow the rest.
    texture = min(texture, contrast / 2)
    full = max(float(np.percentile(ink[ink >= 0.5 * contrast], 90)), texture + 0.5 * (contrast - texture))
    return np.asarray(((ink - texture) / (full - texture)).clip(0, 1), dtype=np.float32)


def _ring(pixels: FloatImage, width: int) -> FloatImage:
    """The pixels of the border."""
    inner = np.ones(pixels.shape, dtype=bool)
    inner[width:-width, width:-width] = False
    return pixels[inner]


def _crop(ink: FloatImage) -> FloatImage:
    """The part that holds the ink."""
    strong = np.where(ink >= FAINT, ink, 0)
    (top, bottom), (left, right) = (_extent(strong.sum(axis=axis)) for axis in (1, 0))
    return ink[top:bottom, left:right]


def _extent(mass: FloatImage) -> tuple[int, int]:
    share = np.cumsum(mass, dtype=np.float64) / mass.sum(dtype=np.float64)
    start = int(np.searchsorted(share, EDGE_MASS, side="right"))
    stop = int(np.searchsorted(share, 1 - EDGE_MASS, side="left")) + 1
    return start, stop


def _centre_of_mass(ink: FloatImage) -> tuple[float, float]:
    total = float(ink.sum())
    y = float((ink.sum(axis=1) * np.arange(ink.shape[0])).sum()) / total
    x = float((ink.sum(axis=0) * np.arange(ink.shape[1])).sum()) / total
    return y, x
