"""Training one variant: what the recipe has no field for is changed here, from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.claims.variants import Edit, Variant
from ltzoo.bridge import Bridge, TrainingReport, train_bridge, training_part
from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.bridge.sampling import keep_labels
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec


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


def with_labels(variant: Variant, sets: Sequence[LatentSet], seed: int) -> list[LatentSet]:
    """The latents with as many labels as the variant has."""
    if variant.labels_per_class is None:
        return list(sets)
    return [keep_labels(one, variant.labels_per_class, seed) for one in sets]


def labelled_items(latents: LatentSet) -> int:
    """How many latents of a set are trained on with a label."""
    labels = training_part(latents).labels
    assert labels is not None
    return int((labels >= 0).sum())


def train(
    variant: Variant, sets: Sequence[LatentSet], models: Sequence[ModelSpec], seed: int
) -> tuple[Bridge, TrainingReport]:
    """Trains a variant's bridge, inside of `edited`."""
    recipe = variant.recipe()
    assert recipe is not None
    return train_bridge(sets, models=models, recipe=recipe, seed=seed)
