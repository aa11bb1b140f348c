"""How far corrections on a base that was fitted to pairs are trusted: chosen on pairs that neither was fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.pairs import Pairs
from ltzoo.bridge.sampling import TrainingSet

__all__ = ["choose_share"]

CHUNK = 512
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MIN_HELD_OUT = 8
"""With fewer pairs to choose on nothing can be said about corrections, and there are none."""


def choose_share(network: BasedAutoencoder, sets: Sequence[TrainingSet], pairs: Pairs) -> float:
    """Scales the corrections by the share of them with the least error on some pairs, and gives it.

    Args:
        network: Trained; changed in place.
        sets: One a model.
        pairs: What the choice is made on; with too few of them, the share is 0.
    """
    shares = SHARES if len(pairs) >= MIN_HELD_OUT else SHARES[:1]
    errors = []
    with torch.no_grad():
        full = [parameter.clone() for parameter in network.last_parameters]
        for share in shares:
            _scale(network, full, share)
            errors.append(sum(_error(network, sets, ends, rows) for ends, rows in pairs.rows.items()))
        best = shares[int(np.argmin(errors))]
        _scale(network, full, best)
    return best


def _error(
    network: BasedAutoencoder, sets: Sequence[TrainingSet], ends: tuple[int, int], rows: np.ndarray
) -> float:
    """Summed squared error of translations both ways."""
    error = 0.0
    for part in np.split(rows, range(CHUNK, len(rows), CHUNK)):
        latents = []
        for end, column in zip(ends, part.T, strict=True):
            mean = sets[end].mean
            latents.append(network.normalize(mean[torch.from_numpy(column.copy()).to(mean.device)], end))
        for source, target in ((0, 1), (1, 0)):
            shared, _ = network.encode(latents[source], ends[source])
            error += float((network.decode(shared, ends[target]) - latents[target]).square().sum())
    return error


def _scale(network: BasedAutoencoder, full: Sequence[Tensor], share: float) -> None:
    for parameter, values in zip(network.last_parameters, full, strict=True):
        parameter.copy_(values)
        # The encoder's second half is the deviation, not a correction.
        parameter[: network.architecture.code_dim].mul_(share)
