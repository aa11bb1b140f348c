"""Where each tensor lies in a safetensors file whose tensors are written piece by piece.

The safetensors library writes tensors that are all in memory. A data set of any size is encoded in
constant memory, so its file is laid out here, before the first latent is known, byte for byte as the
library would: header, then the tensors by falling size of their elements, then by name.
https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

__all__ = ["Layout", "TensorPlace"]

DTYPE_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64", torch.uint8: "U8"}
ALIGNMENT = 8


@dataclass(frozen=True)
class TensorPlace:
    """One tensor of the file: its dtype, its shape, and the offset of its first byte from the file's start."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one item."""
        return self.dtype.itemsize * math.prod(self.shape[1:])


@dataclass(frozen=True)
class Layout:
    """A safetensors file before its tensors are known.

    Attributes:
        header: The bytes in front of the tensors.
        places: The tensors, by name.
        size: Of the whole file, in bytes.
    """

    header: bytes
    places: dict[str, TensorPlace]
    size: int

    @classmethod
    def of(
        cls, tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], metadata: Mapping[str, str]
    ) -> Layout:
        """Lays out a file.

        Args:
            tensors: dtype and shape of each tensor, by name.
            metadata: The file's metadata.
        """
        entries: dict[str, object] = {"__metadata__": dict(metadata)}
        starts = {}
        end = 0
        for name in sorted(tensors, key=lambda name: (-tensors[name][0].itemsize, name)):
            dtype, shape = tensors[name]
            starts[name] = end
            end += dtype.itemsize * math.prod(shape)
            entries[name] = {
                "dtype": DTYPE_NAMES[dtype],
                "shape": list(shape),
                "data_offsets": [starts[name], end],
            }
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        header = len(text).to_bytes(8, "little") + text
        places = {
            name: TensorPlace(*tensors[name], offset=len(header) + start) for name, start in starts.items()
        }
        return cls(header=header, places=places, size=len(header) + end)
