"""safetensors files that somebody else may have written: what their header promises is bounded before it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

__all__ = ["MAX_HEADER_BYTES", "MAX_TENSORS", "open_tensors"]

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 4 * 2**20
"""The format itself allows 100 MB, which take a gigabyte of memory to parse."""
MAX_TENSORS = 20_000


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Opens a safetensors file, as `safetensors.safe_open` with ``framework="pt"``.

    Args:
        path: The file.

    Yields:
        The open file.

    Raises:
        OSError: It cannot be read.
        SafetensorError: It is no safetensors file, its header is larger than `MAX_HEADER_BYTES` or names more than
            `MAX_TENSORS`, or promises other sizes than the file has.
    """
    path = Path(path)
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    if size < LENGTH_BYTES or length > size - LENGTH_BYTES:
        raise SafetensorError("the header is longer than the file")
    if length > MAX_HEADER_BYTES:
        raise SafetensorError(f"the header is longer than {MAX_HEADER_BYTES // 2**20} MiB")
    with safe_open(path, framework="pt") as file:
        if len(file.keys()) > MAX_TENSORS:
            raise SafetensorError(f"more than {MAX_TENSORS:,} tensors")
        yield file
