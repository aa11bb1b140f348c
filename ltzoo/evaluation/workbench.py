"""`Workbench`: everything that translations between some models are scored against, made once.

Readings of the target's own latents, latent classifiers and the choice of held-out items do not depend
on what translates, so a bench that ranks ten bridges shares one workbench.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ltzoo.bridge.config import LabelMap
from ltzoo.errors import LtzooError, UsageError
from ltzoo.evaluation.metrics.bootstrap import Resampling
from ltzoo.evaluation.protocol import Protocol
from ltzoo.evaluation.side import Side
from ltzoo.latents import LatentSet, same_items
from ltzoo.model import Judge, LatentModel
from ltzoo.spec import ModelSpec

__all__ = ["Direction", "Need", "Workbench"]

Need = Literal["labels", "judge", "return judge", "train", "posterior", "pairs", "image", "audio"]
"""What a measure needs beside the translations themselves."""


@dataclass(frozen=True, eq=False)
class Direction:
    """What translations of one direction are scored on.

    Attributes:
        source: The side translated from.
        target: The side translated to.
        items: The held-out source items that are translated.
        classes: Their true shared classes, int64 ``(n,)``; None without classes.
        truth: For paired data the target's own latents of the same items, ``(n, *target_shape)``.
        missing: What is not there -> why.
    """

    source: Side
    target: Side
    items: LatentSet
    classes: Tensor | None
    truth: Tensor | None
    missing: dict[Need, str]


class Workbench:
    """The sides of the models, and the directions between them.

    Args:
        labels: Which labels of the models mean the same class.
        protocol: How translations are measured.
    """

    def __init__(self, labels: LabelMap, protocol: Protocol | None = None) -> None:
        self.labels = labels
        self.protocol = protocol or Protocol()
        self.sides: dict[str, Side] = {}
        self._directions: dict[tuple[str, str], Direction] = {}
        self._kept: dict[Hashable, Tensor] = {}

    def add(
        self,
        spec: ModelSpec,
        model: LatentModel,
        latents: LatentSet,
        *,
        judge: Judge | None = None,
        judge_labels: tuple[str, ...] = (),
    ) -> Side:
        """Adds a model; see `Side` for the arguments and errors."""
        side = Side(
            spec,
            model,
            latents,
            labels=self.labels,
            protocol=self.protocol,
            judge=judge,
            judge_labels=judge_labels,
        )
        self.sides[spec.id] = side
        return side

    def side(self, model: str) -> Side:
        """The side of a model.

        Raises:
            UsageError: The workbench has no such model.
        """
        if model not in self.sides:
            raise UsageError(f"the workbench has no model '{model}'", hint=f"it has {', '.join(self.sides)}")
        return self.sides[model]

    def kept(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """What ``make`` gave when it was first asked for under this key."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def resampling(self, *, frechet: bool = False) -> Resampling:
        """How bootstrap intervals are made.

        Args:
            frechet: For a figure that takes long.
        """
        protocol = self.protocol
        draws = protocol.frechet_draws if frechet else protocol.draws
        return Resampling(draws=draws, seed=protocol.seeds[0], level=protocol.level)

    def direction(self, source: str, target: str) -> Direction:
        """What translations from ``source`` to ``target`` are scored on.

        Raises:
            UsageError: A model is not there, or both are the same.
            LatentsError: There are too few held-out items.
            LtzooError: Nothing tells a good translation from a bad one: there are neither pairs nor
                labels and a judge.
        """
        if source == target:
            raise UsageError(f"a translation from {source} to itself is nothing to measure")
        if (source, target) not in self._directions:
            self._directions[source, target] = self._direction(self.side(source), self.side(target))
        return self._directions[source, target]

    def _direction(self, source: Side, target: Side) -> Direction:
        pairs = _paired_items(source, target)
        if pairs is None:
            items, truth = source.held_out, None
        else:
            items = source.choose(source.test.select(pairs))
            truth = _partners(items, target.test)
        missing = _missing(source, target, paired=pairs is not None)
        if "pairs" in missing and ("judge" in missing or "labels" in missing):
            reason = missing.get("labels") or missing["judge"]
            raise LtzooError(
                f"translations from {source.spec.id} to {target.spec.id} cannot be measured: {reason}, "
                f"and {missing['pairs']}",
                hint="measuring takes labels on both sides and a judge of the target's data, or paired latents",
            )
        return Direction(source, target, items, source.classes_of(items), truth, missing)


def _paired_items(source: Side, target: Side) -> Tensor | None:
    """Indices of the source's test items that have a partner; None if there are none.

    Equal keys mean nothing where they number other items.
    """
    if not same_items(source.test, target.test):
        return None
    keys, others = source.test.keys, target.test.keys
    assert keys is not None
    assert others is not None
    index = torch.isin(keys, others).nonzero()[:, 0]
    return index if len(index) else None


def _partners(items: LatentSet, others: LatentSet) -> Tensor:
    """The latents of ``others`` with the same keys as ``items``; the first one, where a key comes twice."""
    assert items.keys is not None
    assert others.keys is not None
    keys, order = torch.sort(others.keys, stable=True)
    return others.latents[order[torch.searchsorted(keys, items.keys)]]


def _missing(source: Side, target: Side, *, paired: bool) -> dict[Need, str]:
    """What is not there for measures of this direction, and why."""
    missing: dict[Need, str] = {}
    for side in (source, target):
        if side.classes_of(side.test) is None:
            missing.setdefault("labels", f"{side.spec.id} has no labels that map to classes")
        elif side.train is None:
            missing.setdefault("train", f"{side.spec.id} has no train part")
    if "labels" in missing:
        missing["train"] = missing["labels"]
    readers: tuple[tuple[Need, Side], ...] = (("judge", target), ("return judge", source))
    for need, side in readers:
        if side.judge is None:
            missing[need] = f"there is no judge for the data of {side.spec.id}"
        elif not side.spec.can("decode"):
            missing[need] = f"{side.spec.id} cannot decode"
    if target.test.std is None:
        missing["posterior"] = f"latents of {target.spec.id} have no posterior std"
    if not paired:
        missing["pairs"] = f"{source.spec.id} and {target.spec.id} have no pairs"
    modality = target.spec.data.modality if target.spec.can("decode") else None
    for kind in ("image", "audio"):
        if modality != kind:
            missing[kind] = f"{target.spec.id} does not decode to {kind}"
    return missing
