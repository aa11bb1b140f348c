import json

import numpy as np
import pytest
import torch

from ltzoo.errors import TrainingError
from ltzoo.latents import LatentSet
from ltzoo.spec import DataSpec, FileSpec, LatentSpec, ModelSpec, Source
from ltzoo_convnets import starter
from ltzoo_convnets.classifier import ClassifierShape
from ltzoo_convnets.files import load_vae
from ltzoo_convnets.training import ClassifierRecipe, VAERecipe
from ltzoo_convnets.vae import VAEShape

IMAGE = (1, 8, 8)


def model_specs(measured):
    return [
        ModelSpec(
            id=f"test/{name}",
            title=name,
            data=DataSpec(modality="image", shape=IMAGE),
            latent=LatentSpec(shape=(4,), stochastic=True),
            capabilities=frozenset({"encode", "decode", "sample"}),
            license="MIT",
            loader="test:load",
            labels=("dark", "bright"),
            source=Source(
                package="test",
                files=(
                    FileSpec(name=f"{name}.safetensors", sha256=measured["files"][f"{name}.safetensors"]),
                ),
            ),
        )
        for name in ("one", "two")
    ]


def vae(seed):
    shape = VAEShape(image=IMAGE, latent=4, width=4, components=3)
    return VAERecipe(shape=shape, pixel_std=0.1, epochs=2, seed=seed)


ZOO = starter.StarterZoo(
    module="test",
    judge=ClassifierRecipe(
        shape=ClassifierShape(image=IMAGE, classes=2, width=4), epochs=15, seed=0, mirror=True
    ),
    vaes={"one": vae(1), "two": vae(2)},
    model_specs=model_specs,
    data_license="MIT",
    keys_of="test/train+test",
)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Dark and bright squares."""
    monkeypatch.setattr(starter, "VALIDATION", 100)
    monkeypatch.setattr(starter, "TRAIN_LATENTS", 40)
    monkeypatch.setattr(starter, "TEST_LATENTS", 20)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1300).astype(np.uint8)
    images = (rng.integers(0, 100, (1300, 8, 8)) + 120 * labels[:, None, None]).astype(np.uint8)
    path = tmp_path / "data.npz"
    np.savez(path, x_train=images[:1200], y_train=labels[:1200], x_test=images[1200:], y_test=labels[1200:])
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def run(data, out, *more):
    starter.run(ZOO, ["--data", str(data), "--out", str(out), *more])


def test_one_run_writes_weights_latents_and_figures(data, out, capsys):
    run(data, out)
    weights = {f"{name}.safetensors" for name in ("judge", "one", "two")}
    latents = {f"{name}.latents.safetensors" for name in ("one", "two")}
    assert {path.name for path in out.iterdir()} == weights | latents | {"measured.json"}
    measured = json.loads((out / "measured.json").read_text())
    assert set(measured["files"]) == weights | latents
    assert measured["judge"]["accuracy"] > 0.9
    assert measured["models"]["test/one"]["mse"] > 0
    assert capsys.readouterr().out == ""

    one, two = (
        LatentSet.load(out / f"{spec.id.split('/')[1]}.latents.safetensors", model=spec)
        for spec in model_specs(measured)
    )
    labels = np.load(data)["y_train"][:40]
    assert len(one.part("train")) == 40
    assert len(one.part("test")) == 20
    assert torch.equal(one.part("train").labels, torch.from_numpy(labels).long())
    assert torch.equal(one.keys, two.keys)
    assert one.keys_of == two.keys_of == "test/train+test"
    assert len(one.keys.unique()) == 60
    assert one.part("test").keys[:2].tolist() == [100_000, 100_001]
    assert not torch.equal(one.latents, two.latents)
    assert (one.std > 0).all()


def test_training_gives_the_same_weights_for_the_same_seed(data, tmp_path):
    for folder, seed in (("a", "0"), ("b", "0"), ("c", "7")):
        run(data, tmp_path / folder, "--only", "one", "--seed", seed)
    a, b, c = (load_vae(tmp_path / folder / "one.safetensors").state_dict() for folder in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_test_and_validation_images_are_not_trained_on(data, tmp_path):
    arrays = dict(np.load(data))
    arrays["x_test"] = 255 - arrays["x_test"]
    arrays["x_train"][-100:] = 0
    np.savez(tmp_path / "other.npz", **arrays)
    run(data, tmp_path / "a", "--only", "one")
    run(tmp_path / "other.npz", tmp_path / "b", "--only", "one")
    a, b = (load_vae(tmp_path / folder / "one.safetensors").state_dict() for folder in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_measuring_needs_all_weights(data, out):
    run(data, out, "--only", "one")
    assert [path.name for path in out.iterdir()] == ["one.safetensors"]
    with pytest.raises(TrainingError, match="no weights of judge, two"):
        run(data, out, "--only", "latents")


@pytest.mark.parametrize("content", [None, b"", b"text", b"PK\x03\x04 cut off"])
def test_a_file_that_is_not_an_npz_is_refused(tmp_path, out, content):
    path = tmp_path / "data.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"data\.npz"):
        run(path, out)
    assert not out.exists()


def test_an_npz_of_other_arrays_is_refused(tmp_path, out):
    np.savez(tmp_path / "data.npz", x_train=np.zeros((2, 8, 8)), y_train=np.zeros(2))
    with pytest.raises(TrainingError, match="images are float64"):
        run(tmp_path / "data.npz", out)
