"""A run of training: its state, how to take it a step further, and the loop that does so.

It is resumable at any step with the same result to the last bit.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.checkpoint import RunIdentity, RunState, load_checkpoint, save_checkpoint
from ltzoo.bridge.config import Architecture
from ltzoo.bridge.interruption import Interruption
from ltzoo.bridge.likeness import Likeness
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.networks import make_network
from ltzoo.bridge.objective import Objective
from ltzoo.bridge.pair_choice import choose_share
from ltzoo.bridge.pair_term import PairTerm
from ltzoo.bridge.pairs import Pairs
from ltzoo.bridge.preparation import find_likenesses, prepare_base, solve_frames
from ltzoo.bridge.randomness import Purpose, generator
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.report import LossRow
from ltzoo.bridge.sampling import Sampler, TrainingSet
from ltzoo.bridge.schedule import one_cycle
from ltzoo.bridge.sharding import ShardedNetwork, copy_main, counted_once, share_guesses, told_by_main
from ltzoo.distributed import World
from ltzoo.errors import TrainingError

__all__ = ["Run", "learning_rate", "take_steps"]

LOSS_ROWS = 100
WARM_UP = 0.1


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
        self._likenesses: list[Likeness] = []
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
        if self.recipe.compares and self.recipe.steps and not self.pairs_alone:
            levels = self._sampler.rows_a_class
            self._likenesses = find_likenesses(
                self.network, self.sets, self.recipe, levels, self.identity.seed
            )
            self._objective = Objective(self.recipe, self._likenesses)
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
        copy_main(self.world, [*tensors.values(), *(t for one in self._likenesses for t in one.tensors)])
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
