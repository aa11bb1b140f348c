"""Training a bridge: one loop, resumable at any step with the same result to the last bit."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

import ltzoo
from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.checkpoint import RunIdentity, RunState, load_checkpoint, save_checkpoint
from ltzoo.bridge.config import Architecture, BridgeConfig, BridgeEnd, LabelMap, Provenance
from ltzoo.bridge.interruption import Interruption
from ltzoo.bridge.labels import Labels, class_indices, match_labels, paired_notes
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.networks import make_architecture, make_network
from ltzoo.bridge.objective import Objective
from ltzoo.bridge.pair_choice import choose_share
from ltzoo.bridge.pair_term import PairTerm
from ltzoo.bridge.pairs import PairLimit, Pairs, check_limit, find_pairs, hold_out_together, may_pair
from ltzoo.bridge.preparation import fit_novelty, prepare_base, quantile_tables, solve_frames
from ltzoo.bridge.quantiles import QuantileTable
from ltzoo.bridge.randomness import Purpose, check_seed, generator
from ltzoo.bridge.recipe import Recipe, get_recipe
from ltzoo.bridge.report import HeldOut, LossRow, TrainingReport
from ltzoo.bridge.sampling import Sampler, TrainingSet, check_latents, keep_labels, validation_part
from ltzoo.bridge.schedule import one_cycle
from ltzoo.bridge.shapes import open_entrances, plan_entrances
from ltzoo.bridge.sharding import (
    ShardedNetwork,
    check_same,
    copy_main,
    counted_once,
    share_guesses,
    told_by_main,
)
from ltzoo.distributed import World
from ltzoo.errors import TrainingError
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec

__all__ = ["Run", "learning_rate", "make_report", "provenance", "take_steps", "train_bridge"]

LOSS_ROWS = 100
POSITIONS_NOTE = "labels are not used: the convolutional trunk works position by position"
WARM_UP = 0.1


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


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of one step, counted from 0."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * one_cycle(step, recipe.steps, WARM_UP)


class Run:
    """A run's state, and how to take it one step further."""

    def __init__(
        self,
        identity: RunIdentity,
        architecture: Architecture,
        sets: Sequence[TrainingSet],
        device: torch.device,
        world: World,
        pairs: Pairs,
    ) -> None:
        self.identity = identity
        self.world = world
        self.interruption = Interruption(world)
        self.recipe = identity.recipe
        self.device = device
        self.sets = sets
        self.pairs = pairs
        self.network = self._start(make_network(architecture).to(device))
        groups = self._parameter_groups()
        self._trained = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        self._optimizer: torch.optim.Adam | None = None
        if self._trained:
            betas = (0.9, self.recipe.second_moment_decay)
            self._optimizer = torch.optim.Adam(groups, lr=self.recipe.learning_rate, betas=betas, fused=True)
        self._sampler = Sampler(sets, self.network, self.recipe, identity.seed)
        self._objective = Objective(self.recipe)
        self._called = self.network if world.size == 1 else ShardedNetwork(self.network, world)
        self._tables: list[QuantileTable] = []
        learns_pairs = bool(pairs and self.recipe.pair_weight and self.recipe.steps)
        # On a base that pairs fit, partners say all that the other terms guess at.
        self.pairs_alone = learns_pairs and architecture.paired
        self._learned, self._chosen_on = (
            pairs.split(sets, identity.seed) if self.pairs_alone else (pairs, pairs)
        )
        self._pair_term = (
            PairTerm(sets, self.network, self._learned, self.recipe, identity.seed) if learns_pairs else None
        )
        self._row_every = max(1, self.recipe.steps // LOSS_ROWS)
        self.step = 0
        self.seconds = 0.0
        self.losses: list[LossRow] = []

    def _start(self, network: BridgeNetwork) -> BridgeNetwork:
        """Sets the weights that training starts from, and the normalisation."""
        network.initialize(generator(self.identity.seed, Purpose.WEIGHTS))
        if self.recipe.normalization == "standardize":
            for end, data in enumerate(self.sets):
                network.set_normalization(end, *data.normalization())
        return network

    def prepare(self) -> None:
        """Does what comes before the first step.

        Raises:
            TrainingError: The base cannot be solved for.
        """
        started = time.perf_counter()
        if isinstance(self.network, BasedAutoencoder):
            prepare_base(self.network, self.sets, self.recipe, self.identity.seed, self._learned)
        if self.recipe.translation_weight and self.recipe.steps and not self.pairs_alone:
            levels = self._sampler.rows_a_class
            self._tables = quantile_tables(self.network, self.sets, levels, self.identity.seed)
            self._objective = Objective(self.recipe, self._tables)
        self.seconds += time.perf_counter() - started

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate; what is not trained is frozen."""
        network, recipe = self.network, self.recipe
        if not isinstance(network, BasedAutoencoder):
            if recipe.classifier_head == "frozen" and network.classifier is not None:
                network.classifier.requires_grad_(False)
            trained = [p for p in network.parameters() if p.requires_grad]
            return [{"params": trained, "share": 1.0}]
        base = network.base_parameters
        # On pairs, least squares has had its say; few pairs would not keep so many numbers in place.
        if not (recipe.steps and recipe.base_rate) or network.architecture.paired:
            for parameter in base:
                parameter.requires_grad_(False)
        of_base = {id(parameter) for parameter in base}
        own = [p for p in network.parameters() if p.requires_grad and id(p) not in of_base]
        groups = [(own, 1.0), ([p for p in base if p.requires_grad], recipe.base_rate)]
        return [{"params": parameters, "share": share} for parameters, share in groups if parameters]

    def advance(self) -> None:
        """Does one step.

        Raises:
            TrainingError: The loss is not finite.
        """
        started = time.perf_counter()
        rng = generator(self.identity.seed, Purpose.STEP, self.step)
        network, sampler, objective = self._turn()
        terms: dict[str, Tensor] = {}
        if not self.pairs_alone:
            terms = objective.terms(network, sampler.batch_at(self.step, rng), rng, self.step)
        if self._pair_term is not None:
            terms["pair"] = counted_once(self._pair_term.at(self.step), self.world)
        loss = objective.weigh(terms)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        assert self._optimizer is not None
        for group in self._optimizer.param_groups:
            group["lr"] = group["share"] * learning_rate(self.recipe, self.step)
        self._optimizer.zero_grad()
        loss.backward()
        self.interruption.sum_([p.grad for p in self._trained.values() if p.grad is not None])
        self._optimizer.step()
        self.step += 1
        self.seconds += time.perf_counter() - started
        if self.step % self._row_every == 0 or self.step in (1, self.recipe.steps):
            row = {name: term.item() for name, term in terms.items()}
            self.losses.append(LossRow(step=self.step, loss=value, terms=row))

    def _turn(self) -> tuple[BridgeNetwork | ShardedNetwork, Sampler, Objective]:
        """What the step at hand is taken with."""
        return self._called, self._sampler, self._objective

    def settle(self) -> str:
        """Takes so much of what was learned on top of the base as pairs to choose on ask for; says how much.

        Then the base is fitted to all pairs.
        """
        assert isinstance(self.network, BasedAutoencoder)
        share = choose_share(self.network, self.sets, self._chosen_on)
        solve_frames(self.network, self.sets, self.recipe, self.pairs)
        return (
            f"{len(self._chosen_on)} of the pairs were not learned from but chosen on: they take {share:.0%} of "
            "what was learned on top of the base"
        )

    def check_finite(self) -> None:
        """Refuses weights that are not finite.

        Raises:
            TrainingError: A weight is NaN or infinite.
        """
        for name, parameter in self.network.named_parameters():
            if not bool(parameter.isfinite().all()):
                raise self._diverged(f"'{name}' is not finite")

    def save(self, path: Path) -> None:
        """Writes the checkpoint."""
        self.check_finite()
        state = RunState(step=self.step, seconds=self.seconds, losses=tuple(self.losses))
        save_checkpoint(path, self.identity, state, self._tensors())

    def restore(self, path: Path) -> int:
        """Goes on from a checkpoint; gives its step."""
        if self._optimizer is not None and not self._optimizer.state:
            self._make_moments()
        own = self._tensors()
        state, found = load_checkpoint(path, self.identity, own)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(found[name])
        self._go_on_from(state)
        return state.step

    def follow_main(self, resumed_at: int | None) -> int | None:
        """Brings all processes to where the main one stands, to the last bit; gives the step it has resumed at."""
        share_guesses(self.world, self.sets)
        state = RunState(step=self.step, seconds=self.seconds, losses=tuple(self.losses))
        told = told_by_main(self.world, "resumed", "" if resumed_at is None else state.to_json())
        if told and not self.world.is_main:
            if self._optimizer is not None:
                self._make_moments()
            state = RunState.from_json(told)
            self._go_on_from(state)
        tensors = self._tensors() if told else self.network.state_dict()
        copy_main(self.world, [*tensors.values(), *(t for table in self._tables for t in table.tensors)])
        return state.step if told else None

    def _go_on_from(self, state: RunState) -> None:
        if self._optimizer is not None:
            for parameter in self._trained.values():
                self._optimizer.state[parameter]["step"].fill_(state.step)
        self.step, self.seconds, self.losses = state.step, state.seconds, list(state.losses)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        if self._optimizer is None:
            return tensors
        for name, parameter in self._trained.items():
            moments = self._optimizer.state[parameter]
            tensors[f"first_moment.{name}"] = moments["exp_avg"]
            tensors[f"second_moment.{name}"] = moments["exp_avg_sq"]
        return tensors

    def _make_moments(self) -> None:
        assert self._optimizer is not None
        for parameter in self._trained.values():
            self._optimizer.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"training diverged at step {self.step}: {what}",
            hint=f"lower learning_rate (now {self.recipe.learning_rate:g})",
        )


def take_steps(run: Run, checkpoint: Path | None, every: float, progress: bool) -> None:
    """Takes all steps that are left.

    Args:
        run: The run.
        checkpoint: File for its state; None to keep none.
        every: Seconds between two writings of it.
        progress: Show a progress bar on stderr, if that is a terminal.

    Raises:
        TrainingError: The loss is no longer finite, or the checkpoint cannot be written.
        KeyboardInterrupt: The user pressed Ctrl-C; the checkpoint is written.
    """
    steps, row = run.recipe.steps, 0
    saved, saved_step = time.monotonic(), run.step
    with (
        run.interruption.deferred(),
        tqdm(
            total=steps,
            initial=run.step,
            desc="training",
            unit="step",
            file=sys.stderr,
            disable=None if progress else True,
        ) as bar,
    ):
        while run.step < steps and not run.interruption.agreed:
            run.advance()
            bar.update()
            if len(run.losses) > row:
                row = len(run.losses)
                bar.set_postfix_str(f"loss {run.losses[-1].loss:.4f}", refresh=False)
            if checkpoint is not None and run.step < steps and time.monotonic() - saved >= every:
                run.save(checkpoint)
                saved, saved_step = time.monotonic(), run.step
        if checkpoint is not None and saved_step < run.step:
            run.save(checkpoint)
        if run.interruption.settle():
            # Who stops first would end the others, perhaps before the checkpoint is there.
            run.world.barrier()
            raise KeyboardInterrupt


def provenance(run: Run, device: str | torch.device, command: str | None) -> Provenance:
    """What a bridge's config says about the run."""
    return Provenance(
        seed=run.identity.seed,
        steps=run.step,
        seconds=round(run.seconds, 3),
        device=str(device),
        threads=torch.get_num_threads(),
        processes=run.world.size if run.world.size > 1 else None,
        date=datetime.now(UTC).date().isoformat(),
        ltzoo=ltzoo.__version__,
        torch=str(torch.__version__),
        latents=run.identity.latents,
        pairs=run.identity.pairs,
        command=command,
    )


def make_report(
    run: Run,
    bridge: Bridge,
    latents: Sequence[LatentSet],
    device: str | torch.device,
    resumed_at: int | None,
    notes: tuple[str, ...],
) -> TrainingReport:
    """The report of a finished run, with figures on what is held out of the latents."""
    return TrainingReport(
        steps=run.step,
        seconds=run.seconds,
        seed=run.identity.seed,
        device=str(device),
        threads=torch.get_num_threads(),
        resumed_at=resumed_at,
        losses=tuple(run.losses),
        held_out=tuple(_held_out(bridge, one) for one in latents),
        notes=notes,
    )


def _held_out(bridge: Bridge, latents: LatentSet) -> HeldOut:
    part = validation_part(latents)
    z = part.latents.to(bridge.device)
    end = bridge.index(latents.model)
    x = bridge.network.enter(z, end)
    y = bridge.network.enter(bridge.translate(z, source=latents.model, target=latents.model), end)
    spread = (x - x.mean(dim=0)).square().sum()
    accuracy = None
    classes = class_indices(bridge.config.labels, part)
    if classes is not None and bool((classes >= 0).any()):
        known = classes >= 0
        guesses = bridge.classify(z, source=latents.model).argmax(dim=1).cpu()[known]
        accuracy = float((guesses == classes[known]).double().mean())
    return HeldOut(
        model=latents.model,
        items=len(part),
        reconstruction_r2=float(1 - (x - y).square().sum() / spread) if spread > 0 else 0.0,
        classifier_accuracy=accuracy,
    )
