"""What is done before the first step: frames of the base, networks that infer classes, and what is usual."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo.bridge import quantiles
from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.bases import FrameValues, Moments, solve_base
from ltzoo.bridge.config import LabelMap
from ltzoo.bridge.entrances import rows_of
from ltzoo.bridge.likeness import Likeness, NearestLatents
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.novelty import Novelty
from ltzoo.bridge.objective import SMOOTHING
from ltzoo.bridge.pairs import Pairs, aligned_frames, paired_frames
from ltzoo.bridge.quantiles import QuantileTable
from ltzoo.bridge.randomness import Purpose, generator, normal
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.sampling import TrainingSet, of_classes, validation_part
from ltzoo.bridge.schedule import one_cycle
from ltzoo.errors import TrainingError
from ltzoo.latents import LatentSet

__all__ = ["find_likenesses", "fit_novelty", "prepare_added", "prepare_base", "solve_frames"]

CHUNK = 8192

ROUNDS = 2
"""How often unlabelled latents are given the classes inferred for them, and inference learns from these."""

SURE = 0.6
"""Probability from which an inferred class is taken for a label. Smoothed labels keep it below 0.96."""

INFERENCE_BATCH = 512
INFERENCE_RATE = 3e-3
INFERENCE_DECAY = 0.01
INFERENCE_WARM_UP = 0.3


def prepare_base(
    network: BasedAutoencoder, sets: Sequence[TrainingSet], recipe: Recipe, seed: int, pairs: Pairs
) -> None:
    """Trains the inference of classes and solves for the base.

    Latents without a label take part with the class that is inferred for them, unless that is in doubt.

    Args:
        network: Gets both; its normalisation is set already.
        sets: The latents, one a model.
        recipe: Which base, and how long inference is trained.
        seed: Of the run.
        pairs: What a base on pairs is fitted to.

    Raises:
        TrainingError: The base comes out not finite.
    """
    for end, data in enumerate(sets):
        _infer_classes(network, end, data, recipe, seed)
    solve_frames(network, sets, recipe, pairs)


def solve_frames(
    network: BasedAutoencoder, sets: Sequence[TrainingSet], recipe: Recipe, pairs: Pairs
) -> None:
    """Solves for the base; see `prepare_base`.

    Raises:
        TrainingError: The base comes out not finite.
    """
    with torch.no_grad():
        if network.architecture.paired:
            frames = paired_frames(network, sets, pairs, recipe)
        else:
            moments = [_moments(network, end, data) for end, data in enumerate(sets)]
            frames = solve_base(moments, network.architecture.code_dim, recipe)
            frames = aligned_frames(network, sets, pairs, frames)
        for end, values in enumerate(frames):
            _set_frame(network, end, values, recipe, sets[end].model)


def prepare_added(network: BasedAutoencoder, sets: Sequence[TrainingSet], recipe: Recipe, seed: int) -> None:
    """Does for the last model what `prepare_base` does for all; that of the others is there.

    Its maps lead into the code that the others share: bases take it from the moments of the first model.
    """
    *old, (new, data) = enumerate(sets)
    for end, one in old:
        if len(one.rest) and network.architecture.classes:
            one.guess(_guesses(network, end, one))
    _infer_classes(network, new, data, recipe, seed)
    with torch.no_grad():
        moments = [_moments(network, end, sets[end]) for end in (0, new)]
        values = solve_base(moments, network.architecture.code_dim, recipe)[-1]
        _set_frame(network, new, values, recipe, data.model)


def find_likenesses(
    network: BridgeNetwork, sets: Sequence[TrainingSet], recipe: Recipe, levels: int, seed: int
) -> list[Likeness]:
    """What translations into each model are compared with, in the units of the network.

    Args:
        network: Its normalisation is set already.
        sets: The latents, one a model.
        recipe: Says whether nearness counts.
        levels: Rows of a class that are compared.
        seed: Of the run.
    """
    found = []
    for end, data in enumerate(sets):
        groups = [
            network.normalize(data.mean[torch.from_numpy(rows)], end)
            if data.mean.ndim == 2
            else _some_rows(network, end, data, rows, generator(seed, Purpose.DIRECTIONS, end, 1))
            for rows in data.groups
        ]
        table = QuantileTable(groups, levels, generator(seed, Purpose.DIRECTIONS, end))
        nearest = None
        if recipe.nearness_weight:
            nearest = NearestLatents(groups, generator(seed, Purpose.DIRECTIONS, end, 2))
        found.append(Likeness(table, nearest))
    return found


def fit_novelty(
    network: BridgeNetwork,
    sets: Sequence[TrainingSet],
    latents: Sequence[LatentSet],
    label_map: LabelMap,
    *,
    first: int = 0,
) -> None:
    """Sets what is usual for each model's latents.

    Held-out latents of a label that is in no class do not count, as nothing was trained on their like.

    Args:
        network: Its normalisation is set already.
        sets: What is trained on, one a model.
        latents: The sets that they were taken from, for their held-out part.
        label_map: The classes.
        first: Models before this one are left out: theirs is set.
    """
    with torch.no_grad():
        for end, (data, whole) in list(enumerate(zip(sets, latents, strict=True)))[first:]:
            rest = np.setdiff1d(data.rest, np.concatenate(data.groups))
            *groups, unlabelled = (
                network.describe(network.normalize(data.mean[torch.from_numpy(rows)], end))
                for rows in (*data.groups, rest)
            )
            held_out, _ = of_classes(label_map, validation_part(whole))
            novelty = network.novelty[end]
            assert isinstance(novelty, Novelty)
            usual = network.enter(held_out.latents.to(data.mean.device), end)
            novelty.fit(groups, network.describe(usual), rest=unlabelled)


def _some_rows(
    network: BridgeNetwork, end: int, data: TrainingSet, rows: np.ndarray, rng: np.random.Generator
) -> Tensor:
    """Positions of a model's latents, a few of each: the first latents alone would not stand for all."""
    items = torch.from_numpy(rng.permutation(rows)[: quantiles.MOST])
    places = torch.from_numpy(rng.integers(data.positions, size=len(items)))
    values = data.mean.flatten(2)[items, :, places]
    return network.normalize(values, end)


