import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

import ltzoo_spoken_digits
from ltzoo.hub import resolve_file
from ltzoo.latents import Inversion, LatentSet, draw_labelled
from ltzoo.media import read_media
from ltzoo.zoo import load_judge, load_labeller, load_model
from ltzoo_convnets.adapters import Reader
from ltzoo_convnets.files import load_network
from ltzoo_spoken_digits.data import read_recordings
from ltzoo_spoken_digits.inverting import measure_draws, measure_inversion
from ltzoo_spoken_digits.measuring import (
    accuracy,
    in_batches,
    measure_gan,
    measure_round_trip,
    measure_vae,
)
from ltzoo_spoken_digits.readers import Picture, PictureShape

# As ltzoo_mnist names them: labels of two models join by name.
WRITTEN = tuple("0123456789")
DATA = Path(__file__).parents[4] / "shared" / "data" / "spoken_digits.npz"
PACKAGE = Path(ltzoo_spoken_digits.__file__).parent
MODELS = {spec.id: spec for spec in ltzoo_spoken_digits.register_models()}
GAN, VAE = MODELS["spoken-digits/gan"], MODELS["spoken-digits/vae"]
DATASETS = {dataset.id: dataset for dataset in ltzoo_spoken_digits.register_datasets()}
DRAWS, RECORDINGS = DATASETS["spoken-digits/draws"], DATASETS["spoken-digits/recordings"]
MEASURED = json.loads((PACKAGE / "measured.json").read_text())


@pytest.fixture(scope="module")
def judge():
    return load_judge(RECORDINGS)


@pytest.fixture(scope="module")
def labeller():
    return load_labeller(RECORDINGS)


@pytest.fixture(scope="module")
def speaker():
    return Reader(load_network(PACKAGE / "speaker.safetensors", Picture, PictureShape))


@pytest.fixture(scope="module")
def gan():
    return load_model(GAN)


@pytest.fixture(scope="module")
def vae():
    return load_model(VAE)


@pytest.fixture(scope="module")
def recordings():
    return read_recordings(DATA)


def latents_of(dataset):
    (latents,) = dataset.latents
    return LatentSet.load(resolve_file(dataset.source, latents.file.name), model=MODELS[latents.model])


def test_listing_is_fast_and_imports_neither_torch_nor_numpy():
    code = """
import sys, time
import ltzoo.hookspecs, ltzoo.spec
start = time.perf_counter()
import ltzoo_spoken_digits
print(time.perf_counter() - start)
ltzoo_spoken_digits.register_models(), ltzoo_spoken_digits.register_datasets()
assert not {"torch", "numpy", "ltzoo_convnets"} & set(sys.modules)
"""
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    assert min(seconds) < 0.005


def test_the_readme_states_the_measured_figures():
    readme = Path(__file__).parents[1].joinpath("README.md").read_text()
    assert all(line in readme for line in readme_lines(MEASURED))


def readme_lines(measured):
    gan, vae, trip = measured["models"][GAN.id], measured["models"][VAE.id], measured["round_trip"]
    yield f"The judge reads {measured['judge']['accuracy']:.1%} of the 300 test recordings right"
    yield f"the labeller {measured['labeller']['accuracy']:.1%}"
    yield f"tells {measured['speaker']['accuracy']:.1%} of the speakers"
    yield f"| log-spectral distance of the spectrogram and back | {trip['log_spectral_distance']:.2f} dB |"
    yield f"| `spoken-digits/vae`: judge on reconstructions | {vae['judge_accuracy']:.1%} |"
    yield f"| log-spectral distance of reconstructions | {vae['log_spectral_distance']:.2f} dB |"
    yield f"| speakers told in reconstructions | {vae['speaker_accuracy']:.1%} |"
    yield f"| KL divergence, active dims of 64 | {vae['kl']:.0f} nats, {vae['active_dims']} |"
    yield (
        f"| `spoken-digits/gan`: judge agrees with the labeller | "
        f"{gan['judge_accuracy']:.1%} (standard error {gan['judge_accuracy_error']:.1%}) |"
    )
    yield f"| worst class | {min(gan['class_accuracy']):.0%} |"
    yield (
        f"| spread inside a class, of that of the test recordings | "
        f"{gan['spread']:.2f} ({min(gan['class_spread']):.2f} to {max(gan['class_spread']):.2f}) |"
    )
    yield f"| share of the rarest speaker | {min(gan['speakers']):.1%} |"
    yield f"| near copies of training recordings | {gan['near_copies']:.1%} |"
    yield (
        f"| Fréchet distance to the training recordings | "
        f"{gan['frechet_distance']:.1f} (test recordings: {gan['frechet_distance_of_test']:.1f}) |"
    )
    yield f"| judge agrees with the labeller on draws as they come | {gan['unchosen_agreement']:.1%} |"
    draws = gan["draws"]["train"]
    yield f"of {draws['drawn']:,} draws the labeller was that sure of {draws['share']:.1%}"
    yield f"the commonest class came {draws['skew']:.1f} times as often as the rarest"


