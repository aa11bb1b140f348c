"""Random numbers as pure functions of seed, purpose and position, so that a resumed run needs no state."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo.errors import UsageError

__all__ = ["Purpose", "check_seed", "generator", "normal", "unit_directions"]


class Purpose(IntEnum):
    """What random numbers are for: each purpose has streams of its own."""

    WEIGHTS = 0
    ORDER = 1
    STEP = 2
    TRANSLATION = 3
    HOLD_OUT = 4
    INFERENCE = 5
    DIRECTIONS = 6
    LABELS = 7
    PAIRS = 8
    PAIR_ORDER = 9
    PAIR_NOISE = 10


def generator(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """The generator of one place in a run: a counter-based one, so that no two places share numbers.

    Args:
        seed: 0 <= seed < 2**64.
        purpose: What the numbers are for.
        *position: Up to three numbers that say where, for example the step.
    """
    # The counter's lowest word counts the numbers drawn; the others are free to say where.
    counter = [0, *position, *[0] * (3 - len(position))]
    return np.random.Generator(np.random.Philox(key=[seed, int(purpose)], counter=counter))


def check_seed(seed: int) -> None:
    """Refuses seeds that the generators cannot take.

    Raises:
        UsageError: The seed is negative or not below 2**63.
    """
    if not 0 <= seed < 2**63:
        raise UsageError(f"the seed must be at least 0 and below 2**63, not {seed}")


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal numbers, float32."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def unit_directions(rng: np.random.Generator, dims: int, count: int) -> Tensor:
    """Directions spread evenly over the sphere: Gaussian columns scaled to unit norm, ``(dims, count)``."""
    return F.normalize(normal(rng, dims, count), dim=0)
