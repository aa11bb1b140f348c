"""A world in which the right answer is known: two models with the same latents, data and classes."""

from __future__ import annotations

import torch
from torch import Tensor

from ltzoo.bridge.config import LabelMap
from ltzoo.evaluation import Protocol, Workbench
from ltzoo.latents import LatentSet
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec

A, B = "toy/a", "toy/b"
CLASSES, DIMS = 4, 6
TRAIN, TEST = 60, 30  # of each class
NAMES = tuple(f"class {i}" for i in range(CLASSES))
LABELS = LabelMap(
    origin="names", classes=NAMES, models={model: {name: name for name in NAMES} for model in (A, B)}
)
# Far apart, so that every classifier is right about every item.
CENTRES = 10 * torch.eye(DIMS)[:CLASSES]
STD = 0.2
PROTOCOL = Protocol(
    seeds=(0, 1), paths=20, draws=50, frechet_draws=10, neighbours=5, manifold_neighbours=3, batch=50
)


def make_spec(id: str, **changes) -> ModelSpec:
    fields = {
        "id": id,
        "title": id,
        "data": DataSpec(modality="array"),
        "latent": LatentSpec(shape=(DIMS,), stochastic=True),
        "capabilities": frozenset({"encode", "decode"}),
        "license": "MIT",
        "loader": "toy:load",
        **changes,
    }
    return ModelSpec(**fields)


def make_latents(id: str, **changes) -> LatentSet:
    """The same latents for every id; test items are keyed 0, 1, ..."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(CLASSES).repeat(TRAIN + TEST)
    test = torch.arange(len(labels)) >= CLASSES * TRAIN
    z = CENTRES[labels] + torch.randn(len(labels), DIMS, generator=g)
    fields = {
        "model": id,
        "fingerprint": make_spec(id).fingerprint,
        "latents": z,
        "std": torch.full_like(z, STD),
        "labels": labels,
        "keys": torch.arange(len(labels)),
        "keys_of": "toy/world",
        "split": (2 * test).to(torch.uint8),
        "label_names": NAMES,
        **changes,
    }
    return LatentSet(**fields)


class Plain:
    """A model whose data are its latents."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def encode(self, x: Tensor) -> Tensor:
        return x

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, torch.full_like(x, STD)

    def decode(self, z: Tensor) -> Tensor:
        return z


class NearestCentre:
    """A judge whose features are the data themselves."""

    def logits(self, x: Tensor) -> Tensor:
        return -torch.cdist(x, CENTRES)

    def features(self, x: Tensor) -> Tensor:
        return x


def workbench(*, judge=True, labels: LabelMap = LABELS, protocol=PROTOCOL, **latents):
    """A workbench of both models; ``latents`` replace fields of both latent sets."""
    bed = Workbench(labels, protocol)
    for id in (A, B):
        bed.add(
            make_spec(id),
            Plain(make_spec(id)),
            make_latents(id, **latents),
            judge=NearestCentre() if judge else None,
            judge_labels=NAMES,
        )
    return bed


def classes_of(z: Tensor) -> Tensor:
    return torch.cdist(z, CENTRES).argmin(1)


class Map:
    """A translator from a function, and the function back, of latents and seed."""

    def __init__(self, there, back=None) -> None:
        self.there, self.back = there, back or there

    def translate(self, z, *, source, target, sample=False, seed=None):
        return (self.there if source == A else self.back)(z, seed)


def identity() -> Map:
    return Map(lambda z, seed: z)


def permutation() -> Map:
    """Each class to the next one, keeping the place inside the class."""

    def shift(by: int):
        def move(z, seed):
            classes = classes_of(z)
            return z - CENTRES[classes] + CENTRES[(classes + by) % CLASSES]

        return move

    return Map(shift(1), shift(-1))


def collapse() -> Map:
    return Map(lambda z, seed: CENTRES[:1].expand(len(z), DIMS).clone())


def shuffle() -> Map:
    """Items of a class change places."""

    def move(z, seed):
        g = torch.Generator().manual_seed(0)
        order, classes = torch.arange(len(z)), classes_of(z)
        for label in range(CLASSES):
            members = (classes == label).nonzero()[:, 0]
            order[members] = members[torch.randperm(len(members), generator=g)]
        return z[order]

    return Map(move)


def smuggler(size: float = 1e-3) -> Map:
    """A prototype map that hides the individual where nobody looks, and finds it again on the way back."""

    def hide(z, seed):
        centres = CENTRES[classes_of(z)]
        return centres + size * (z - centres)

    def find(z, seed):
        centres = CENTRES[classes_of(z)]
        return centres + (z - centres) / size

    return Map(hide, find)


def noise() -> Map:
    """The identity with noise that depends on the seed."""
    return Map(lambda z, seed: z + torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)))
