"""What a file is, by its content: suffixes lie."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ltzoo.errors import MediaError
from ltzoo.spec import DataSpec, Modality

__all__ = ["Found", "open_input", "refuse_kind", "sniff", "takes"]

NAMES: dict[Modality, str] = {"image": "an image", "audio": "a sound", "text": "a text", "array": "an array"}
HEAD_BYTES = 4096


@dataclass(frozen=True)
class Found:
    """What a file's first bytes say.

    Attributes:
        name: For people, with its article: ``a WAV sound``.
        modality: What ltzoo can read it as; None if nothing.
        hint: How to make something of it that ltzoo can read.
    """

    name: str
    modality: Modality | None = None
    hint: str | None = None


IMAGE_HINT = "save it as PNG or JPEG"
SOUND_HINT = "convert it to WAV, FLAC or OGG"

# (offset, magic bytes, what it is)
SIGNATURES: tuple[tuple[int, bytes, Found], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", Found("a PNG image", "image")),
    (0, b"\xff\xd8\xff", Found("a JPEG image", "image")),
    (0, b"GIF87a", Found("a GIF image", "image")),
    (0, b"GIF89a", Found("a GIF image", "image")),
    (8, b"WEBP", Found("a WebP image", "image")),
    (0, b"BM", Found("a BMP image", "image")),
    (0, b"II*\0", Found("a TIFF image", "image")),
    (0, b"MM\0*", Found("a TIFF image", "image")),
    (0, b"\0\0\1\0", Found("an ICO icon", "image")),
    (0, b"icns", Found("an ICNS icon", "image")),
    (4, b"ftypavif", Found("an AVIF image", "image")),
    (0, b"\0\0\0\x0cjP  ", Found("a JPEG 2000 image", "image")),
    (4, b"ftypheic", Found("a HEIC photo", hint=IMAGE_HINT)),
    (4, b"ftypmif1", Found("a HEIF photo", hint=IMAGE_HINT)),
    (8, b"WAVE", Found("a WAV sound", "audio")),
    (0, b"fLaC", Found("a FLAC sound", "audio")),
    (0, b"OggS", Found("an OGG sound", "audio")),
    (0, b"ID3", Found("an MP3 sound", "audio")),
    *((0, bytes([0xFF, second]), Found("an MP3 sound", "audio")) for second in (0xFB, 0xFA, 0xF3, 0xF2)),
    (8, b"AIFF", Found("an AIFF sound", "audio")),
    (8, b"AIFC", Found("an AIFF sound", "audio")),
    (0, b".snd", Found("an AU sound", "audio")),
    (4, b"ftyp", Found("an MP4 or QuickTime file", hint=SOUND_HINT)),
    (0, b"\x1a\x45\xdf\xa3", Found("a Matroska or WebM file", hint=SOUND_HINT)),
    (0, b"\x93NUMPY", Found("a NumPy array", "array")),
    (0, b"PK\3\4", Found("a ZIP or .npz archive", "array")),
    (0, b"PK\5\6", Found("an empty ZIP archive", "array")),
    (0, b"\x1f\x8b", Found("a gzip archive")),
)


# No format above fits text: their heads hold zero bytes. These do, and come before plain text.
TEXT_SIGNATURES: tuple[tuple[re.Pattern[bytes], Found], ...] = (
    (re.compile(rb"P[1-6]\s+(#.*\n\s*)*\d+\s+\d+\s"), Found("a PNM image", "image")),
    (re.compile(rb"%PDF-"), Found("a PDF document", hint=IMAGE_HINT)),
    (re.compile(rb"[\s\S]{0,1024}<svg\b"), Found("an SVG drawing", "text", hint=IMAGE_HINT)),
)


def sniff(head: bytes) -> Found:
    """What a file that begins with these bytes is."""
    for pattern, found in TEXT_SIGNATURES:
        if pattern.match(head):
            return found
    if _is_text(head):
        return Found("a text file", "text")
    for offset, magic, found in SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return found
    return Found("a file of unknown format")


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The last character may have been cut in two.
        return len(head) >= HEAD_BYTES and error.start > len(head) - 4
    return True


def open_input(path: str | os.PathLike[str], needs: str) -> tuple[Path, Found]:
    """Sees that there is a file to read, and what it is.

    Args:
        path: The file.
        needs: What is needed, for messages: ``mnist/vae takes an image``.

    Raises:
        MediaError: There is no such file, it is a folder or empty, or may not be read.
    """
    where = os.fspath(path)
    try:
        if Path(path).is_dir():
            raise MediaError(f"{where}: is a folder; {needs}", hint="name one file in it")
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise MediaError(f"{where}: no such file; {needs}", hint=_neighbours(Path(path))) from error
    except (OSError, ValueError) as error:
        raise MediaError(
            f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}; {needs}"
        ) from error
    if not head:
        raise MediaError(f"{where}: is empty (0 bytes); {needs}")
    return Path(path), sniff(head)


def _neighbours(path: Path) -> str:
    folder = path.parent
    return f"there is no folder {folder} either" if not folder.is_dir() else "check the name with 'ls'"


def takes(data: DataSpec, model: str | None = None) -> str:
    """What is needed, for messages: ``mnist/vae takes an image``."""
    return f"{model or 'this model'} takes {NAMES[data.modality]}"


def refuse_kind(where: str, found: Found, needs: str) -> MediaError:
    """The error for a file of another kind than is needed."""
    return MediaError(f"{where}: is {found.name}; {needs}", hint=found.hint)
