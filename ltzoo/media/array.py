"""Arrays in .npy and .npz files: read row by row, never whole, never unpickled."""

from __future__ import annotations

import lzma
import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ltzoo.errors import MediaError

__all__ = ["StoredArray", "open_arrays"]

Array = NDArray[Any]

MAX_ROW_BYTES = 1 << 30
SKIP_BYTES = 1 << 20
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What zipfile and its decompressors raise on damaged archives.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class StoredArray:
    """An array in a .npy file, or in a member of an .npz file, that is read a few rows at a time.

    Rows are read rather than mapped: pages of a mapped file count as memory of the process.

    Attributes:
        path: The file.
        member: Name of the member of an .npz file.
        shape: Of the whole array.
        dtype: Of its values.
        offset: Of the first value, from the start of the file or member.
    """

    path: Path
    member: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def name(self) -> str:
        """The file, and the member in it, for messages."""
        return os.fspath(self.path) + (f" [{self.member.removesuffix('.npy')}]" if self.member else "")

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 1

    def rows(self, start: int, size: int) -> Iterator[Array]:
        """The rows from ``start`` on, at most ``size`` at a time.

        Raises:
            MediaError: The file is damaged.
        """
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        with _damage(self.name), _open(self.path, self.member) as file:
            _skip(file, self.offset + start * row_bytes)
            while start < len(self):
                count = min(size, len(self) - start)
                raw = file.read(count * row_bytes)
                if len(raw) != count * row_bytes:
                    raise MediaError(f"{self.name}: ends before row {start + count} of {len(self)}")
                yield np.frombuffer(raw, dtype=self.dtype).reshape(count, *self.shape[1:])
                start += count

    def whole(self) -> Array:
        """The whole array.

        Raises:
            MediaError: The file is damaged, or the array has more than a gigabyte.
        """
        size = self.dtype.itemsize * math.prod(self.shape)
        if size > MAX_ROW_BYTES:
            raise MediaError(f"{self.name}: has {size} bytes; at most {MAX_ROW_BYTES} are read at once")
        rows = next(self.rows(0, max(1, len(self))), np.empty(self.shape, self.dtype))
        return rows.reshape(self.shape)


def open_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of a file, by name; a .npy file has one, named ``x``.

    Raises:
        MediaError: The file is neither .npy nor .npz, is damaged, or holds arrays that cannot be read row by row.
    """
    with _damage(os.fspath(path)):
        if not zipfile.is_zipfile(path):
            return {"x": _read_header(path, None, path.stat().st_size)}
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        if not members:
            raise MediaError(
                f"{os.fspath(path)}: is a ZIP archive without arrays", hint="write it with numpy.savez"
            )
        return {
            info.filename.removesuffix(".npy"): _read_header(path, info.filename, info.file_size)
            for info in members
        }


@contextmanager
def _damage(where: str) -> Iterator[None]:
    try:
        yield
    except ZIP_ERRORS as error:
        raise MediaError(f"{where}: cannot be read: {error}") from error


@contextmanager
def _open(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        with path.open("rb") as file:
            yield file
    else:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            yield file


def _skip(file: IO[bytes], count: int) -> None:
    """Goes forward by ``count`` bytes."""
    if not isinstance(file, zipfile.ZipExtFile):
        file.seek(count)
        return
    while count > 0:
        skipped = len(file.read(min(count, SKIP_BYTES)))
        if not skipped:
            return
        count -= skipped


def _read_header(path: Path, member: str | None, size: int) -> StoredArray:
    where = os.fspath(path) + (f" [{member.removesuffix('.npy')}]" if member else "")
    with _open(path, member) as file, warnings.catch_warnings():
        try:
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            version = npy.read_magic(file)
            if version not in READERS:
                raise ValueError(f"version {version} of the format")
            shape, fortran, dtype = READERS[version](file)
        # numpy parses the header as Python: anything that a damaged one can be may be raised.
        except Exception as error:
            raise MediaError(f"{where}: is not a readable NumPy array: {_first_line(error)}") from error
        offset = file.tell()
    if dtype.hasobject or dtype.names is not None:
        raise MediaError(
            f"{where}: holds {dtype}, which ltzoo does not read: only numbers and strings",
            hint="save an array of numbers or of fixed-length strings",
        )
    if fortran and len(shape) > 1:
        raise MediaError(
            f"{where}: is stored column by column", hint="save it with numpy.ascontiguousarray(x)"
        )
    if any(length < 0 for length in shape):
        raise MediaError(f"{where}: is not a readable NumPy array: shape {shape}")
    needed = offset + dtype.itemsize * math.prod(shape)
    if size < needed:
        raise MediaError(f"{where}: is cut short: {size} bytes, where its header announces {needed}")
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    if not 0 < row_bytes <= MAX_ROW_BYTES:
        raise MediaError(f"{where}: its rows have {row_bytes} bytes; ltzoo reads 1 to {MAX_ROW_BYTES}")
    return StoredArray(path=path, member=member, shape=tuple(shape), dtype=dtype, offset=offset)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]
