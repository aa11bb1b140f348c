"""Adding a model to a trained bridge: its own layers are trained, all others stay as they are to the last bit."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.checkpoint import RunIdentity
from ltzoo.bridge.config import Architecture, BridgeEnd
from ltzoo.bridge.entrances import Entrance
from ltzoo.bridge.labels import Labels, join_labels
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.objective import Objective
from ltzoo.bridge.pairs import Pairs
from ltzoo.bridge.preparation import find_likenesses, fit_novelty, prepare_added
from ltzoo.bridge.randomness import check_seed
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.report import TrainingReport
from ltzoo.bridge.reporting import make_report, provenance
from ltzoo.bridge.run import Run, take_steps
from ltzoo.bridge.sampling import Sampler, TrainingSet, check_latents
from ltzoo.bridge.shapes import open_entrances, plan_added
from ltzoo.bridge.sharding import ShardedNetwork
from ltzoo.distributed import World
from ltzoo.errors import TrainingError
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec

__all__ = ["extend_bridge", "fits_half_precision"]

FASTER = 2
"""A model that is added takes so many times fewer steps than the recipe's, and its base moves so much faster:
nothing else moves along with it."""


def extend_bridge(
    bridge: Bridge,
    latents: Sequence[LatentSet],
    *,
    model: ModelSpec,
    seed: int = 0,
    device: str | torch.device = "cpu",
    labels: Labels = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    resume: bool = True,
    progress: bool = False,
    command: str | None = None,
) -> tuple[Bridge, TrainingReport]:
    """Adds a model to a trained bridge, which then translates to and from it too.

    Only the layers of the new model are trained, with the bridge's recipe in half of its steps: the weights of its
    place in the one-hot, and on a base its maps and the inference of its classes, else its layers into and out of
    the network. At each step it is translated to and from one of the other models, which take turns. Nothing
    changes between those.

    Args:
        bridge: The bridge; it is left as it is.
        latents: One set a model: those of the bridge's models, in its order, then the new model's. They are
            used as in `ltzoo.bridge.train_bridge`.
        model: Spec of the new model.
        seed: Of everything random.
        device: Where to train.
        labels: Which labels of the new model mean which class of the bridge; see
            `ltzoo.bridge.labels.join_labels`.
        checkpoint: File for the state of the run, as in `ltzoo.bridge.train_bridge`; None to keep none.
        checkpoint_seconds: Time between two writings of it.
        resume: Go on from the checkpoint if the file is there; otherwise it is overwritten.
        progress: Show a progress bar on stderr, if that is a terminal.
        command: The command line, for the bridge's config.

    Returns:
        The extended bridge, and a report of the run.

    Raises:
        TrainingError: The bridge joins the model already, training cannot start with this data, or the loss is
            no longer finite, or the checkpoint is of another run or cannot be read or written.
        LatentsError: Latents are not finite or not of their model's shape.
        FingerprintError: Latents are not those of the models.
        UsageError: The label map is not valid.
        KeyboardInterrupt: The user pressed Ctrl-C.
    """
    check_seed(seed)
    if model.id in bridge.models:
        raise TrainingError(f"the bridge joins {model.id} already", hint="name another model")
    if bridge.config.architecture.paired:
        raise TrainingError(
            "the bridge was fitted to pairs, and a model that is added would need a base of its own kind",
            hint=f"train one bridge between all: ltzoo train {' '.join([*bridge.models, model.id])}",
        )
    check_latents(latents, [*(end.spec for end in bridge.config.models), model])
    label_map, notes = join_labels(bridge.config.labels, labels, latents)
    before = bridge.config.architecture
    plan = plan_added(bridge.config, model, latents)
    architecture = replace(
        before,
        sizes=(*before.sizes, *plan.sizes),
        added=before.added + 1,
        entrances=(*before.entrance_shapes, *plan.forms) if before.entrances or plan.entrances else (),
    )
    (entrance,), pooled = open_entrances(plan, latents[-1:], device)
    known = [copy.deepcopy(bridge.network.entrance(end)).to(device) for end in range(len(before.sizes))]
    sets = [
        TrainingSet(one, label_map, device, way) for one, way in zip(latents, [*known, entrance], strict=True)
    ]
    identity = RunIdentity(
        models=(*bridge.config.models, BridgeEnd(spec=model, fingerprint=model.fingerprint)),
        latents=tuple(data.trained_on for data in sets),
        labels=label_map,
        recipe=_own_recipe(bridge.config.recipe),
        seed=seed,
        bridge=_digest(bridge.network),
    )
    run = _Extension(bridge.network, entrance, identity, architecture, sets, torch.device(device))
    run.prepare()
    fit_novelty(run.network, sets, latents, label_map, first=len(before.sizes))
    path = None if checkpoint is None else Path(checkpoint)
    resumed_at = run.restore(path) if path is not None and resume and path.exists() else None
    take_steps(run, path, checkpoint_seconds, progress)
    run.check_finite()
    config = replace(
        bridge.config,
        models=identity.models,
        architecture=architecture,
        labels=label_map,
        extended=(*bridge.config.extended, provenance(run, device, command)),
    )
    extended = Bridge(config, run.network)
    return extended, make_report(run, extended, latents[-1:], device, resumed_at, (*notes, *pooled))


def fits_half_precision(network: BridgeNetwork) -> bool:
    """Whether the weights lose nothing when they are stored as float16."""
    return all(
        torch.equal(tensor.half().float(), tensor)
        for name, tensor in network.state_dict().items()
        if not name.startswith("novelty.")
    )


class _Extension(Run):
    """A run that trains the last model's layers.

    Args:
        old: The network of the bridge that the model is added to.
        entrance: How the new model's latents reach the network.
        identity: Of the run.
        architecture: With the new model.
        sets: The latents, the new model's last.
        device: Where to train.
    """

    def __init__(
        self,
        old: BridgeNetwork,
        entrance: Entrance,
        identity: RunIdentity,
        architecture: Architecture,
        sets: Sequence[TrainingSet],
        device: torch.device,
    ) -> None:
        self._old, self._entrance = old, entrance
        super().__init__(identity, architecture, sets, device, World(), Pairs({}))
        new = len(sets) - 1
        pairs = [((sets[end], sets[new]), self.network.of_models((end, new))) for end in range(new)]
        self._pairs = [
            (pair, Sampler(two, pair, self.recipe, identity.seed), self._objective) for two, pair in pairs
        ]

    def prepare(self) -> None:
        """See `Run.prepare`."""
        started = time.perf_counter()
        if isinstance(self.network, BasedAutoencoder):
            prepare_added(self.network, self.sets, self.recipe, self.identity.seed)
        if self.recipe.compares and self.recipe.steps:
            levels = self._pairs[0][1].rows_a_class
            *old, new = find_likenesses(self.network, self.sets, self.recipe, levels, self.identity.seed)
            self._pairs = [
                (pair, sampler, Objective(self.recipe, [one, new]))
                for (pair, sampler, _), one in zip(self._pairs, old, strict=True)
            ]
        self.seconds += time.perf_counter() - started

    def _start(self, network: BridgeNetwork) -> BridgeNetwork:
        network = super()._start(network)
        network.entrances[len(self.sets) - 1] = self._entrance
        own = network.state_dict()
        for name, tensor in self._old.state_dict().items():
            own[name].copy_(tensor)
        network.of_models(range(len(self.sets) - 1)).requires_grad_(False)
        return network

    def _turn(self) -> tuple[BridgeNetwork | ShardedNetwork, Sampler, Objective]:
        return self._pairs[self.step % len(self._pairs)]


def _own_recipe(recipe: Recipe) -> Recipe:
    return replace(recipe, steps=math.ceil(recipe.steps / FASTER), base_rate=FASTER * recipe.base_rate)


def _digest(network: BridgeNetwork) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
