"""Text: UTF-8 files."""

from __future__ import annotations

import os
from pathlib import Path

from ltzoo.errors import MediaError

__all__ = ["MAX_BYTES", "decode_text", "read_text"]

MAX_BYTES = 1_000_000


def read_text(path: Path) -> str:
    """The whole file as one text, without the white space around it.

    Raises:
        MediaError: It is not UTF-8, is blank, or has more than a million bytes.
    """
    where = os.fspath(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise MediaError(f"{where}: has {size} bytes of text; at most {MAX_BYTES} are read as one item")
    return decode_text(path.read_bytes(), where)


def decode_text(raw: bytes, where: str) -> str:
    """Bytes as text, without the white space around it.

    Args:
        raw: UTF-8, with or without a byte order mark.
        where: The file or line, for messages.

    Raises:
        MediaError: It is not UTF-8, or blank.
    """
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise MediaError(
            f"{where}: is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
        ) from error
    if "\0" in text:
        raise MediaError(f"{where}: is not text: it holds zero bytes")
    if not text:
        raise MediaError(f"{where}: holds no text")
    return text