def test_the_gan_cannot_encode_and_the_vae_can():
    assert GAN.capabilities == {"decode", "sample"}
    assert VAE.capabilities == {"encode", "decode", "sample"}
    assert VAE.latent.stochastic


def test_labels_join_with_those_of_written_digits():
    assert {spec.labels for spec in MODELS.values()} == {WRITTEN}
    assert {dataset.labels for dataset in DATASETS.values()} == {WRITTEN}


def test_judge_and_labeller_have_nothing_in_common(judge, labeller):
    for dataset in DATASETS.values():
        assert not set(dataset.judge.source.files) & set(dataset.labeller.source.files)
    assert type(judge.network) is not type(labeller.network)


def test_everything_shipped_is_small():
    assert sum(path.stat().st_size for path in PACKAGE.glob("*.safetensors")) < 8e6


def test_shipped_latents_of_recordings_are_all_of_them():
    latents = latents_of(RECORDINGS)
    assert latents.latents.shape == latents.std.shape == (3000, 64)
    assert latents.license == RECORDINGS.license
    assert len(latents.keys.unique()) == 3000
    for part, count in (("train", 240), ("validation", 30), ("test", 30)):
        assert latents.part(part).labels.bincount().tolist() == [count] * 10


def test_shipped_draws_are_balanced_and_from_the_prior():
    draws = latents_of(DRAWS)
    assert draws.label_names == WRITTEN
    train, test = draws.part("train"), draws.part("test")
    assert len(set(train.labels.bincount().tolist())) == 1
    assert train.labels.bincount().min() >= 500
    assert test.labels.bincount().tolist() == [100] * 10
    assert torch.cdist(train.latents, test.latents).min() > 1
    assert train.latents.mean(0).abs().max() < 0.5
    assert 0.7 < train.latents.var(0).mean() < 1.3


@pytest.mark.slow
def test_shipped_draws_are_those_that_their_seed_gives(gan, labeller):
    figures = MEASURED["models"][GAN.id]["draws"]["test"]
    shipped = latents_of(DRAWS).part("test")
    again = draw_labelled(gan, labeller, 2, classes=10, confidence=figures["confidence"], seed=2)
    for label in range(10):
        first = shipped.latents[shipped.labels == label][:2]
        assert torch.allclose(again.latents[again.labels == label], first, atol=4e-3)


def test_the_judge_reads_a_few_draws_as_what_they_were_labelled(gan, judge):
    test = latents_of(DRAWS).part("test")
    few = test.select(torch.arange(len(test)) % 5 == 0)
    assert accuracy(judge, in_batches(gan.decode, few.latents), few.labels) >= 0.93


def test_the_judge_reads_reconstructions_from_shipped_test_latents(vae, judge):
    test = latents_of(RECORDINGS).part("test")
    assert accuracy(judge, in_batches(vae.decode, test.latents), test.labels) >= 0.96


def test_the_aggregated_posterior_is_near_the_prior():
    train = latents_of(RECORDINGS).part("train")
    variance = train.latents.var(0) + train.std.square().mean(0)
    assert train.latents.mean(0).abs().max() < 0.3
    assert variance.min() > 0.7
    assert variance.max() < 1.3


