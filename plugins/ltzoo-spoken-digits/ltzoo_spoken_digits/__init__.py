"""Spoken digits for ltzoo: a GAN and a VAE of one-second recordings, their latents, a judge and a labeller.

Importing this module imports neither torch nor numpy. Hashes and figures stand in ``measured.json``,
which ``python -m ltzoo_spoken_digits.train`` writes.
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
    LabellerSpec,
    LatentFile,
    LatentSpec,
    ModelSpec,
    Source,
)

GAN = "spoken-digits/gan"
VAE = "spoken-digits/vae"
DIGITS = tuple("0123456789")
DATA = DataSpec(modality="audio", shape=(1, 8000), sample_rate=8000, fit="loudest", normalize=0.9)
LATENT_DIMS = 64
# The recordings' own licence; see README.md for why the weights and latents have it too.
LICENSE = "CC-BY-SA-4.0"


@hookimpl
def register_models() -> list[ModelSpec]:
    return model_specs(_measured())


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    return dataset_specs(_measured())


def model_specs(measured: Mapping[str, Any]) -> list[ModelSpec]:
    """The specs of the models whose hashes are ``measured``, as ``measured.json`` has them."""
    return [
        ModelSpec(
            id=GAN,
            title="Generative adversarial network of spoken digits; it cannot encode",
            data=DATA,
            latent=LatentSpec(shape=(LATENT_DIMS,)),
            capabilities=frozenset({"decode", "sample"}),
            license=LICENSE,
            loader="ltzoo_spoken_digits.adapter:load_gan",
            labels=DIGITS,
            source=_source(measured, "gan.safetensors"),
        ),
        ModelSpec(
            id=VAE,
            title="Convolutional VAE of spoken digits",
            data=DATA,
            latent=LatentSpec(shape=(LATENT_DIMS,), stochastic=True),
            capabilities=frozenset({"encode", "decode", "sample"}),
            license=LICENSE,
            loader="ltzoo_spoken_digits.adapter:load_vae",
            labels=DIGITS,
            source=_source(measured, "vae.safetensors"),
        ),
    ]


def dataset_specs(measured: Mapping[str, Any]) -> list[DatasetSpec]:
    """The specs of the data sets whose hashes and figures are ``measured``.

    The GAN's draws are a data set of their own, since they are not encodings of any recording.
    """
    return [
        _dataset(measured, "spoken-digits/draws", "Draws of the GAN, labelled by the labeller", GAN),
        _dataset(measured, "spoken-digits/recordings", "Free Spoken Digit Dataset", VAE),
    ]


def _dataset(measured: Mapping[str, Any], id: str, title: str, model: str) -> DatasetSpec:
    source = _source(measured, f"{model.removeprefix('spoken-digits/')}.latents.safetensors")
    return DatasetSpec(
        id=id,
        title=title,
        data=DATA,
        license=LICENSE,
        labels=DIGITS,
        latents=(LatentFile(model=model, file=source.files[0]),),
        source=source,
        judge=JudgeSpec(
            loader="ltzoo_spoken_digits.adapter:load_judge",
            source=_source(measured, "judge.safetensors"),
            accuracy=measured["judge"]["accuracy"],
            command=measured["command"],
            license=LICENSE,
        ),
        labeller=LabellerSpec(
            loader="ltzoo_spoken_digits.adapter:load_labeller",
            source=_source(measured, "labeller.safetensors"),
            accuracy=measured["labeller"]["accuracy"],
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
    return Source(package="ltzoo_spoken_digits", files=files)
