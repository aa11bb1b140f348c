"""What a bridge is trained on: the checked latents of each model, and batches as a function of the step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ltzoo.bridge.config import LabelMap, TrainedOn
from ltzoo.bridge.entrances import Entrance, PooledEntrance, VectorEntrance, rows_of
from ltzoo.bridge.labels import class_indices
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.objective import Batch
from ltzoo.bridge.randomness import Purpose, generator, normal
from ltzoo.bridge.recipe import Recipe
from ltzoo.errors import FingerprintError, LatentsError, TrainingError, UsageError
from ltzoo.latents import SPLITS, LatentSet
from ltzoo.latents.latent_set import check_latent_shape
from ltzoo.spec import ModelSpec

__all__ = [
    "FEWEST_ITEMS",
    "VALIDATION_SHARE",
    "Sampler",
    "TrainingSet",
    "check_latents",
    "held_out_rows",
    "keep_labels",
    "of_classes",
    "training_part",
    "validation_part",
]

CHUNK = 1024
FEWEST_ITEMS = 4
"""Of a batch, where latents have many positions."""
MIN_ITEMS = 16
VALIDATION_SHARE = 10
CONSTANT = 1e-6
"""A dimension whose spread is below this share of the largest one's is taken to be constant."""


def training_part(latents: LatentSet) -> LatentSet:
    """What is trained on: the ``train`` part, without what `validation_part` takes of it.

    Raises:
        LatentsError: The set is split and has no ``train`` part.
    """
    part = _train(latents)
    if _has_part(latents, "validation"):
        return part
    return part.select(~_held_out(len(part)))


def validation_part(latents: LatentSet) -> LatentSet:
    """What choices are made on: the ``validation`` part if there is one, else a tenth of the items to train on.

    Raises:
        LatentsError: The set is split and has neither part.
    """
    if _has_part(latents, "validation"):
        return latents.part("validation")
    part = _train(latents)
    return part.select(_held_out(len(part)))


def of_classes(label_map: LabelMap, part: LatentSet) -> tuple[LatentSet, Tensor | None]:
    """Leaves out the items whose label is in no class.

    Returns:
        The others, and their class indices as `class_indices` gives them.
    """
    classes = class_indices(label_map, part)
    if classes is None:
        return part, None
    assert part.labels is not None
    # An item without a label may be of any class; one of another label is of none.
    used = (classes >= 0) | (part.labels.cpu() < 0)
    return part.select(used), classes[used]


def keep_labels(latents: LatentSet, per_class: int, seed: int) -> LatentSet:
    """The same latents, of which only some to train on still have a label.

    Test latents keep theirs: they are for measuring.

    Args:
        latents: The set.
        per_class: How many items of each label keep it, at least 1; all, if there are fewer.
        seed: Of the draw.

    Raises:
        UsageError: ``per_class`` is below 1, or the latents have no labels.
    """
    if per_class < 1:
        raise UsageError(f"labels per class must be at least 1, not {per_class}")
    if latents.labels is None:
        raise UsageError(f"latents of {latents.model} have no labels to keep some of")
    rows = torch.arange(len(latents))
    kept = torch.zeros(len(latents), dtype=torch.bool)
    if latents.split is not None:
        kept = latents.split.cpu() == SPLITS.index("test")
        rows = rows[latents.split.cpu() == SPLITS.index("train")]
    if not _has_part(latents, "validation"):
        rows = rows[~_held_out(len(rows))]
    labels = latents.labels.cpu()
    for label in range(len(latents.label_names)):
        members = rows[labels[rows] == label].numpy()
        chosen = generator(seed, Purpose.LABELS, label).permutation(members)[:per_class]
        kept[torch.from_numpy(chosen)] = True
    return replace(latents, labels=torch.where(kept, labels, -1))


def _train(latents: LatentSet) -> LatentSet:
    return latents if latents.split is None else latents.part("train")


def held_out_rows(items: int) -> np.ndarray:
    """A tenth of the rows, as a mask: always the same ones, at random, since the order may follow the classes."""
    order = generator(0, Purpose.HOLD_OUT).permutation(items)
    return order < items // VALIDATION_SHARE


def _held_out(items: int) -> Tensor:
    return torch.from_numpy(held_out_rows(items))


def _has_part(latents: LatentSet, split: str) -> bool:
    return latents.split is not None and bool((latents.split == SPLITS.index(split)).any())


