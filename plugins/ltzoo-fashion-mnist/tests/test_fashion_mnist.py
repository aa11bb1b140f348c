import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ltzoo_fashion_mnist
from ltzoo.hub import resolve_file
from ltzoo.latents import LatentSet
from ltzoo_convnets.measuring import in_batches, judge_accuracy, measure_vae
from ltzoo_convnets.starter import read_images
from ltzoo_fashion_mnist.adapter import load, load_judge

DATA = Path(__file__).parents[4] / "shared" / "data" / "fashion_mnist.npz"
(SPEC,) = ltzoo_fashion_mnist.register_models()
(DATASET,) = ltzoo_fashion_mnist.register_datasets()
MEASURED = json.loads(Path(ltzoo_fashion_mnist.__file__).with_name("measured.json").read_text())


@pytest.fixture(scope="module")
def judge():
    return load_judge(DATASET.judge, device="cpu")


@pytest.fixture(scope="module")
def model():
    return load(SPEC, device="cpu")


@pytest.fixture(scope="module")
def latents():
    return LatentSet.load(resolve_file(DATASET.source, "vae.latents.safetensors"), model=SPEC)


def test_listing_is_fast_and_imports_neither_torch_nor_numpy():
    code = """
import sys, time
import ltzoo.hookspecs, ltzoo.spec
start = time.perf_counter()
import ltzoo_fashion_mnist
print(time.perf_counter() - start)
ltzoo_fashion_mnist.register_models(), ltzoo_fashion_mnist.register_datasets()
assert not {"torch", "numpy", "ltzoo_convnets"} & set(sys.modules)
"""
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    assert min(seconds) < 0.005


def test_the_readme_states_the_measured_figures():
    readme = Path(__file__).parents[1].joinpath("README.md").read_text()
    assert f"{MEASURED['judge']['accuracy']:.2%}" in readme
    for id, figures in MEASURED["models"].items():
        low, _, high = figures["aggregate_variance"]
        row = (
            f"| `{id}` | {figures['judge_accuracy']:.2%} | {figures['mse']:.4f} | {figures['kl']:.0f} "
            f"| {figures['active_dims']} | {figures['aggregate_mean_max']:.2f} | {low:.2f} to {high:.2f} |"
        )
        assert row in readme


def test_it_serves_one_vae_and_one_data_set():
    assert SPEC.id == "fashion-mnist/vae"
    assert DATASET.id == "fashion-mnist/garments"
    assert DATASET.labels == SPEC.labels
    assert DATASET.labels[0] == "T-shirt/top"
    assert DATASET.labels[9] == "Ankle boot"


def test_weights_are_small_and_half_precision():
    assert resolve_file(SPEC.source, "vae.safetensors").stat().st_size < 2.5e6
    assert resolve_file(DATASET.judge.source, "judge.safetensors").stat().st_size < 1.2e6


def test_shipped_latents_are_a_train_and_a_test_part_with_all_garments(latents):
    assert latents.latents.shape == latents.std.shape == (12_000, 64)
    assert latents.label_names == DATASET.labels
    assert latents.license == DATASET.license
    assert len(latents.keys.unique()) == len(latents)
    for part, count in (("train", 10_000), ("test", 2_000)):
        labels = latents.part(part).labels
        assert len(labels) == count
        assert labels.bincount(minlength=10).min() > 0.08 * count


def test_the_judge_reads_reconstructions_from_shipped_test_latents(latents, model, judge):
    test = latents.part("test")
    assert judge_accuracy(judge, [model.decode(test.latents)], test.labels) >= 0.86


def test_the_aggregated_posterior_is_near_the_prior(latents):
    train = latents.part("train")
    variance = train.latents.var(0) + train.std.square().mean(0)
    assert train.latents.mean(0).abs().max() < 0.15
    assert variance.min() > 0.85
    assert variance.max() < 1.15
    assert train.std.min() > 0.02


def test_the_judge_takes_most_prior_samples_for_a_garment(model, judge):
    confidence = judge.logits(model.decode(model.sample(500, 0))).softmax(1).max(1).values
    assert confidence.mean() > 0.7


@pytest.mark.data
def test_the_judge_meets_its_bar_and_its_stated_accuracy(judge):
    _, test = read_images(DATA)
    accuracy = judge_accuracy(judge, in_batches(test.images), test.labels)
    assert accuracy >= 0.91
    assert accuracy == pytest.approx(DATASET.judge.accuracy, abs=3e-4)


@pytest.mark.data
def test_reconstructions_of_test_images_meet_their_bar(model, judge):
    _, test = read_images(DATA)
    figures = measure_vae(model, judge, test.images, test.labels)
    assert figures["judge_accuracy"] >= 0.86
    assert figures["mse"] < SPEC.reconstruction_mse
    assert figures["judge_accuracy"] == pytest.approx(MEASURED["models"][SPEC.id]["judge_accuracy"], abs=3e-4)


@pytest.mark.data
def test_shipped_latents_are_those_of_the_images_that_the_keys_name(latents, model):
    train, test = read_images(DATA)
    for row in (0, 9_999, 10_000, 11_999):
        key = int(latents.keys[row])
        part, number = (test, key - 100_000) if key >= 100_000 else (train, key)
        mean, std = model.posterior(part.images[number : number + 1].float() / 255)
        assert part.labels[number] == latents.labels[row]
        assert torch.allclose(mean[0], latents.latents[row], atol=4e-3)
        assert torch.allclose(std[0], latents.std[row], atol=2e-3)
