"""Trains all of the plugin's networks: ``python -m ltzoo_spoken_digits.train --data spoken_digits.npz --out DIR``.

Stages, in order: ``labeller``, ``judge``, ``speaker``, ``vae``, ``gan``, ``draws``, ``latents``. Without
``--only`` those are run whose files are not there, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ltzoo.errors import TrainingError
from ltzoo.files import replacing
from ltzoo.hub import file_sha256
from ltzoo.latents import SPLITS, LabelledDraws, LatentSet, draw_labelled
from ltzoo_convnets.adapters import Reader
from ltzoo_convnets.files import load_network, save_network
from ltzoo_convnets.training import log
from ltzoo_spoken_digits import DIGITS, GAN, LATENT_DIMS, LICENSE, VAE, model_specs
from ltzoo_spoken_digits.adapter import GANModel, VAEModel
from ltzoo_spoken_digits.data import Recordings, read_recordings
from ltzoo_spoken_digits.gan import Generator, GeneratorShape
from ltzoo_spoken_digits.gan_training import GANRecipe, train_gan
from ltzoo_spoken_digits.measuring import (
    accuracy,
    in_batches,
    measure_gan,
    measure_round_trip,
    measure_vae,
)
from ltzoo_spoken_digits.reader_training import (
    LabellerRecipe,
    PictureRecipe,
    train_labeller,
    train_picture,
)
from ltzoo_spoken_digits.readers import Labeller, LabellerShape, Picture, PictureShape
from ltzoo_spoken_digits.spectrogram import log_mel, waveform
from ltzoo_spoken_digits.vae import SpectrogramVAE, VAEShape
from ltzoo_spoken_digits.vae_training import VAERecipe, train_vae

SPEAKERS = 6
LABELLER = LabellerRecipe(shape=LabellerShape(classes=len(DIGITS), units=96), epochs=14, seed=301)
JUDGE = PictureRecipe(shape=PictureShape(classes=len(DIGITS), width=24), epochs=22, seed=101)
SPEAKER = PictureRecipe(shape=PictureShape(classes=SPEAKERS, width=16), epochs=10, seed=201)
VAE_RECIPE = VAERecipe(
    shape=VAEShape(latent=LATENT_DIMS, widths=(160, 96, 64, 32)), cell_std=0.12, epochs=110, seed=1
)
GAN_RECIPE = GANRecipe(
    shape=GeneratorShape(latent=LATENT_DIMS, widths=(192, 128, 64, 32)), steps=16_000, seed=1
)

AS_SURE_AS = 0.2
"""A draw is kept if the labeller is as sure of it as of all but this share of the validation recordings."""
TRAIN_DRAWS, TEST_DRAWS = 1_000, 100
TRAIN_SEED, TEST_SEED = 1, 2
FIRST_TEST_KEY = 100_000


@dataclass(frozen=True)
class Workshop:
    """The data, and the folders where things are made.

    Attributes:
        data: The ``.npz`` of recordings.
        out: Where weights, latents and ``measured.json`` go: the plugin's package.
        work: Where the GAN's checkpoint and log lie.
        seed: Added to every seed.
    """

    data: Path
    out: Path
    work: Path
    seed: int

    @cached_property
    def parts(self) -> tuple[Recordings, Recordings]:
        """The train part, which holds the validation part, and the test part."""
        return read_recordings(self.data)

    @property
    def fitting(self) -> Recordings:
        return self.parts[0].fitting

    def path(self, name: str) -> Path:
        return self.out / f"{name}.safetensors"

    def reader(self, name: str) -> Reader:
        """The judge, labeller or speaker network that was trained."""
        path = self.path(name)
        if not path.is_file():
            raise TrainingError(f"{path}: not there yet", hint=f"train it first: --only {name}")
        if name == "labeller":
            return Reader(load_network(path, Labeller, LabellerShape))
        return Reader(load_network(path, Picture, PictureShape))

    def gan(self) -> GANModel:
        specs = {spec.id: spec for spec in model_specs(self.measured)}
        return GANModel(specs[GAN], load_network(self.path("gan"), Generator, GeneratorShape))

    def vae(self) -> VAEModel:
        specs = {spec.id: spec for spec in model_specs(self.measured)}
        return VAEModel(specs[VAE], load_network(self.path("vae"), SpectrogramVAE, VAEShape))

    @property
    def measured(self) -> dict[str, Any]:
        """What of ``measured.json`` the specs of the models need."""
        missing = [name for name in ("gan", "vae") if not self.path(name).is_file()]
        if missing:
            raise TrainingError(f"{self.out}: no weights of {', '.join(missing)}", hint="train them first")
        return {"files": {f"{name}.safetensors": file_sha256(self.path(name)) for name in ("gan", "vae")}}


def labeller(shop: Workshop) -> None:
    recipe = replace(LABELLER, seed=LABELLER.seed + shop.seed)
    save_network(train_labeller(recipe, shop.fitting.clips, shop.fitting.digits), shop.path("labeller"))


def judge(shop: Workshop) -> None:
    recipe = replace(JUDGE, seed=JUDGE.seed + shop.seed)
    save_network(train_picture(recipe, shop.fitting.clips, shop.fitting.digits), shop.path("judge"))


def speaker(shop: Workshop) -> None:
    recipe = replace(SPEAKER, seed=SPEAKER.seed + shop.seed)
    save_network(train_picture(recipe, shop.fitting.clips, shop.fitting.speakers), shop.path("speaker"))


def vae(shop: Workshop) -> None:
    recipe = replace(VAE_RECIPE, seed=VAE_RECIPE.seed + shop.seed)
    save_network(train_vae(recipe, in_batches(log_mel, shop.fitting.clips)), shop.path("vae"))


def gan(shop: Workshop) -> None:
    recipe = replace(GAN_RECIPE, seed=GAN_RECIPE.seed + shop.seed)
    spectrograms = in_batches(log_mel, shop.fitting.clips)
    network = train_gan(recipe, spectrograms, shop.fitting.digits, shop.fitting.speakers, shop.work)
    save_network(network, shop.path("gan"))


def draws(shop: Workshop) -> None:
    """Labelled draws of the GAN: a train and a test part, from draws that have nothing in common."""
    model, reader = shop.gan(), shop.reader("labeller")
    validation = shop.parts[0].validation
    heard = in_batches(lambda x: reader.logits(waveform(log_mel(x))), validation.clips).softmax(1).amax(1)
    confidence = round(heard.quantile(AS_SURE_AS).item(), 3)
    sets, report = [], {}
    for part, number, seed in (("train", TRAIN_DRAWS, TRAIN_SEED), ("test", TEST_DRAWS, TEST_SEED)):
        found = draw_labelled(
            model, reader, number, classes=len(DIGITS), confidence=confidence, seed=seed + shop.seed
        )
        log(f"draws: {part}: {len(found.labels)} of {found.drawn}")
        sets.append((part, found))
        report[part] = _yield(found)
    _labelled_set(model, sets).save(shop.path("gan.latents"), dtype=torch.float16)
    with replacing(shop.out / "draws.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _yield(found: LabelledDraws) -> dict[str, Any]:
    return {
        "confidence": found.asked,
        "drawn": found.drawn,
        "share": _short(sum(found.sure) / found.drawn),
        "skew": _short(found.skew),
        "read": list(found.read),
        "sure": list(found.sure),
    }


def _labelled_set(model: GANModel, sets: list[tuple[str, LabelledDraws]]) -> LatentSet:
    split = torch.cat(
        [torch.full((len(found.labels),), SPLITS.index(part), dtype=torch.uint8) for part, found in sets]
    )
    return LatentSet(
        model=model.spec.id,
        fingerprint=model.spec.fingerprint,
        latents=torch.cat([found.latents for _, found in sets]),
        labels=torch.cat([found.labels for _, found in sets]),
        split=split,
        label_names=DIGITS,
        license=LICENSE,
    )


def latents(shop: Workshop) -> None:
    """Encodes the recordings, measures everything and writes ``measured.json``."""
    train, test = shop.parts
    readers = {name: shop.reader(name) for name in ("judge", "speaker", "labeller")}
    gan_model, vae_model = shop.gan(), shop.vae()
    _encoded(vae_model, train, test).save(shop.path("vae.latents"), dtype=torch.float16)
    if not shop.path("gan.latents").is_file():
        raise TrainingError(f"{shop.path('gan.latents')}: not there yet", hint="make them: --only draws")
    drawn = LatentSet.load(shop.path("gan.latents"), model=gan_model.spec).part("test")
    assert drawn.labels is not None
    judge, speaker = readers["judge"], readers["speaker"]
    names = ("gan", "vae", "judge", "labeller", "speaker", "gan.latents", "vae.latents")
    measured = {
        "command": f"python -m ltzoo_spoken_digits.train --data {shop.data.name} --out {shop.out.name} "
        "--only latents",
        "files": {f"{name}.safetensors": file_sha256(shop.path(name)) for name in names},
        "judge": {"accuracy": accuracy(judge, test.clips, test.digits)},
        "labeller": {"accuracy": accuracy(readers["labeller"], test.clips, test.digits)},
        "speaker": {"accuracy": accuracy(speaker, test.clips, test.speakers)},
        "round_trip": measure_round_trip(test, judge, speaker),
        "models": {
            GAN: {
                **measure_gan(gan_model, drawn.latents, drawn.labels, shop.fitting, test, *readers.values()),
                "draws": json.loads((shop.out / "draws.json").read_text(encoding="utf-8")),
            },
            VAE: measure_vae(vae_model, test, judge, speaker),
        },
    }
    with replacing(shop.out / "measured.json") as temporary:
        temporary.write_text(json.dumps(_rounded(measured), indent=2) + "\n", encoding="utf-8")
    log(json.dumps(_rounded(measured), indent=2))


def _encoded(model: VAEModel, train: Recordings, test: Recordings) -> LatentSet:
    """Latents of all recordings; keys are their places in the ``.npz``, test ones counted from 100,000."""
    posteriors = [model.posterior(clips) for clips in torch.cat((train.clips, test.clips)).split(100)]
    held_out = torch.where(
        torch.isin(train.takes, train.validation.takes), SPLITS.index("validation"), SPLITS.index("train")
    )
    return LatentSet(
        model=model.spec.id,
        fingerprint=model.spec.fingerprint,
        latents=torch.cat([mean for mean, _ in posteriors]),
        std=torch.cat([std for _, std in posteriors]),
        labels=torch.cat((train.digits, test.digits)),
        keys=torch.cat((torch.arange(len(train)), FIRST_TEST_KEY + torch.arange(len(test)))),
        keys_of="spoken-digits/train+test",
        split=torch.cat((held_out, torch.full((len(test),), SPLITS.index("test")))).to(torch.uint8),
        label_names=DIGITS,
        license=LICENSE,
    )


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _rounded(value: Any) -> Any:
    """The figures in ``value`` with four digits."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return _short(value) if isinstance(value, float) else value


