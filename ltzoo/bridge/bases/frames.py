"""`FrameValues`: what a base gives of one model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["FLOOR", "FrameValues"]

FLOOR = 1e-5
"""Least variance along an axis, in normalised units: what varies less is taken for noise."""


@dataclass(frozen=True, eq=False)
class FrameValues:
    """Affine maps between a model's normalised latents and the code, one a class; see `ltzoo.bridge.based.Frame`.

    Attributes:
        mean: ``(classes, size)``.
        into: ``(classes, size, code)``.
        out_of: ``(classes, code, size)``.
    """

    mean: Tensor
    into: Tensor
    out_of: Tensor

    @classmethod
    def of_one(cls, mean: Tensor, into: Tensor, out_of: Tensor) -> FrameValues:
        """One map for all classes, of float64 ``(size,)``, ``(size, code)`` and ``(code, size)``."""
        return cls(mean[None].float(), into[None].float(), out_of[None].float())
