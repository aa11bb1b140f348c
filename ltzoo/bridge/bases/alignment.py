"""Turning a model's frames so that its codes are those of its pairs' partners."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ltzoo.bridge.bases.frames import FrameValues
from ltzoo.bridge.bases.joint import JointMoments

__all__ = ["turned_onto"]


def turned_onto(first: FrameValues, second: FrameValues, pairs: Sequence[JointMoments]) -> FrameValues:
    """The second model's frames, whose code is turned so that it agrees with the first model's on pairs.

    The turn of a class is orthogonal (Procrustes), so that the code stays distributed as it was and there and
    back is the same. Axes that pairs say nothing about stay where they are.

    Args:
        first: Frames of the first model.
        second: Frames of the second model, as many.
        pairs: Of each class, normalised latents of the first model with those of the second; there may be none.
    """
    into, out_of = second.into.clone(), second.out_of.clone()
    for label, joint in enumerate(pairs):
        if not joint.count:
            continue
        _, between, _ = joint.covariances
        own, other = first.into[label].double(), second.into[label].double()
        # One more pair that agrees along every axis decides where the others leave it open.
        agreement = joint.count * other.T @ between.T @ own + torch.eye(own.shape[1], dtype=own.dtype)
        left, _, right = torch.linalg.svd(agreement)
        turn = left @ right
        into[label] = (other @ turn).float()
        out_of[label] = (turn.T @ second.out_of[label].double()).float()
    return FrameValues(second.mean, into, out_of)
