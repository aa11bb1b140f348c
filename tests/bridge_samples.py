"""Small models, latents and bridges for the bridge tests."""

from __future__ import annotations

import torch

from ltzoo.bridge import Recipe, get_recipe
from ltzoo.bridge.config import BridgeConfig, BridgeEnd, LabelMap, Provenance, TrainedOn
from ltzoo.bridge.networks import make_architecture, make_network
from ltzoo.bridge.randomness import Purpose, generator
from ltzoo.latents import LatentSet
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec


def make_spec(
    name: str, size: int = 4, labels: tuple[str, ...] = (), shape: tuple | None = None
) -> ModelSpec:
    return ModelSpec(
        id=f"toy/{name}",
        title=name,
        data=DataSpec(modality="array"),
        latent=LatentSpec(shape=shape or (size,), stochastic=True),
        capabilities=frozenset({"encode", "decode"}),
        license="MIT",
        loader="toy:load",
        labels=labels,
    )


def make_latents(
    spec: ModelSpec, items: int = 60, classes: int = 3, seed: int = 0, *, labelled: bool = True, names=None
) -> LatentSet:
    """Gaussian clusters, one a class, whose centres differ from model to model."""
    rng = torch.Generator().manual_seed(seed)
    size = spec.latent.channels
    labels = torch.arange(items) % classes
    centres = 3 * torch.randn(classes, size, generator=rng)
    return LatentSet(
        model=spec.id,
        fingerprint=spec.fingerprint,
        latents=centres[labels] + 0.5 * torch.randn(items, size, generator=rng),
        std=torch.full((items, size), 0.1),
        labels=labels if labelled else None,
        label_names=(names or tuple(f"class {i}" for i in range(classes))) if labelled else (),
        license="CC0-1.0",
    )


def tiny_recipe(**overrides) -> Recipe:
    """The default recipe, small: closed-form base and corrections."""
    small = {"steps": 30, "batch": 12, "layers": 2, "width": 16, "projections": 8, "inference_steps": 20}
    return get_recipe("default", **{**small, **overrides})


def plain_recipe(**overrides) -> Recipe:
    """The paper's network, small, with every term that does not need a base."""
    small = {
        "steps": 30,
        "batch": 12,
        "learning_rate": 4e-3,
        "schedule": "one-cycle",
        "layers": 2,
        "width": 16,
        "shared_dim": 3,
        "normalization": "standardize",
        "kl_weight": 0.001,
        "swd_by_class": True,
        "translation_weight": 1.0,
        "projections": 8,
        "classifier": "linear",
        "classifier_weight": 0.5,
    }
    return get_recipe("tian-engel-2019", **{**small, **overrides})


def build_network(config: BridgeConfig, seed: int = 0):
    """A network whose weights were drawn, not trained."""
    network = make_network(config.architecture)
    network.initialize(generator(seed, Purpose.WEIGHTS))
    return network


def make_config(
    sizes: tuple[int, ...] = (4, 4),
    classes: int = 3,
    specs: tuple[ModelSpec, ...] | None = None,
    *,
    recipe: Recipe | None = None,
) -> BridgeConfig:
    specs = specs or tuple(make_spec("abcdefgh"[i], size) for i, size in enumerate(sizes))
    recipe = recipe or plain_recipe()
    names = tuple(f"class {i}" for i in range(classes))
    labels = LabelMap(origin="none")
    if classes:
        labels = LabelMap(origin="names", classes=names, models={s.id: {n: n for n in names} for s in specs})
    return BridgeConfig(
        models=tuple(BridgeEnd(spec=spec, fingerprint=spec.fingerprint) for spec in specs),
        architecture=make_architecture(recipe, tuple(spec.latent.channels for spec in specs), classes),
        recipe=recipe,
        labels=labels,
        trained=Provenance(
            seed=0,
            steps=30,
            seconds=1.5,
            device="cpu",
            threads=2,
            date="2026-01-02",
            ltzoo="0.1.0",
            torch="2.13",
            latents=tuple(TrainedOn(model=spec.id, items=60, sha256="0" * 64) for spec in specs),
        ),
    )
