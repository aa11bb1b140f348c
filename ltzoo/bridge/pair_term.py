"""The term of the objective that compares translations of paired latents with their partners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.entrances import rows_of
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.pairs import Pairs
from ltzoo.bridge.randomness import Purpose, generator, normal
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.sampling import FEWEST_ITEMS, TrainingSet

__all__ = ["PairTerm"]


class PairTerm:
    """Squared error of translated latents against the partners', as a pure function of the step.

    Pairs come in shuffled epochs; where several models have pairs, two of them a step, in turn.

    On a base that was fitted to pairs, the corrections see codes with as much noise as the posterior of the
    model that the code is of has on average, while the base maps codes without. What that noise hides, no
    correction can learn by heart: it keeps them from overfitting few pairs.

    Args:
        sets: One a model.
        network: Normalises the latents.
        pairs: At least some.
        recipe: Gives the batch size.
        seed: Of the run.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        network: BridgeNetwork,
        pairs: Pairs,
        recipe: Recipe,
        seed: int,
    ) -> None:
        self._sets = sets
        self._network = network
        self._pairs = list(pairs.rows.items())
        positions = sets[0].positions
        alone = isinstance(network, BasedAutoencoder) and network.architecture.paired
        # Beside other terms, both directions together count as one more model.
        rows = recipe.batch if alone else max(recipe.batch_of(len(sets)) // 2, 1)
        self._batch = max(rows // positions, FEWEST_ITEMS) if positions > 1 else rows
        self._seed = seed
        self._blur: Tensor | None = None
        hub = pairs.hub(len(sets))
        if alone and hub is not None:
            self._hub, std = hub, sets[hub].std
            if std is not None:
                self._blur = rows_of(network.normalize_std(std, hub)).square().mean(dim=0).sqrt()

    def rows(self, step: int) -> tuple[tuple[int, int], np.ndarray]:
        """Two models, and the row numbers of some of their pairs, int64 ``(n, 2)``."""
        turn, index = divmod(step, len(self._pairs))
        models, pairs = self._pairs[index]
        count = min(self._batch, len(pairs))
        first, parts = turn * count, []
        while count:
            epoch, place = divmod(first, len(pairs))
            order = generator(self._seed, Purpose.PAIR_ORDER, index, epoch).permutation(len(pairs))
            parts.append(pairs[order[place : place + count]])
            first, count = first + len(parts[-1]), count - len(parts[-1])
        return models, np.concatenate(parts)

    def at(self, step: int) -> Tensor:
        """The term at one step: a scalar, in normalised units."""
        (a, b), rows = self.rows(step)
        rng = generator(self._seed, Purpose.PAIR_NOISE, step)
        x, y = (self._latents(end, rows[:, side]) for side, end in enumerate((a, b)))
        there, back = self._translated(a, b, x, rng), self._translated(b, a, y, rng)
        return (F.mse_loss(there, y) + F.mse_loss(back, x)) / 2

    def _latents(self, end: int, rows: np.ndarray) -> Tensor:
        mean = self._sets[end].mean
        index = torch.from_numpy(np.ascontiguousarray(rows)).to(mean.device)
        return self._network.normalize(mean[index], end)

    def _translated(self, source: int, target: int, x: Tensor, rng: np.random.Generator) -> Tensor:
        network = self._network
        if self._blur is None or not isinstance(network, BasedAutoencoder):
            mean, _ = network.encode(x, source)
            return network.decode(mean, target)
        noise = self._blur * normal(rng, len(x), *x.shape[2:], len(self._blur)).to(x.device)
        blur = network.code_noise(noise, self._hub)
        mean, _ = network.encode(x, source, blur=blur)
        return network.decode(mean, target, blur=blur)
