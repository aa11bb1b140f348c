"""Pair keys of items that come without any, and names of what keys number."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from pathlib import PurePath

from ltzoo.errors import MediaError

__all__ = ["file_digest", "keys_of_names", "listing_digest"]

KEY_BYTES = 8


def keys_of_names(paths: Sequence[str], folder: str | None = None) -> list[int]:
    """Keys of files, made of their names alone, so that files of equal names in two folders can pair.

    Args:
        paths: The files.
        folder: Names count from here; by default from the folder that all files share.

    Returns:
        One int64 a file: the first 8 bytes of the SHA-256 of its name below the folder, with ``/`` between
        folders and without the suffix.
    """
    return [
        int.from_bytes(_sha256(os.path.splitext(name)[0])[:KEY_BYTES], "big", signed=True)
        for name in _relative(paths, folder)
    ]


def listing_digest(paths: Sequence[str], folder: str | None = None) -> str:
    """Differs between lists of files unless names below the folder, sizes and times of change are equal.

    Args:
        paths: The files.
        folder: As in `keys_of_names`.

    Raises:
        MediaError: A file is not there.
    """
    digest = hashlib.sha256()
    for name, path in zip(_relative(paths, folder), paths, strict=True):
        try:
            status = os.stat(path)
        except OSError as error:
            raise MediaError(f"{path}: cannot be read: {error.strerror or error}") from error
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return f"sha256:{digest.hexdigest()}"


def file_digest(path: str) -> str:
    """Differs between files unless their content is equal.

    Raises:
        MediaError: The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror or error}") from error


def _relative(paths: Sequence[str], folder: str | None) -> list[str]:
    """Names below the folder, spelt alike on all systems."""
    absolute = [os.path.abspath(path) for path in paths]
    if folder is None:
        folder = os.path.commonpath([os.path.dirname(path) for path in absolute])
    return [
        unicodedata.normalize("NFC", PurePath(os.path.relpath(path, folder)).as_posix()) for path in absolute
    ]


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
