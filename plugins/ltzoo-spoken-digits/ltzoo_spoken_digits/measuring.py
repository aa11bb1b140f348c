"""What is measured of the models, on the official test recordings and on held-out draws of the GAN."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ltzoo.evaluation.metrics.distances import distances
from ltzoo.evaluation.metrics.frechet import frechet_distance, moments
from ltzoo.evaluation.metrics.spread import class_variances, spread
from ltzoo_convnets.adapters import Reader
from ltzoo_spoken_digits.adapter import GANModel, VAEModel
from ltzoo_spoken_digits.data import Recordings
from ltzoo_spoken_digits.spectrogram import log_mel, waveform

__all__ = [
    "accuracy",
    "in_batches",
    "log_spectral_distance",
    "measure_gan",
    "measure_round_trip",
    "measure_vae",
    "nearest",
]

BATCH = 100
UNCHOSEN = 1000
ACTIVE_NATS = 0.05
NEAR_COPY = 0.01
"""A draw is a near copy if it is nearer to a training clip than all but this share of the test clips are."""


def in_batches(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The function's results for the rows of ``x``, computed some at a time."""
    with torch.no_grad():
        return torch.cat([function(part) for part in x.split(BATCH)])


def accuracy(reader: Reader, clips: Tensor, labels: Tensor) -> float:
    """Share of the clips ``(n, 1, 8000)`` that the reader reads right."""
    return (in_batches(reader.logits, clips).argmax(1) == labels).float().mean().item()


def log_spectral_distance(ours: Tensor, theirs: Tensor) -> float:
    """Decibels between clips ``(n, 1, 8000)`` of each pair: root mean square over the bins, mean over frames.

    Each clip counts from its loudest cell, down to -50 dB; frames that stay below -40 dB in ``ours`` are
    left out.
    """
    first, second = (in_batches(lambda clips: _decibels(clips.squeeze(1)), x) for x in (ours, theirs))
    frames = (first - second).square().mean(1).sqrt()
    return frames[first.amax(1) > -40].mean().item()


def _decibels(clips: Tensor) -> Tensor:
    magnitude = torch.stft(
        clips, 256, 64, 256, torch.hann_window(256), pad_mode="constant", return_complex=True
    ).abs()
    loudest = magnitude.amax((1, 2), keepdim=True).clamp(min=1e-8)
    return 20 * (magnitude / loudest).clamp(min=10**-2.5).log10()


def nearest(ours: Tensor, theirs: Tensor) -> Tensor:
    """Distance from each spectrogram of ``ours`` to the nearest of ``theirs``, ``(n,)``."""
    return in_batches(lambda x: distances(x, theirs).amin(1), ours)


def measure_round_trip(test: Recordings, judge: Reader, speaker: Reader) -> dict[str, Any]:
    """The spectrogram and back, with no model between: the most that any model here can reach."""
    spectrograms = in_batches(log_mel, test.clips)
    started = time.process_time()
    clips = in_batches(waveform, spectrograms)
    seconds = time.process_time() - started
    return {
        "log_spectral_distance": log_spectral_distance(test.clips, clips),
        "milliseconds": 1000 * seconds / len(test),
        "judge_accuracy": accuracy(judge, clips, test.digits),
        "speaker_accuracy": accuracy(speaker, clips, test.speakers),
    }


@torch.no_grad()
def measure_vae(model: VAEModel, test: Recordings, judge: Reader, speaker: Reader) -> dict[str, Any]:
    """Reconstructions, posterior and draws of the VAE; the test recordings are new to it."""
    mean, std = model.posterior(test.clips)
    clips = in_batches(model.decode, mean)
    error = model.network.decode(mean) - log_mel(test.clips)
    nats = ((mean.square() + std.square() - 1) / 2 - std.log()).mean(0)
    variance = mean.var(0) + std.square().mean(0)
    draws = in_batches(judge.logits, in_batches(model.decode, model.sample(500, 0))).softmax(1).amax(1)
    return {
        "judge_accuracy": accuracy(judge, clips, test.digits),
        "speaker_accuracy": accuracy(speaker, clips, test.speakers),
        "log_spectral_distance": log_spectral_distance(test.clips, clips),
        "mse": error.square().mean().item(),
        "kl": nats.sum().item(),
        "active_dims": int((nats >= ACTIVE_NATS).sum()),
        "aggregate_mean_max": mean.mean(0).abs().max().item(),
        "aggregate_variance": [variance.min().item(), variance.mean().item(), variance.max().item()],
        "posterior_std": std.mean().item(),
        "sample_confidence": draws.mean().item(),
    }


@torch.no_grad()
def measure_gan(
    model: GANModel,
    latents: Tensor,
    labels: Tensor,
    fitting: Recordings,
    test: Recordings,
    judge: Reader,
    speaker: Reader,
    labeller: Reader,
) -> dict[str, Any]:
    """Labelled draws that nothing was trained on, beside the recordings.

    Args:
        model: The GAN.
        latents: ``(n, latent)``, as many of each class.
        labels: int64 ``(n,)``, the labeller's.
        fitting: What the GAN was trained on.
        test: The test recordings.
        judge: Has had no part in choosing the draws.
        speaker: Tells speakers apart.
        labeller: Has labelled the draws.

    Returns:
        ``judge_accuracy`` and its standard error over the draws, ``class_accuracy``, ``spread``
        (within-class variance in judge features over that of the test recordings, mean and by class),
        ``speakers`` (share of each), ``near_copies`` (see `NEAR_COPY`), ``nearest_median`` (distance to the
        nearest training spectrogram, of the draws and of the test recordings), ``unchosen_agreement`` (of judge
        and labeller on draws as they come), ``frechet_distance`` to the training recordings, and that of the test recordings beside it.
    """
    drawn = in_batches(model.network, latents)
    clips = in_batches(waveform, drawn)
    right = (in_batches(judge.logits, clips).argmax(1) == labels).float()
    share = right.mean().item()
    real, known = (in_batches(log_mel, part.clips) for part in (test, fitting))
    ours, theirs, trained = (
        in_batches(judge.features, x)
        for x in (clips, in_batches(waveform, real), in_batches(waveform, known))
    )
    variances, usual_variances = class_variances(ours, labels), class_variances(theirs, test.digits)
    speakers = in_batches(speaker.logits, clips).argmax(1).bincount(minlength=len(test.names))
    unchosen = in_batches(model.decode, model.sample(UNCHOSEN, 0))
    heard = [in_batches(reader.logits, unchosen).argmax(1) for reader in (judge, labeller)]
    away, usual = nearest(drawn, known), nearest(real, known)
    reference = moments(trained)
    return {
        "judge_accuracy": share,
        "judge_accuracy_error": (share * (1 - share) / len(labels)) ** 0.5,
        "class_accuracy": [right[labels == label].mean().item() for label in labels.unique()],
        "spread": spread(variances, usual_variances),
        "class_spread": [variances[label] / usual_variances[label] for label in sorted(variances)],
        "speakers": (speakers / len(labels)).tolist(),
        "near_copies": (away < usual.quantile(NEAR_COPY)).float().mean().item(),
        "nearest_median": [away.median().item(), usual.median().item()],
        "unchosen_agreement": (heard[0] == heard[1]).float().mean().item(),
        "frechet_distance": frechet_distance(reference, moments(ours)),
        "frechet_distance_of_test": frechet_distance(reference, moments(theirs)),
    }
