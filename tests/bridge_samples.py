"""Small models, latents and bridges for the bridge tests."""

from __future__ import annotations

import torch

from ltzoo.bridge import get_recipe
from ltzoo.bridge.config import Architecture, BridgeConfig, BridgeEnd, LabelMap, Provenance, TrainedOn
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


def tiny_recipe(**overrides):
    return get_recipe(
        "default",
        **{
            "steps": 30,
            "batch": 12,
            "layers": 2,
            "width": 16,
            "shared_dim": 3,
            "projections": 8,
            **overrides,
        },
    )


def make_config(
    sizes: tuple[int, ...] = (4, 4), classes: int = 3, specs: tuple[ModelSpec, ...] | None = None, **recipe
) -> BridgeConfig:
    specs = specs or tuple(make_spec("abcdefgh"[i], size) for i, size in enumerate(sizes))
    recipe = tiny_recipe(**recipe)
    names = tuple(f"class {i}" for i in range(classes))
    labels = LabelMap(origin="none")
    if classes:
        labels = LabelMap(origin="names", classes=names, models={s.id: {n: n for n in names} for s in specs})
    return BridgeConfig(
        models=tuple(BridgeEnd(spec=spec, fingerprint=spec.fingerprint) for spec in specs),
        architecture=Architecture(
            sizes=tuple(spec.latent.channels for spec in specs),
            classes=classes,
            layers=recipe.layers,
            width=recipe.width,
            shared_dim=recipe.shared_dim,
            classifier=recipe.classifier,
        ),
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
