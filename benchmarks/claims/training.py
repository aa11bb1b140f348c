"""Training one variant: what the recipe has no field for is changed here, from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.claims.variants import Edit, Variant
from ltzoo.bridge import Bridge, TrainingReport, train_bridge, training_part
from ltzoo.bridge import sampling as bridge_sampling
from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec

FEWEST = 10
"""Labelled latents that these runs train on at the least: one of each class."""


@contextmanager
def edited(edit: Edit | None) -> Iterator[None]:
    """Changes the network while the block runs; a bridge made in it must be used in it too.

    ``no-domain-label`` tells encoder and decoder of every latent that it belongs to the first model, which
    says nothing. Each model's latents are still standardised on their own. ``mean-code`` makes z' its
    posterior's mean in training too, so that nothing variational is left.
    """
    encode, decode = SharedAutoencoder.encode, SharedAutoencoder.decode

    def encode_as_first(
        self: SharedAutoencoder, x: Tensor, end: int, *, known: bool = False
    ) -> tuple[Tensor, Tensor]:
        return encode(self, x, 0, known=known)

    def decode_as_first(self: SharedAutoencoder, shared: Tensor, end: int, *, known: bool = False) -> Tensor:
        return decode(self, shared, 0, known=known)

    def encode_mean(
        self: SharedAutoencoder, x: Tensor, end: int, *, known: bool = False
    ) -> tuple[Tensor, Tensor]:
        mean, std = encode(self, x, end, known=known)
        return mean, torch.zeros_like(std)

    changes: dict[Edit | None, dict[str, Callable[..., Any]]] = {
        None: {},
        "no-domain-label": {"encode": encode_as_first, "decode": decode_as_first},
        "mean-code": {"encode": encode_mean},
    }
    with ExitStack() as stack:
        for name, changed in changes[edit].items():
            stack.enter_context(patch.object(SharedAutoencoder, name, changed))
        yield


def train(
    variant: Variant, sets: Sequence[LatentSet], models: Sequence[ModelSpec], seed: int
) -> tuple[Bridge, TrainingReport]:
    """Trains a variant's bridge, inside of `edited`."""
    recipe = variant.recipe()
    assert recipe is not None
    if variant.labels_per_class is not None:
        sets = [with_few_labels(one, variant.labels_per_class, seed) for one in sets]
    # ltzoo refuses to train on so few latents; here that is the question.
    with patch.object(bridge_sampling, "MIN_ITEMS", FEWEST):
        return train_bridge(sets, models=models, recipe=recipe, seed=seed)


def with_few_labels(latents: LatentSet, per_class: int, seed: int) -> LatentSet:
    """The same latents, of which only some to train on have a label.

    Args:
        latents: A labelled set.
        per_class: Labelled items of each class, drawn from what a bridge is trained on.
        seed: Of the draw.
    """
    assert latents.labels is not None
    rng = np.random.default_rng(seed)
    rows = _training_rows(latents)
    labels = torch.full_like(latents.labels, -1)
    for label in range(len(latents.label_names)):
        members = rows[(latents.labels[rows] == label).numpy()]
        chosen = torch.from_numpy(rng.permutation(members)[:per_class])
        labels[chosen] = label
    return replace(latents, labels=labels)


def _training_rows(latents: LatentSet) -> np.ndarray:
    """Which rows `training_part` takes: found by giving every row its own number for a key."""
    numbered = replace(latents, keys=torch.arange(len(latents)))
    keys = training_part(numbered).keys
    assert keys is not None
    return keys.numpy()
