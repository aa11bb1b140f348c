"""Training a bridge: from latents to a bridge and a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.checkpoint import RunIdentity
from ltzoo.bridge.config import BridgeConfig, BridgeEnd, LabelMap
from ltzoo.bridge.labels import Labels, match_labels, paired_notes
from ltzoo.bridge.networks import make_architecture
from ltzoo.bridge.pairs import PairLimit, check_limit, find_pairs, hold_out_together, may_pair
from ltzoo.bridge.preparation import fit_novelty
from ltzoo.bridge.randomness import check_seed
from ltzoo.bridge.recipe import Recipe, get_recipe
from ltzoo.bridge.report import TrainingReport
from ltzoo.bridge.reporting import make_report, provenance
from ltzoo.bridge.run import Run, take_steps
from ltzoo.bridge.sampling import TrainingSet, check_latents, keep_labels
from ltzoo.bridge.shapes import open_entrances, plan_entrances
from ltzoo.bridge.sharding import check_same, copy_main
from ltzoo.distributed import World
from ltzoo.errors import TrainingError
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec

__all__ = ["train_bridge"]

POSITIONS_NOTE = "labels are not used: the convolutional trunk works position by position"


def train_bridge(
    latents: Sequence[LatentSet],
    *,
    models: Sequence[ModelSpec],
    recipe: Recipe | str = "default",
    seed: int = 0,
    device: str | torch.device = "cpu",
    labels: Labels = "auto",
    labels_per_class: int | None = None,
    pairs: PairLimit = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    resume: bool = True,
    progress: bool = False,
    command: str | None = None,
    world: World | None = None,
) -> tuple[Bridge, TrainingReport]:
    """Trains a bridge between two or more models on their latents.

    With a checkpoint, a run that was stopped in any way goes on where the checkpoint was written and
    ends with the weights of the undisturbed run, bit by bit, on the same machine with the same number
    of threads. Ctrl-C ends the step at hand and writes the checkpoint before `KeyboardInterrupt` is
    raised. The finished run leaves its checkpoint, for the caller to remove once the bridge is saved.

    Several processes train one bridge when each calls this with the same arguments, within
    `ltzoo.distributed.process_group`: each runs the network on its share of every batch. Bridge and losses are
    those of a single process, up to rounding, and every process gets them. The main process alone reads and
    writes the checkpoint, which any number of processes may take up. Ctrl-C or SIGTERM in one of them
    stops all after the same step.

    Args:
        latents: One set a model. Only the ``train`` part of a split set is used, and a tenth of it is
            held out unless there is a ``validation`` part.
        models: Their specs, in the same order.
        recipe: A recipe, or the name of one.
        seed: Of everything random.
        device: Where to train; with ``cuda``, each of several processes takes a device of its own.
        labels: How labels of the models correspond; see `ltzoo.bridge.labels.match_labels`.
        labels_per_class: Forget all labels but so many of each class, drawn by the seed; to see what few
            labels are worth. With a base, latents without a label take part with inferred ones.
        pairs: Which latents of several models count as known to be of the same item: ``"auto"``, all whose
            keys say so; ``"none"``; or a number of items, drawn by the seed, to see what few pairs are worth.
            Items that one set holds out are then held out of all.
        checkpoint: File for the state of the run; None to keep none.
        checkpoint_seconds: Time between two writings of it.
        resume: Go on from the checkpoint if the file is there; otherwise it is overwritten.
        progress: Show a progress bar on stderr, if that is a terminal.
        command: The command line, for the bridge's config.
        world: The processes that share the work; only this one by default.

    Returns:
        The bridge, and a report of the run.

    Raises:
        TrainingError: Training cannot start with this data, or the loss is no longer finite, or the
            checkpoint is of another run or cannot be read or written, or processes train different bridges.
        LatentsError: Latents are not finite or not of their model's shape.
        FingerprintError: Latents are not those of the models.
        UsageError: The label map or the recipe is not valid.
        KeyboardInterrupt: The user pressed Ctrl-C.
        ElsewhereError: Another process has failed.
    """
    world = world or World()
    check_seed(seed)
    recipe = recipe if isinstance(recipe, Recipe) else get_recipe(recipe)
    check_latents(latents, models)
    check_limit(pairs, recipe)
    if pairs != "none" and recipe.uses_pairs:
        latents = hold_out_together(latents)
    label_map, notes = match_labels(labels, latents)
    if labels_per_class is not None:
        latents = [keep_labels(one, labels_per_class, seed) for one in latents]
    if len(label_map.classes) == 1:
        raise TrainingError("there is one class only", hint="train without labels")
    plan = plan_entrances(
        recipe,
        models,
        latents,
        labelled=bool(label_map.classes),
        paired=may_pair(latents, pairs, recipe),
    )
    if plan.trunk == "convolution" and label_map.classes:
        label_map, notes = LabelMap(origin="none"), (*notes, POSITIONS_NOTE)
    place = torch.device(world.device(str(device)))
    entrances, pooled = open_entrances(plan, latents, place)
    copy_main(world, [buffer for entrance in entrances for buffer in entrance.buffers()])
    sets = [
        TrainingSet(one, label_map, place, entrance) for one, entrance in zip(latents, entrances, strict=True)
    ]
    found, pair_notes = find_pairs(sets, pairs, recipe, seed)
    architecture = make_architecture(
        recipe,
        plan.sizes,
        len(label_map.classes),
        trunk=plan.trunk,
        entrances=plan.entrances,
        paired=found.hub(len(sets)) is not None,
    )
    identity = RunIdentity(
        models=tuple(BridgeEnd(spec=model, fingerprint=model.fingerprint) for model in models),
        latents=tuple(data.trained_on for data in sets),
        labels=label_map,
        recipe=recipe,
        seed=seed,
        pairs=found.trained_on(sets),
    )
    check_same(world, identity.to_json())
    run = Run(identity, architecture, sets, place, world, found)
    run.network.entrances = nn.ModuleList(entrances)
    # Also where a checkpoint follows: which classes unlabelled latents are taken for is not stored.
    run.prepare()
    fit_novelty(run.network, sets, latents, label_map)
    path = None if checkpoint is None else Path(checkpoint)
    resumed_at = None
    if path is not None and resume and world.is_main and path.exists():
        resumed_at = run.restore(path)
    if world.size > 1:
        resumed_at = run.follow_main(resumed_at)
    take_steps(run, path if world.is_main else None, checkpoint_seconds, progress and world.is_main)
    if run.pairs_alone:
        pair_notes = (*pair_notes, run.settle())
    run.check_finite()
    config = BridgeConfig(
        models=identity.models,
        architecture=architecture,
        recipe=recipe,
        labels=label_map,
        trained=provenance(run, device, command),
    )
    bridge = Bridge(config, run.network)
    said = (*(notes if not found else paired_notes(notes)), *pair_notes, *pooled)
    return bridge, make_report(run, bridge, latents, device, resumed_at, said)