def _moments(network: BasedAutoencoder, end: int, data: TrainingSet) -> Moments:
    moments = Moments(data.mean.shape[1], len(data.groups))
    step = max(CHUNK // data.positions, 1)
    for label, rows in enumerate(data.groups):
        for chunk in np.split(rows, range(step, len(rows), step)):
            index = torch.from_numpy(chunk).to(data.mean.device)
            std = None if data.std is None else rows_of(network.normalize_std(data.std[index], end))
            moments.add(rows_of(network.normalize(data.mean[index], end)), std, label)
    return moments


def _guesses(network: BasedAutoencoder, end: int, data: TrainingSet) -> list[np.ndarray]:
    """Row numbers of unlabelled latents, by the class that is inferred for them without much doubt."""
    index = torch.from_numpy(data.rest).to(data.mean.device)
    with torch.no_grad():
        parts = [
            network.inference_logits(network.normalize(data.mean[chunk], end), end).softmax(dim=1)
            for chunk in index.split(CHUNK)
        ]
    sure, classes = torch.cat(parts).cpu().max(dim=1)
    kept = (sure >= SURE).numpy()
    return [data.rest[kept & (classes.numpy() == label)] for label in range(network.architecture.classes)]


def _set_frame(network: BasedAutoencoder, end: int, values: FrameValues, recipe: Recipe, model: str) -> None:
    for part in (values.mean, values.into, values.out_of):
        if not bool(part.isfinite().all()):
            raise TrainingError(f"the base '{recipe.base}' of {model} is not finite")
    network.set_frame(end, values.mean, values.into, values.out_of)


def _infer_classes(network: BasedAutoencoder, end: int, data: TrainingSet, recipe: Recipe, seed: int) -> None:
    """Trains the inference of a model's classes, and gives unlabelled latents theirs; nothing without classes."""
    if not network.architecture.classes:
        return
    _train_inference(network, end, data, recipe, seed)
    for _ in range(ROUNDS if len(data.rest) else 0):
        data.guess(_guesses(network, end, data))
        _train_inference(network, end, data, recipe, seed)


def _train_inference(
    network: BasedAutoencoder, end: int, data: TrainingSet, recipe: Recipe, seed: int
) -> None:
    for member in range(network.architecture.members):
        _train_member(network, end, member, data, recipe.inference_steps, seed)


def _train_member(
    network: BasedAutoencoder, end: int, member: int, data: TrainingSet, steps: int, seed: int
) -> None:
    """Trains one network that infers classes: classes in equal shares, latents drawn from their posteriors."""
    net = network.inference_member(end, member)
    trained_on = next(net.parameters()).requires_grad
    net.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=INFERENCE_RATE, weight_decay=INFERENCE_DECAY, fused=True
    )
    classes = len(data.groups)
    per_class = max(INFERENCE_BATCH // classes, 1)
    targets = torch.arange(classes, device=data.mean.device).repeat(per_class)
    with torch.enable_grad():
        for step in range(steps):
            rng = generator(seed, Purpose.INFERENCE, end, member, step)
            picks = rng.random((per_class, classes))
            rows = np.stack(
                [group[(picks[:, c] * len(group)).astype(np.int64)] for c, group in enumerate(data.groups)], 1
            )
            index = torch.from_numpy(rows.ravel()).to(data.mean.device)
            x = network.normalize(data.mean[index], end)
            if data.std is not None:
                x = x + network.normalize_std(data.std[index], end) * normal(rng, *x.shape).to(x.device)
            loss = F.cross_entropy(net(x), targets, label_smoothing=SMOOTHING)
            for group in optimizer.param_groups:
                group["lr"] = INFERENCE_RATE * one_cycle(step, steps, INFERENCE_WARM_UP)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    net.requires_grad_(trained_on).zero_grad()
