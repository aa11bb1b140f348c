"""MNIST for ltzoo: two independently trained VAEs of handwritten digits, their latents, and a judge.

Importing this module imports neither torch nor numpy. Hashes and figures stand in ``measured.json``,
which ``python -m ltzoo_mnist.train`` writes.
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

DIGITS = tuple("0123456789")
IMAGE = (1, 28, 28)
DATA = DataSpec(modality="image", shape=IMAGE, fit="ink", background=0.0)
LATENT_DIMS = 64
# The images' own licence; see README.md for why the weights and latents have it too.
LICENSE = "CC-BY-SA-3.0"
TITLES = {
    "mnist/vae": "Convolutional VAE of MNIST digits",
    "mnist/vae-b": "Convolutional VAE of MNIST digits, trained independently of mnist/vae",
}


@hookimpl
def register_models() -> list[ModelSpec]:
    return model_specs(_measured())


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return [dataset_spec(_measured())]


def model_specs(measured: Mapping[str, Any]) -> list[ModelSpec]:
    """The specs of the models whose hashes and figures are ``measured``, as ``measured.json`` has them."""
    return [
        ModelSpec(
            id=id,
            title=title,
            data=DATA,
            latent=LatentSpec(shape=(LATENT_DIMS,), stochastic=True),
            capabilities=frozenset({"encode", "decode", "sample"}),
            license=LICENSE,
            loader="ltzoo_mnist.adapter:load",
            labels=DIGITS,
            source=_source(measured, f"{id.removeprefix('mnist/')}.safetensors"),
            reconstruction_mse=measured["models"].get(id, {}).get("mse_bound"),
        )
        for id, title in TITLES.items()
    ]


def dataset_spec(measured: Mapping[str, Any]) -> DatasetSpec:
    """The spec of the data set whose hashes and figures are ``measured``."""
    source = _source(measured, *(f"{id.removeprefix('mnist/')}.latents.safetensors" for id in TITLES))
    return DatasetSpec(
        id="mnist/digits",
        title="MNIST handwritten digits",
        data=DATA,
        license=LICENSE,
        labels=DIGITS,
        latents=tuple(LatentFile(model=id, file=file) for id, file in zip(TITLES, source.files, strict=True)),
        source=source,
        judge=JudgeSpec(
            loader="ltzoo_mnist.adapter:load_judge",
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
    return Source(package="ltzoo_mnist", files=files)