STAGES: dict[str, tuple[str, Callable[[Workshop], None]]] = {
    "labeller": ("labeller.safetensors", labeller),
    "judge": ("judge.safetensors", judge),
    "speaker": ("speaker.safetensors", speaker),
    "vae": ("vae.safetensors", vae),
    "gan": ("gan.safetensors", gan),
    "draws": ("gan.latents.safetensors", draws),
    "latents": ("measured.json", latents),
}


def run(argv: Sequence[str] | None = None) -> None:
    """Runs the stages that the command line asks for.

    Args:
        argv: The command line; that of the process by default.

    Raises:
        TrainingError: The data cannot be read, or a stage needs what an earlier one has not made yet.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ltzoo_spoken_digits.train", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the .npz with the recordings")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for weights, latents and measured.json"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("gan.work"), help="folder of the GAN's checkpoint and log"
    )
    parser.add_argument("--only", choices=STAGES, help="run this stage alone, even if its file is there")
    parser.add_argument("--seed", type=int, default=0, help="added to every seed (default: 0)")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    shop = Workshop(data=args.data, out=args.out, work=args.work, seed=args.seed)
    for name, (file, stage) in STAGES.items():
        if args.only == name or (args.only is None and not (args.out / file).is_file()):
            log(f"{name}: starts")
            stage(shop)


if __name__ == "__main__":
    run()
