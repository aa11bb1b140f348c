"""Interpolation between two items: straight or along an arc, in the source, the shared or the target space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ltzoo.bridge.bridge import Bridge
from ltzoo.errors import LatentsError, UsageError

__all__ = ["Method", "Space", "interpolate", "linear", "slerp"]

Space = Literal["source", "shared", "target"]
Method = Literal["linear", "slerp"]

PARALLEL = 1e-4
"""Radians; below this the arc is the straight line."""


def linear(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Even steps on the straight line between two points.

    Args:
        first: ``(*shape)``.
        last: Of the same shape.
        steps: How many, both ends included; at least 2.

    Returns:
        ``(steps, *shape)``.
    """
    shares = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)
    return torch.stack([torch.lerp(first, last, share) for share in shares])


def slerp(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Even steps along the great arc between two points (Shoemake 1985; White 2016, arXiv:1609.04468).

    Latents of a Gaussian prior lie near a sphere; a straight line cuts through its empty inside, an arc
    does not. Ends of different lengths keep them, and the lengths between pass from one to the other.

    Args:
        first: ``(*shape)``; taken as one vector.
        last: Of the same shape.
        steps: How many, both ends included; at least 2.

    Returns:
        ``(steps, *shape)``.

    Raises:
        LatentsError: The ends point in opposite directions, or one is zero: no arc is the shortest.
    """
    a, b = first.flatten().double(), last.flatten().double()
    lengths = a.norm() * b.norm()
    if float(lengths) == 0:
        raise LatentsError("an end of the path is zero and has no direction", hint="use --method linear")
    angle = torch.arccos(((a @ b) / lengths).clamp(-1, 1))
    if float(angle) > torch.pi - PARALLEL:
        raise LatentsError("the ends of the path point in opposite directions", hint="use --method linear")
    if float(angle) < PARALLEL:
        return linear(first, last, steps)
    shares = torch.linspace(0, 1, steps, dtype=torch.float64, device=first.device)[:, None]
    points = (torch.sin((1 - shares) * angle) * a + torch.sin(shares * angle) * b) / torch.sin(angle)
    return points.to(first.dtype).view(steps, *first.shape)


METHODS: dict[Method, Callable[[Tensor, Tensor, int], Tensor]] = {"linear": linear, "slerp": slerp}


def interpolate(
    ends: Tensor,
    bridge: Bridge | None,
    *,
    source: str,
    target: str,
    space: Space = "source",
    method: Method = "linear",
    steps: int = 8,
) -> Tensor:
    """Latents of the target on a path between two latents of the source.

    Args:
        ends: ``(2, *source_shape)``.
        bridge: Translates; None within one model, whose source and target space are one.
        source: Id of the model that the ends belong to.
        target: Id of the model that the path is decoded by.
        space: Where the path is even: in the source's latents (each step is then translated), in z', or
            in the target's latents (the translated ends are joined).
        method: Straight, or along an arc.
        steps: Points, both ends included; at least 2.

    Returns:
        ``(steps, *target_shape)``.

    Raises:
        UsageError: Without a bridge, the models differ or the space is z'.
        LatentsError: There is no arc between the ends, or the ends are not latents of the source.
        BridgeError: The bridge does not join the models.
    """
    path = METHODS[method]
    if bridge is None:
        if source != target or space == "shared":
            raise UsageError("only within one model is a path without a bridge", hint="give --bridge REF")
        return path(ends[0], ends[1], steps)
    if space == "source":
        return bridge.translate(path(ends[0], ends[1], steps), source=source, target=target)
    if space == "shared":
        shared = bridge.shared(ends, source=source)
        return bridge.decode_shared(path(shared[0], shared[1], steps), target=target)
    translated = bridge.translate(ends, source=source, target=target)
    return path(translated[0], translated[1], steps)