def check_latents(sets: Sequence[LatentSet], models: Sequence[ModelSpec]) -> None:
    """Refuses latents that a bridge between the models cannot be trained on.

    Raises:
        TrainingError: There are fewer than two models, one is given twice, or the numbers differ.
        FingerprintError: Latents come from another model or other weights.
        LatentsError: Latents have another shape than the model's, or are not finite.
    """
    if len(models) < 2:
        raise TrainingError("a bridge joins at least two models", hint="name one more model")
    ids = [model.id for model in models]
    twice = [name for name in ids if ids.count(name) > 1]
    if twice:
        raise TrainingError(f"{twice[0]} is named twice", hint="name different models")
    if len(sets) != len(models):
        raise TrainingError(f"{len(models)} models need as many latent sets, not {len(sets)}")
    for latents, model in zip(sets, models, strict=True):
        if latents.model != model.id or latents.fingerprint != model.fingerprint:
            raise FingerprintError(
                f"latents of {latents.model} (fingerprint {latents.fingerprint[:12]}) are not those of "
                f"{model.id} (fingerprint {model.fingerprint[:12]})",
                hint=f"encode the data again with {model.id}",
            )
        check_latent_shape(latents.latent_shape, model, where=f"latents of {model.id}")
        for name, values in (("latents", latents.latents), ("std", latents.std)):
            bad = None if values is None else ~values.isfinite().flatten(1).all(dim=1)
            if bad is not None and bool(bad.any()):
                raise LatentsError(
                    f"{name} of {model.id}: row {int(bad.nonzero()[0])} has NaN or infinite values",
                    hint="encode the data again, or leave those items out",
                )


