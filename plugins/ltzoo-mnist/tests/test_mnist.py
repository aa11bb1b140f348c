import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ltzoo_mnist
from ltzoo.hub import resolve_file
from ltzoo.latents import LatentSet
from ltzoo_convnets.measuring import in_batches, judge_accuracy, measure_vae
from ltzoo_convnets.starter import read_images
from ltzoo_mnist.adapter import load, load_judge

DATA = Path(__file__).parents[4] / "shared" / "data" / "mnist.npz"
MODELS = {spec.id: spec for spec in ltzoo_mnist.register_models()}
(DATASET,) = ltzoo_mnist.register_datasets()
MEASURED = json.loads(Path(ltzoo_mnist.__file__).with_name("measured.json").read_text())

each_model = pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)


@pytest.fixture(scope="module")
def judge():
    return load_judge(DATASET.judge, device="cpu")


def latents_of(spec):
    return LatentSet.load(resolve_file(DATASET.source, DATASET.latents_of(spec.id).file.name), model=spec)


def test_listing_is_fast_and_imports_neither_torch_nor_numpy():
    code = """
import sys, time
import ltzoo.hookspecs, ltzoo.spec
start = time.perf_counter()
import ltzoo_mnist
print(time.perf_counter() - start)
ltzoo_mnist.register_models(), ltzoo_mnist.register_datasets()
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


def test_it_serves_two_vaes_of_one_data_set():
    assert list(MODELS) == ["mnist/vae", "mnist/vae-b"]
    assert DATASET.id == "mnist/digits"
    assert [latents.model for latents in DATASET.latents] == list(MODELS)
    assert len({spec.fingerprint for spec in MODELS.values()}) == 2
    assert {spec.labels for spec in MODELS.values()} == {DATASET.labels} == {tuple("0123456789")}


@each_model
def test_weights_are_small_and_half_precision(spec):
    (file,) = spec.source.files
    assert resolve_file(spec.source, file.name).stat().st_size < 2.5e6
    assert resolve_file(DATASET.judge.source, "judge.safetensors").stat().st_size < 1.2e6


@each_model
def test_shipped_latents_are_a_train_and_a_test_part_with_all_digits(spec):
    latents = latents_of(spec)
    assert latents.latents.shape == latents.std.shape == (12_000, 64)
    assert latents.label_names == DATASET.labels
    assert latents.license == DATASET.license
    for part, count in (("train", 10_000), ("test", 2_000)):
        labels = latents.part(part).labels
        assert len(labels) == count
        assert labels.bincount(minlength=10).min() > 0.08 * count


def test_shipped_latents_of_the_two_vaes_pair_up():
    one, two = (latents_of(spec) for spec in MODELS.values())
    assert len(one.keys.unique()) == len(one)
    assert torch.equal(one.keys, two.keys)
    assert torch.equal(one.labels, two.labels)
    correlation = torch.corrcoef(torch.stack((one.latents.flatten(), two.latents.flatten())))[0, 1]
    assert correlation.abs() < 0.2


@each_model
def test_the_judge_reads_reconstructions_from_shipped_test_latents(spec, judge):
    test = latents_of(spec).part("test")
    reconstructions = load(spec, device="cpu").decode(test.latents)
    assert judge_accuracy(judge, [reconstructions], test.labels) >= 0.97


@each_model
def test_the_aggregated_posterior_is_near_the_prior(spec):
    train = latents_of(spec).part("train")
    variance = train.latents.var(0) + train.std.square().mean(0)
    assert train.latents.mean(0).abs().max() < 0.15
    assert variance.min() > 0.85
    assert variance.max() < 1.15
    assert train.std.min() > 0.02


@each_model
def test_the_judge_takes_most_prior_samples_for_a_digit(spec, judge):
    model = load(spec, device="cpu")
    confidence = judge.logits(model.decode(model.sample(500, 0))).softmax(1).max(1).values
    assert confidence.mean() > 0.75


@pytest.mark.data
def test_the_judge_meets_its_bar_and_its_stated_accuracy(judge):
    _, test = read_images(DATA)
    accuracy = judge_accuracy(judge, in_batches(test.images), test.labels)
    assert accuracy >= 0.99
    assert accuracy == pytest.approx(DATASET.judge.accuracy, abs=3e-4)


@pytest.mark.data
@each_model
def test_reconstructions_of_test_images_meet_their_bars(spec, judge):
    _, test = read_images(DATA)
    figures = measure_vae(load(spec, device="cpu"), judge, test.images, test.labels)
    assert figures["judge_accuracy"] >= 0.97
    assert figures["mse"] < spec.reconstruction_mse
    assert figures["judge_accuracy"] == pytest.approx(MEASURED["models"][spec.id]["judge_accuracy"], abs=3e-4)


@pytest.mark.data
@each_model
def test_shipped_latents_are_those_of_the_images_that_the_keys_name(spec):
    train, test = read_images(DATA)
    latents, model = latents_of(spec), load(spec, device="cpu")
    for row in (0, 9_999, 10_000, 11_999):
        key = int(latents.keys[row])
        part, number = (test, key - 100_000) if key >= 100_000 else (train, key)
        mean, std = model.posterior(part.images[number : number + 1].float() / 255)
        assert part.labels[number] == latents.labels[row]
        assert torch.allclose(mean[0], latents.latents[row], atol=4e-3)
        assert torch.allclose(std[0], latents.std[row], atol=2e-3)
