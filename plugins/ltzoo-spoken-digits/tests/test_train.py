"""The training command, on noise and for a step or two: which stages run, and what they leave."""

import dataclasses

import numpy as np
import pytest
import torch

from ltzoo.errors import TrainingError
from ltzoo_spoken_digits import train
from ltzoo_spoken_digits.gan import GeneratorShape
from ltzoo_spoken_digits.readers import LabellerShape, PictureShape
from ltzoo_spoken_digits.vae import VAEShape


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(0)
    arrays = {"speakers": np.array(list("abcdef")), "sample_rate": np.array([8000], dtype=np.int32)}
    for part, takes in (("train", (5, 6, 45)), ("test", (0,))):
        rows = [(digit, speaker, take) for digit in range(10) for speaker in range(6) for take in takes]
        digits, speakers, indices = np.array(rows, dtype=np.uint8).T
        arrays |= {f"y_{part}": digits, f"speaker_{part}": speakers, f"index_{part}": indices}
        arrays[f"x_{part}"] = random.integers(-3000, 3000, (len(rows), 8000), dtype=np.int16)
    path = tmp_path / "spoken_digits.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(
        train, "LABELLER", train.LabellerRecipe(shape=LabellerShape(classes=10, units=4), epochs=1, seed=0)
    )
    for name, classes in (("JUDGE", 10), ("SPEAKER", 6)):
        shape = PictureShape(classes=classes, width=4)
        monkeypatch.setattr(train, name, train.PictureRecipe(shape=shape, epochs=1, seed=0))
    widths = (8, 8, 8, 8)
    shape = VAEShape(latent=64, widths=widths, components=2)
    monkeypatch.setattr(train, "VAE_RECIPE", dataclasses.replace(train.VAE_RECIPE, shape=shape, epochs=1))
    gan = train.GANRecipe(shape=GeneratorShape(latent=64, widths=widths), steps=2, seed=0, batch=4)
    monkeypatch.setattr(train, "GAN_RECIPE", gan)


def run(data, *arguments):
    train.run(
        ["--data", str(data), "--out", str(data.parent / "out"), "--work", str(data.parent), *arguments]
    )


def test_each_stage_leaves_its_network_and_one_that_is_done_is_not_done_again(data, monkeypatch):
    stages = {name: train.STAGES[name] for name in ("labeller", "judge", "speaker", "vae", "gan")}
    monkeypatch.setattr(train, "STAGES", stages)
    run(data)
    out = data.parent / "out"
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(files) == {f"{name}.safetensors" for name in stages}
    (out / "judge.safetensors").unlink()
    (out / "vae.safetensors").write_bytes(b"left alone")
    run(data)
    assert (out / "judge.safetensors").read_bytes() == files["judge.safetensors"]
    assert (out / "vae.safetensors").read_bytes() == b"left alone"
    run(data, "--only", "vae")
    assert (out / "vae.safetensors").read_bytes() == files["vae.safetensors"]
    run(data, "--only", "judge", "--seed", "1")
    assert (out / "judge.safetensors").read_bytes() != files["judge.safetensors"]


def test_a_stage_says_what_it_waits_for(data):
    with pytest.raises(TrainingError, match=r"no weights of gan, vae"):
        run(data, "--only", "draws")


def test_recordings_are_split_by_take(data):
    rest, test = train.read_recordings(data)
    assert (len(rest.fitting), len(rest.validation), len(test)) == (120, 60, 60)
    assert set(rest.fitting.takes.tolist()) == {5, 6}
    assert rest.clips.abs().amax(2).allclose(torch.tensor(0.9))


def test_data_that_is_not_there_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(TrainingError, match="not an .npz of spoken digits") as caught:
        train.read_recordings(tmp_path / "none.npz")
    assert caught.value.hint
