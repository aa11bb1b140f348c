"""What an image encoder wants done to an image first, from ``preprocessor_config.json``. Torch-free.

The library's own processors need torchvision; what they do is little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltzoo.errors import IntegrityError

__all__ = ["Preprocessing", "read_preprocessing"]

LARGEST_SIDE = 4096
RESAMPLING = range(6)
"""Pillow's numbers: nearest, Lanczos, bilinear, bicubic, box, Hamming."""


@dataclass(frozen=True)
class Preprocessing:
    """What is done, in this order.

    Attributes:
        shortest: The image is scaled until its shorter side is this long,
        size: or to this height and width;
        resample: by this method, a number of Pillow's.
        crop: Height and width of the middle that is kept.
        scale: Levels in 0..1 are multiplied by this,
        mean: then this is subtracted, channel by channel,
        std: and divided by this.
    """

    shortest: int | None
    size: tuple[int, int] | None
    resample: int
    crop: tuple[int, int] | None
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """The size that an image is scaled to."""
        if self.size is not None:
            return self.size
        if self.shortest is None:
            return height, width
        short, long = sorted((height, width))
        other = int(self.shortest * long / short)
        return (self.shortest, other) if height <= width else (other, self.shortest)


def read_preprocessing(content: Mapping[str, Any], channels: int, where: str) -> Preprocessing:
    """Reads the config of an image processor.

    Args:
        content: Of the file.
        channels: Of the images.
        where: The file, for messages.

    Raises:
        IntegrityError: An entry makes no sense, or asks for what is not known here.
    """
    try:
        return _read(content, channels)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{where}: {error}") from error


def _read(content: Mapping[str, Any], channels: int) -> Preprocessing:
    shortest, size = None, None
    if content.get("do_resize", True):
        shortest, size = _size(content.get("size"))
    resample = content.get("resample", 3)
    if resample not in RESAMPLING:
        raise ValueError(f"'resample' must be one of Pillow's numbers, 0 to 5, not {resample!r}")
    crop = None
    if content.get("do_center_crop", False):
        square, crop = _size(content.get("crop_size"))
        crop = (square, square) if crop is None and square else crop
    normalises = content.get("do_normalize", True)
    mean, std = (
        _numbers(content[name], channels) if normalises else (default,) * channels
        for name, default in (("image_mean", 0.0), ("image_std", 1.0))
    )
    if min(std) <= 0:
        raise ValueError("'image_std' must be above 0")
    scale = 255 * float(content.get("rescale_factor", 1 / 255)) if content.get("do_rescale", True) else 255.0
    if not math.isfinite(scale):
        raise ValueError("'rescale_factor' must be a number")
    return Preprocessing(shortest, size, resample, crop, scale, mean, std)


def _size(value: Any) -> tuple[int | None, tuple[int, int] | None]:
    """A shortest side, or height and width."""
    if isinstance(value, Mapping) and set(value) == {"height", "width"}:
        return None, (_side(value["height"]), _side(value["width"]))
    if isinstance(value, Mapping) and set(value) == {"shortest_edge"}:
        return _side(value["shortest_edge"]), None
    if isinstance(value, int):
        return _side(value), None
    raise ValueError(f"size {value!r} is not known (known: shortest_edge, or height and width)")


def _side(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= LARGEST_SIDE:
        raise ValueError(f"a side of {value!r} pixels makes no sense")
    return value


def _numbers(values: Any, channels: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != channels:
        raise ValueError(f"{values!r} must be {channels} numbers")
    found = tuple(float(value) for value in values)
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{values!r} must be {channels} numbers")
    return found
