"""The training command of a starter plugin: judge, VAEs, latent sets and their figures from one ``.npz``.

What is written beside the plugin's modules: ``judge.safetensors``, for each VAE ``NAME.safetensors`` and
``NAME.latents.safetensors``, and ``measured.json``, from which the plugin's specs take hashes and
figures.

Parts: networks are trained on the first train images and every choice about them is made on the last
`VALIDATION` train images; the test images are for the figures alone.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from ltzoo.errors import TrainingError
from ltzoo.files import replacing
from ltzoo.hub import file_sha256
from ltzoo.latents import SPLITS, LatentSet
from ltzoo.spec import ModelSpec
from ltzoo_convnets.adapters import Reader, VAEModel
from ltzoo_convnets.files import load_classifier, load_vae, save_network
from ltzoo_convnets.measuring import in_batches, judge_accuracy, measure_vae
from ltzoo_convnets.training import ClassifierRecipe, VAERecipe, log, train_classifier, train_vae

__all__ = ["Images", "StarterZoo", "read_images", "run"]

VALIDATION = 5_000
TRAIN_LATENTS, TEST_LATENTS = 10_000, 2_000
FIRST_TEST_KEY = 100_000
MSE_MARGIN = 1.5
"""A spec promises this many times the measured error: single batches differ from the whole test set."""


@dataclass(frozen=True, kw_only=True)
class StarterZoo:
    """What a starter plugin trains.

    Attributes:
        module: Import name of the plugin.
        judge: How the judge is trained.
        vaes: How each VAE is trained, by the part of its id after the slash.
        model_specs: Gives the plugin's specs from the content of ``measured.json``.
        data_license: Licence of the images.
        keys_of: What the keys of the latents number; see `ltzoo.latents.LatentSet`.
    """

    module: str
    judge: ClassifierRecipe
    vaes: Mapping[str, VAERecipe]
    model_specs: Callable[[Mapping[str, Any]], list[ModelSpec]]
    data_license: str
    keys_of: str


@dataclass(frozen=True)
class Images:
    """Images with labels: uint8 ``(n, channels, height, width)`` and int64 ``(n,)``."""

    images: Tensor
    labels: Tensor

    def __getitem__(self, rows: slice) -> Images:
        return Images(self.images[rows], self.labels[rows])


def read_images(path: Path) -> tuple[Images, Images]:
    """The train and test parts of an ``.npz`` with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    Images are uint8 ``(n, height, width)`` or ``(n, height, width, channels)``.

    Raises:
        TrainingError: The file is missing or has other content.
    """
    try:
        with path.open("rb") as stream, NpzFile(stream) as arrays:
            train, test = (_images(arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"{path}: not an .npz of uint8 x_train, y_train, x_test, y_test: {error}",
            hint="the plugin's README says where to get the data",
        ) from error
    return train, test


def _images(x: np.ndarray, y: np.ndarray) -> Images:
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or y.shape != x.shape[:1]:
        raise ValueError(f"images are {x.dtype} {x.shape}, labels {y.dtype} {y.shape}")
    images = torch.from_numpy(x)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return Images(images.contiguous(), torch.from_numpy(y).long())


def run(zoo: StarterZoo, argv: Sequence[str] | None = None) -> None:
    """Trains what the command line asks for, then measures all of it if all of it is there.

    Args:
        zoo: What the plugin trains.
        argv: The command line; that of the process by default.

    Raises:
        TrainingError: The data cannot be read, or weights are missing for ``--only latents``.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {zoo.module}.train", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the .npz with train and test images")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for weights, latents and measured.json"
    )
    parser.add_argument(
        "--only",
        choices=[*zoo.vaes, "judge", "latents"],
        help="train only this; 'latents' trains nothing and encodes and measures again",
    )
    parser.add_argument("--seed", type=int, default=0, help="added to every seed (default: 0)")
    args = parser.parse_args(argv)
    train, test = read_images(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    fitting = train[: len(train.labels) - VALIDATION]
    if args.only in (None, "judge"):
        log(f"judge: {len(fitting.labels)} images")
        judge_recipe = replace(zoo.judge, seed=zoo.judge.seed + args.seed)
        judge = train_classifier(judge_recipe, fitting.images, fitting.labels)
        save_network(judge, args.out / "judge.safetensors")
    for name, recipe in zoo.vaes.items():
        if args.only in (None, name):
            log(f"{name}: {len(fitting.labels)} images")
            vae = train_vae(replace(recipe, seed=recipe.seed + args.seed), fitting.images)
            save_network(vae, args.out / f"{name}.safetensors")
    missing = [name for name in ("judge", *zoo.vaes) if not (args.out / f"{name}.safetensors").is_file()]
    if not missing:
        command = f"python -m {zoo.module}.train --data {args.data.name} --out {args.out.name} --only latents"
        _encode_and_measure(zoo, args.out, train, test, command)
    elif args.only == "latents":
        raise TrainingError(f"{args.out}: no weights of {', '.join(missing)}", hint="train without --only")
    else:
        log(f"measured.json is not written: no weights yet of {', '.join(missing)}")


def _encode_and_measure(zoo: StarterZoo, out: Path, train: Images, test: Images, command: str) -> None:
    judge = Reader(load_classifier(out / "judge.safetensors"))
    weights = [f"{name}.safetensors" for name in ("judge", *zoo.vaes)]
    measured: dict[str, Any] = {
        "command": command,
        "files": {name: file_sha256(out / name) for name in weights},
        "judge": {"accuracy": _short(judge_accuracy(judge, in_batches(test.images), test.labels))},
        "models": {},
    }
    log(f"judge: accuracy {measured['judge']['accuracy']:.4f}")
    for spec in zoo.model_specs(measured):
        name = spec.id.split("/")[1]
        model = VAEModel(spec, load_vae(out / f"{name}.safetensors"))
        figures = measure_vae(model, judge, test.images, test.labels)
        measured["models"][spec.id] = {
            key: [_short(item) for item in value] if isinstance(value, list) else _short(value)
            for key, value in {**figures, "mse_bound": MSE_MARGIN * figures["mse"]}.items()
        }
        log(f"{spec.id}: {measured['models'][spec.id]}")
        latents = f"{name}.latents.safetensors"
        latent_set = _latent_set(model, train, test, license=zoo.data_license, keys_of=zoo.keys_of)
        latent_set.save(out / latents, dtype=torch.float16)
        measured["files"][latents] = file_sha256(out / latents)
    with replacing(out / "measured.json") as temporary:
        temporary.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _latent_set(model: VAEModel, train: Images, test: Images, *, license: str, keys_of: str) -> LatentSet:
    """Latents of the first train and test images; keys are the images' numbers, so that models pair up."""
    train, test = train[:TRAIN_LATENTS], test[:TEST_LATENTS]
    posteriors = [model.posterior(batch) for batch in in_batches(torch.cat((train.images, test.images)))]
    counts = (len(train.labels), len(test.labels))
    splits = torch.tensor([SPLITS.index("train"), SPLITS.index("test")], dtype=torch.uint8)
    return LatentSet(
        model=model.spec.id,
        fingerprint=model.spec.fingerprint,
        latents=torch.cat([mean for mean, _ in posteriors]),
        std=torch.cat([std for _, std in posteriors]),
        labels=torch.cat((train.labels, test.labels)),
        keys=torch.cat((torch.arange(counts[0]), FIRST_TEST_KEY + torch.arange(counts[1]))),
        split=splits.repeat_interleave(torch.tensor(counts)),
        label_names=model.spec.labels,
        license=license,
        keys_of=keys_of,
    )
