"""Fashion-MNIST for ltzoo: a VAE of garments, its latents, and a judge.

Importing this module imports neither torch nor numpy. Hashes and figures stand in ``measured.json``,
which ``python -m ltzoo_fashion_mnist.train`` writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ltzoo import hookimpl
from ltzoo.spec import (
    DatasetSpec,
    DataSpec,
    FileSpec,
    JudgeSpec,
    LatentFile,
    LatentSpec,
    ModelSpec,
    Source,
)

GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IMAGE = (1, 28, 28)
DATA = DataSpec(modality="image", shape=IMAGE, fit="ink", background=0.0)
LATENT_DIMS = 64
LICENSE = "MIT"


@hookimpl
def register_models() -> list[ModelSpec]:
    return model_specs(_measured())


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [dataset_spec(_measured())]


def model_specs(measured: Mapping[str, Any]) -> list[ModelSpec]:
    """The spec of the model whose hashes and figures are ``measured``, as ``measured.json`` has them."""
    return [
        ModelSpec(
            id="fashion-mnist/vae",
            title="Convolutional VAE of Fashion-MNIST garments",
            data=DATA,
            latent=LatentSpec(shape=(LATENT_DIMS,), stochastic=True),
            capabilities=frozenset({"encode", "decode", "sample"}),
            license=LICENSE,
            loader="ltzoo_fashion_mnist.adapter:load",
            labels=GARMENTS,
            source=_source(measured, "vae.safetensors"),
            reconstruction_mse=measured["models"].get("fashion-mnist/vae", {}).get("mse_bound"),
        )
    ]


def dataset_spec(measured: Mapping[str, Any]) -> DatasetSpec:
    """The spec of the data set whose hashes and figures are ``measured``."""
    source = _source(measured, "vae.latents.safetensors")
    return DatasetSpec(
        id="fashion-mnist/garments",
        title="Fashion-MNIST garments",
        data=DATA,
        license=LICENSE,
        labels=GARMENTS,
        latents=(LatentFile(model="fashion-mnist/vae", file=source.files[0]),),
        source=source,
        judge=JudgeSpec(
            loader="ltzoo_fashion_mnist.adapter:load_judge",
            source=_source(measured, "judge.safetensors"),
            accuracy=measured["judge"]["accuracy"],
            command=measured["command"],
            license=LICENSE,
        ),
    )


def _measured() -> dict[str, Any]:
    # Not pathlib: importing it would take longer than all the rest of this module.
    with open(os.path.join(os.path.dirname(__file__), "measured.json"), encoding="utf-8") as stream:
        measured: dict[str, Any] = json.load(stream)
    return measured


def _source(measured: Mapping[str, Any], *names: str) -> Source:
    files = tuple(FileSpec(name=name, sha256=measured["files"][name]) for name in names)
    return Source(package="ltzoo_fashion_mnist", files=files)