class TrainingSet:
    """The latents of one model that a bridge is trained on, grouped by class.

    Attributes:
        mean: float32 ``(n, size)``, or ``(n, size, *positions)``: posterior means, as they enter the network.
        std: Of the same shape: posterior standard deviations, if the model has any.
        groups: int64 row numbers, one array a class; a single one without classes.
        rest: int64 row numbers of items without a class, if there are classes.
        keys: int64 ``(n,)``: pair keys, if there are any.
        keys_of: What they number.

    Args:
        latents: The set; only its `training_part` is used.
        label_map: The classes. Items with a label that is in no class are left out.
        device: Where the latents go.
        entrance: How they enter; None for vectors, which enter as they are.

    Raises:
        TrainingError: There are too few latents, or a class has none.
    """

    def __init__(
        self,
        latents: LatentSet,
        label_map: LabelMap,
        device: str | torch.device,
        entrance: Entrance | None = None,
    ) -> None:
        part, classes = of_classes(label_map, training_part(latents))
        if len(part) < MIN_ITEMS:
            raise TrainingError(
                f"{len(part)} latents of {latents.model} to train on are too few; at least {MIN_ITEMS} are needed",
                hint="encode more data",
            )
        self.model = latents.model
        self.license = latents.license
        self.keys, self.keys_of = part.keys, part.keys_of
        entrance = entrance or VectorEntrance(latents.latent_shape)
        self._one_scale = isinstance(entrance, PooledEntrance)
        self.mean = _entered(entrance.enter, part.latents, device)
        self.std = None if part.std is None else _entered(entrance.enter_std, part.std, device)
        self.groups = [np.arange(len(part))]
        self.rest = np.arange(0)
        if classes is not None:
            order = classes.numpy()
            self.groups = [np.flatnonzero(order == index) for index in range(len(label_map.classes))]
            self.rest = np.flatnonzero(order < 0)
        for group, name in zip(self.groups, label_map.classes, strict=False):
            if not len(group):
                raise TrainingError(
                    f"no latents of {latents.model} to train on are of class '{name}'",
                    hint="encode data of that class, or leave it out of the label map",
                )
        self._labelled = self.groups
        self._digest = _digest(part, classes)

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def positions(self) -> int:
        """Of each latent; 1 for vectors."""
        return math.prod(self.mean.shape[2:])

    def guess(self, classes: Sequence[np.ndarray]) -> None:
        """Adds unlabelled rows to the groups, in place of those added before.

        Args:
            classes: Row numbers out of ``rest``, one array a class.
        """
        self.groups = [
            np.concatenate([known, guessed]) for known, guessed in zip(self._labelled, classes, strict=True)
        ]

    @property
    def trained_on(self) -> TrainedOn:
        """What a bridge's config says about this set."""
        return TrainedOn(model=self.model, items=len(self), sha256=self._digest, license=self.license)

    def normalization(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each dimension over the model's posteriors, each ``(size,)``.

        Posterior variances count, so that dimensions in which a VAE's posterior has collapsed onto the
        prior are not blown up. A constant dimension has standard deviation 1. Pooled latents have one for all
        dimensions: these are principal axes, of which the last must not count as much as the first.
        """
        values = rows_of(self.mean).double()
        mean, variance = values.mean(dim=0), values.var(dim=0, correction=0)
        if self.std is not None:
            variance += rows_of(self.std).double().square().mean(dim=0)
        if self._one_scale:
            variance = variance.mean().expand_as(variance)
        spread = variance.sqrt()
        constant = spread <= CONSTANT * spread.max()
        return mean.float(), torch.where(constant, torch.ones_like(spread), spread).float()


class Sampler:
    """Batches as a pure function of the step.

    Classes take turns, row by row, and each model's items of a class come in shuffled epochs of their
    own (``method.md`` 1.6): row i of a batch is of the same class for every model.

    Args:
        sets: One a model, with the same classes.
        network: Normalises the latents.
        recipe: Gives the batch size, and whether inputs are drawn from the posteriors.
        seed: Of the run.

    Attributes:
        batch: Latents of each model a step.
        rows_a_class: Rows of a class in a batch: latents, or positions of latents.
    """

    def __init__(
        self, sets: Sequence[TrainingSet], network: BridgeNetwork, recipe: Recipe, seed: int
    ) -> None:
        self._sets = sets
        self._network = network
        self._noise = recipe.posterior_noise
        self._seed = seed
        self._classes = len(sets[0].groups)
        rows = recipe.batch_of(len(sets))
        # Class-wise terms compare equally many rows of every class.
        self.batch = max(rows // self._classes, 1) * self._classes if recipe.class_wise else rows
        positions = sets[0].positions
        if positions > 1:
            self.batch = max(rows // positions, FEWEST_ITEMS)
        self.rows_a_class = self.batch * positions // self._classes
        self._orders: dict[tuple[int, int], tuple[int, np.ndarray]] = {}

    def rows(self, model: int, step: int) -> np.ndarray:
        """The row numbers of one model's batch, int64 ``(batch,)``."""
        first, classes = step * self.batch, self._classes
        rows = np.empty(self.batch, dtype=np.int64)
        for offset in range(min(classes, self.batch)):
            group_index = (first + offset) % classes
            taken = (first + offset) // classes
            rows[offset::classes] = self._items(model, group_index, taken, len(rows[offset::classes]))
        return rows

    def batch_at(self, step: int, rng: np.random.Generator) -> Batch:
        """The batch of one step; ``rng`` gives the posterior noise."""
        inputs: list[Tensor] = []
        noise: list[Tensor | None] = []
        for index, data in enumerate(self._sets):
            rows = torch.from_numpy(self.rows(index, step)).to(data.mean.device)
            x = self._network.normalize(data.mean[rows], index)
            std = None if data.std is None else self._network.normalize_std(data.std[rows], index)
            if self._noise and std is not None:
                x = x + std * normal(rng, *x.shape).to(x.device)
            inputs.append(x)
            noise.append(std)
        if self._classes == 1:
            return Batch(tuple(inputs), tuple(noise), None)
        turns = torch.arange(step * self.batch, (step + 1) * self.batch, device=inputs[0].device)
        return Batch(tuple(inputs), tuple(noise), turns % self._classes)

    def _items(self, model: int, group_index: int, taken: int, count: int) -> np.ndarray:
        """The next ``count`` items of a class after ``taken`` of them, through shuffled epochs."""
        group = self._sets[model].groups[group_index]
        parts = []
        while count:
            epoch, place = divmod(taken, len(group))
            part = group[self._order(model, group_index, epoch)[place : place + count]]
            parts.append(part)
            taken, count = taken + len(part), count - len(part)
        return np.concatenate(parts)

    def _order(self, model: int, group_index: int, epoch: int) -> np.ndarray:
        """The shuffled order of one epoch; the latest one of each class is kept."""
        kept = self._orders.get((model, group_index))
        if kept is None or kept[0] != epoch:
            rng = generator(self._seed, Purpose.ORDER, model, group_index, epoch)
            kept = (epoch, rng.permutation(len(self._sets[model].groups[group_index])))
            self._orders[model, group_index] = kept
        return kept[1]


def _entered(enter: Callable[[Tensor], Tensor], values: Tensor, device: str | torch.device) -> Tensor:
    return torch.cat([enter(chunk.to(device)) for chunk in values.split(CHUNK)])


def _digest(part: LatentSet, classes: Tensor | None) -> str:
    digest = hashlib.sha256()
    for tensor in (part.latents, part.std, classes):
        digest.update(b"-" if tensor is None else tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
