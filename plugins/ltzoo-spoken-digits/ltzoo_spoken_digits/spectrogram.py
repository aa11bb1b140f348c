"""Clips to log-mel spectrograms and back; the way back guesses the phase.

A clip is float32 ``(batch, 1, 8000)``: one second at 8 kHz. Its spectrogram is float32
``(batch, 1, 64, 64)``, mel bands by frames, -1 (60 dB below the clip's loudest cell) to 1 (the loudest).
The clip's own level is not in it.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["FRAMES", "MELS", "RATE", "SAMPLES", "log_mel", "mel_filters", "waveform"]

RATE = 8000
SAMPLES = 8000
FFT, WINDOW, HOP = 512, 384, 128
MELS = FRAMES = 64
FLOOR = 60.0
"""Decibels below the loudest cell that count as silence."""
PEAK = 0.9
MAGNITUDE_ROUNDS = 15
PHASE_ROUNDS = 16
MOMENTUM = 0.99
PADDED = FRAMES * HOP - HOP
"""Samples whose centred transform has exactly `FRAMES` frames."""


@cache
def mel_filters(bands: int, fft: int, rate: int = RATE) -> Tensor:
    """Triangular filters of equal area, evenly spaced on Slaney's mel scale from 0 to half the rate.

    Returns:
        float32 ``(bands, fft // 2 + 1)``.
    """
    # Slaney's scale is linear below 1 kHz (15 mel) and logarithmic above, 27 mel to a factor of 6.4.
    step = math.log(6.4) / 27
    top = 15 + math.log(rate / 2000) / step
    mel = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    hertz = torch.where(mel < 15, mel * 200 / 3, 1000 * ((mel - 15) * step).exp())
    bins = torch.linspace(0, rate / 2, fft // 2 + 1, dtype=torch.float64)
    low, centre, high = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp(min=0)
    return (triangles * 2 / (high - low)).float()


@cache
def _inverse_filters() -> Tensor:
    inverse: Tensor = torch.linalg.pinv(mel_filters(MELS, FFT).double())
    return inverse.float()


def log_mel(clips: Tensor) -> Tensor:
    """Spectrograms ``(batch, 1, 64, 64)`` in -1..1 of clips ``(batch, 1, 8000)`` at any level.

    A silent clip gives -1 everywhere.
    """
    padded = F.pad(clips.squeeze(1), (0, PADDED - SAMPLES))
    magnitude = _transform(padded).abs()
    mel = mel_filters(MELS, FFT).to(clips.device) @ magnitude
    loudest = mel.amax((1, 2), keepdim=True).clamp(min=1e-8)
    decibels = 20 * (mel / loudest).clamp(min=10 ** (-FLOOR / 20)).log10()
    return (1 + decibels / (FLOOR / 2)).unsqueeze(1)


def waveform(spectrograms: Tensor) -> Tensor:
    """Clips ``(batch, 1, 8000)`` with a peak of 0.9 of spectrograms ``(batch, 1, 64, 64)``.

    The magnitudes below the mel bands are the non-negative least-squares ones, the phase is found by
    fast Griffin-Lim (Perraudin et al. 2013) from the same start every time. Differentiable.
    """
    magnitude = _magnitudes(spectrograms.squeeze(1))
    phase = _first_phase().to(spectrograms.device).expand_as(magnitude)
    before = torch.zeros_like(phase)
    for _ in range(PHASE_ROUNDS):
        rebuilt = _transform(_inverse(magnitude * phase))
        estimate = rebuilt - MOMENTUM / (1 + MOMENTUM) * before
        # The square of a complex modulus, since the modulus itself has no gradient at 0.
        squared = estimate.real.square() + estimate.imag.square()
        phase = estimate * (squared + 1e-12).rsqrt()
        before = rebuilt
    clips = _inverse(magnitude * phase)[:, :SAMPLES]
    peak = clips.abs().amax(1, keepdim=True).clamp(min=1e-6)
    return (clips * (PEAK / peak)).unsqueeze(1)


def _magnitudes(spectrograms: Tensor) -> Tensor:
    """Magnitudes ``(batch, 257, 64)`` whose mel bands are those of the spectrograms ``(batch, 64, 64)``."""
    silence = 10 ** (-FLOOR / 20)
    mel = (10 ** ((spectrograms - 1) * (FLOOR / 40)) - silence).clamp(min=0)
    filters = mel_filters(MELS, FFT).to(mel.device)
    wanted = filters.T @ mel
    magnitude = (_inverse_filters().to(mel.device) @ mel).clamp(min=1e-6)
    for _ in range(MAGNITUDE_ROUNDS):
        magnitude = magnitude * wanted / (filters.T @ (filters @ magnitude) + 1e-12)
    return magnitude


@cache
def _first_phase() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    angle = 2 * math.pi * torch.rand(FFT // 2 + 1, FRAMES, generator=generator)
    return torch.polar(torch.ones_like(angle), angle)


def _window(device: torch.device) -> Tensor:
    return torch.hann_window(WINDOW, device=device)


def _transform(clips: Tensor) -> Tensor:
    return torch.stft(
        clips,
        FFT,
        HOP,
        WINDOW,
        _window(clips.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )


def _inverse(transform: Tensor) -> Tensor:
    return torch.istft(transform, FFT, HOP, WINDOW, _window(transform.device), center=True, length=PADDED)