def as_file(sound, rate, channels, format):
    """A file as somebody might send it: quiet, at another rate, in the middle of three seconds."""
    resampled = soxr.resample(sound, 8000, rate)
    padded = np.zeros(3 * rate, dtype=np.float32)
    padded[rate : rate + len(resampled)] = 0.2 * resampled
    stream = io.BytesIO()
    soundfile.write(stream, np.stack([padded] * channels, 1), rate, format=format)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("rate", "channels", "format"),
    [(44100, 2, "wav"), (48000, 1, "flac"), (16000, 2, "ogg"), (8000, 6, "wav")],
)
def test_any_file_comes_in_and_is_understood(vae, judge, tmp_path, rate, channels, format):
    test = latents_of(RECORDINGS).part("test")
    rows = torch.arange(0, 300, 31)
    clips = vae.decode(test.latents[rows])
    files = []
    for row, clip in zip(rows.tolist(), clips, strict=True):
        files.append(tmp_path / f"{row}.{format}")
        files[-1].write_bytes(as_file(clip[0].numpy(), rate, channels, format))
    read = torch.stack([read_media(path, VAE.data)[0] for path in files])
    assert read.shape == clips.shape
    again = vae.decode(vae.encode(read))
    before, after = judge.logits(clips).argmax(1), judge.logits(again).argmax(1)
    assert (before == after).sum() >= len(rows) - 1


@pytest.mark.data
def test_judge_labeller_and_speaker_network_meet_their_bars(recordings, judge, labeller, speaker):
    _, test = recordings
    figures = {
        "judge": accuracy(judge, test.clips, test.digits),
        "labeller": accuracy(labeller, test.clips, test.digits),
        "speaker": accuracy(speaker, test.clips, test.speakers),
    }
    for name, figure in figures.items():
        assert figure >= 0.99
        assert figure == pytest.approx(MEASURED[name]["accuracy"], abs=4e-3)


@pytest.mark.data
def test_the_spectrogram_loses_little(recordings, judge, speaker):
    figures = measure_round_trip(recordings[1], judge, speaker)
    assert figures["log_spectral_distance"] <= 4.1
    assert figures["judge_accuracy"] >= 0.99


@pytest.mark.data
def test_reconstructions_of_test_recordings_meet_their_bar(recordings, vae, judge, speaker):
    figures = measure_vae(vae, recordings[1], judge, speaker)
    assert figures["judge_accuracy"] >= 0.97
    assert figures["judge_accuracy"] == pytest.approx(MEASURED["models"][VAE.id]["judge_accuracy"], abs=7e-3)


@pytest.mark.data
def test_held_out_draws_meet_their_bars(recordings, gan, judge, speaker, labeller):
    train, test = recordings
    draws = latents_of(DRAWS).part("test")
    figures = measure_gan(gan, draws.latents, draws.labels, train.fitting, test, judge, speaker, labeller)
    assert figures["judge_accuracy"] >= 0.97
    assert min(figures["class_accuracy"]) >= 0.92
    assert 0.7 <= figures["spread"] <= 1.5
    assert min(figures["speakers"]) > 0
    assert figures["near_copies"] <= 0.01


@pytest.mark.data
def test_shipped_latents_are_those_of_the_recordings_that_the_keys_name(recordings, vae):
    train, test = recordings
    latents = latents_of(RECORDINGS)
    for row in (0, 2_699, 2_700, 2_999):
        key = int(latents.keys[row])
        part, number = (test, key - 100_000) if key >= 100_000 else (train, key)
        mean, std = vae.posterior(part.clips[number : number + 1])
        assert part.digits[number] == latents.labels[row]
        assert torch.allclose(mean[0], latents.latents[row], atol=4e-3)
        assert torch.allclose(std[0], latents.std[row], atol=2e-3)


@pytest.mark.data
def test_the_gan_is_inverted(recordings, gan, judge):
    inversion = Inversion(gan)
    assert inversion.compares_features
    test = recordings[1]
    rows = torch.cat([(test.digits == digit).nonzero()[:1, 0] for digit in range(10)])
    figures = measure_inversion(inversion, judge, test.clips[rows], test.digits[rows])
    assert figures["judge_agrees"] >= 0.9
    assert figures["error"] < 0.5 * figures["error_of_nearest_draw"]
    draws = measure_draws(inversion, judge, 6)
    assert draws["error"] < 0.2 * draws["error_of_nearest_draw"]
    assert draws["cosine"] > 0.2
