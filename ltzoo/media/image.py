"""Images: any file that Pillow reads, brought to the channels and size that a model takes, and back."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.media.ink import composite_drawing, has_polarity, ink_drawing
from ltzoo.media.padding import padding_note
from ltzoo.spec import DataSpec

__all__ = ["IMAGE_SUFFIXES", "encode_image", "fit_image", "image_of", "read_image"]

MAX_PIXELS = 200_000_000
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MODE_NAMES = {"1": "black and white", "L": "greyscale", "P": "palette", "LA": "greyscale with alpha"}
ORIENTATION_TAG = 0x0112
# Those that Pillow decodes by itself: its EPS plugin, for one, starts Ghostscript.
READ_FORMATS = (
    "PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "ICO", "ICNS", "AVIF", "JPEG2000",
)  # fmt: skip
IMAGE_SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}


def read_image(path: Path, data: DataSpec, *, model: str | None = None) -> tuple[Tensor, list[str]]:
    """Reads an image file as the model takes it.

    Args:
        path: The file.
        data: The model's data.
        model: The model's id, for messages.

    Returns:
        float32 ``(channels, height, width)`` in 0..1, and one line on what was converted, if anything was.

    Raises:
        MediaError: The file is no image or a damaged one, is too large, or does not fit.
    """
    where = os.fspath(path)
    image, changes = _open(path, where, model)
    item, more = fit_image(image, data, where, model=model)
    before = f"{image.width} x {image.height} {_mode_name(image.mode)}"
    after = f"{item.shape[2]} x {item.shape[1]} {_mode_name(MODES[item.shape[0]])}"
    changes += more + padding_note(item, data)
    if before == after and not changes:
        return item, []
    return item, [", ".join([f"{where}: {before} -> {after}", *changes])]


def _open(path: Path, where: str, model: str | None) -> tuple[Image.Image, list[str]]:
    """The image, upright, and what was done to it."""
    with warnings.catch_warnings():
        # Pillow warns of large images (there is a limit below) and of odd metadata (which is not used).
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=READ_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _too_large(where, f" ({image.width} x {image.height})")
                image.load()
                frames = getattr(image, "n_frames", 1)
                turned = image.getexif().get(ORIENTATION_TAG, 1) in range(2, 9)
                upright = ImageOps.exif_transpose(image)
        except MediaError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(where, "") from error
        except UnidentifiedImageError as error:
            raise MediaError(
                f"{where}: is not an image in a known format; {model or 'this model'} takes an image",
                hint="save it as PNG or JPEG",
            ) from error
        # Pillow's decoders raise almost anything on damaged files.
        except Exception as error:
            raise MediaError(f"{where}: is a damaged image: {' '.join(str(error).split())}") from error
    changes = [f"first of {frames} frames"] if frames > 1 else []
    return upright, [*changes, "turned upright"] if turned else changes


def _too_large(where: str, size: str) -> MediaError:
    return MediaError(
        f"{where}: has too many pixels{size}; at most {MAX_PIXELS // 1_000_000} million are read",
        hint="make it smaller first",
    )


def _mode_name(mode: str) -> str:
    return "16-bit greyscale" if mode.startswith("I") else MODE_NAMES.get(mode, mode)


def fit_image(
    image: Image.Image, data: DataSpec, where: str, *, model: str | None = None
) -> tuple[Tensor, list[str]]:
    """Brings an image to the channels and size of the model's data.

    Args:
        image: Of any mode and size.
        data: The model's data.
        where: The file, for messages.
        model: The model's id, for messages.

    Returns:
        float32 ``(channels, height, width)`` in 0..1, and what was done beside converting size and mode.

    Raises:
        MediaError: The spec refuses the size, the model's number of channels is none that a file can have, or
            a drawing is blank.
    """
    channels, height, width = data.shape
    mode = MODES.get(channels or 3)
    if mode is None:
        raise MediaError(
            f"{where}: an image file has 1, 3 or 4 channels; {model or 'this model'} takes {channels}",
            hint="give it as an array (.npy)",
        )
    if data.fit != "ink":
        flat, changes = _to_mode(image, mode, data.background, where)
        fitted, more = _fit_size(flat, data, where, model or "this model")
        return _tensor(fitted), changes + more
    assert height is not None
    assert width is not None
    if image.size == (width, height) and not _has_alpha(image) and _converts_exactly(image, mode):
        item = _tensor(image.convert(mode))
        if float(item.min()) == float(item.max()):
            raise MediaError(f"{where}: is blank: all its pixels are the same")
        if has_polarity(item.mean(dim=0).numpy(), data.background):
            return item, []
    grey = (
        composite_drawing(image.convert("RGBA")) if _has_alpha(image) else _to_mode(image, "L", 0, where)[0]
    )
    drawing = torch.from_numpy(ink_drawing(grey, (height, width), data.background, where))
    return drawing.expand(channels or 3, height, width).contiguous(), ["ink centred"]


def _converts_exactly(image: Image.Image, mode: str) -> bool:
    """Whether the image has that mode, or is grey and merely stored in colour."""
    if image.mode == mode:
        return True
    return image.mode in ("L", "RGB") and image.convert("L").convert("RGB") == image.convert("RGB")


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _to_mode(image: Image.Image, mode: str, background: float, where: str) -> tuple[Image.Image, list[str]]:
    """The image in ``L``, ``RGB`` or ``RGBA``; transparent parts show the background."""
    if image.mode == "F":
        raise MediaError(f"{where}: has floating-point pixels", hint="save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        # 0..65535, which Pillow itself would cut at 255.
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray((values / 257).round().astype(np.uint8)).convert(mode), []
    if not _has_alpha(image) or mode == "RGBA":
        return image.convert(mode), []
    level = round(255 * background)
    paper = Image.new("RGBA", image.size, (level, level, level, 255))
    flat = Image.alpha_composite(paper, image.convert("RGBA")).convert(mode)
    return flat, [f"transparency on {'white' if level > 127 else 'black'}"]


def _fit_size(image: Image.Image, data: DataSpec, where: str, model: str) -> tuple[Image.Image, list[str]]:
    """The image in the size of the spec; sizes that may vary stay as they are, or follow the other one."""
    _, height, width = data.shape
    target = (width or image.width, height or image.height)
    if image.size == target:
        return image, []
    if data.fit == "refuse":
        sizes = f"{width or 'any'} x {height or 'any'}"
        raise MediaError(
            f"{where}: is {image.width} x {image.height} pixels, but {model} takes {sizes}",
            hint="bring it to that size first",
        )
    ratios = [size / own for size, own in ((width, image.width), (height, image.height)) if size is not None]
    scale = min(ratios) if data.fit == "contain" else max(ratios)
    scaled = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
    )
    target = (width or scaled.width, height or scaled.height)
    left, top = (target[0] - scaled.width) // 2, (target[1] - scaled.height) // 2
    if data.fit == "contain":
        level = round(255 * data.background)
        frame = Image.new(image.mode, target, (level, level, level, 0)[: len(image.getbands())])
        frame.paste(scaled, (left, top))
        return frame, ["padded"] if scaled.size != target else []
    cropped = scaled.crop((-left, -top, target[0] - left, target[1] - top))
    return cropped, ["cropped"] if scaled.size != target else []


def _tensor(image: Image.Image) -> Tensor:
    pixels = np.array(image, dtype=np.float32) / 255
    return torch.from_numpy(
        pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    )


def image_of(item: Tensor) -> Image.Image:
    """A Pillow image of one item.

    Args:
        item: ``(channels, height, width)`` with 1, 3 or 4 channels; values outside 0..1 are cut off.
    """
    pixels = (item.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def encode_image(item: Tensor, suffix: str) -> bytes:
    """The item as an image file.

    Args:
        item: ``(channels, height, width)`` in 0..1.
        suffix: One of `IMAGE_SUFFIXES`.

    Raises:
        MediaError: The format cannot hold that many channels.
    """
    if len(item) not in MODES:
        raise MediaError(f"an image file has 1, 3 or 4 channels, not {len(item)}", hint="write .npy")
    format = IMAGE_SUFFIXES[suffix]
    if len(item) == 4 and format == "JPEG":
        raise MediaError("JPEG has no transparency, and the image has", hint="write .png")
    buffer = io.BytesIO()
    image_of(item).save(buffer, format=format, **SAVE_OPTIONS.get(format, {}))
    return buffer.getvalue()
