"""Sound: any file that libsndfile reads, brought to the rate, channels and length that a model takes, and back.

Samples are float32 in -1..1. 16-bit values are divided by 32768, so that they survive being read and written.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltzoo.errors import MediaError
from ltzoo.spec import DataSpec

__all__ = ["encode_audio", "fit_sound", "read_audio"]

Samples = NDArray[np.float32]

MAX_SECONDS = 3600
BLOCK_FRAMES = 1 << 18
SILENCE = 1e-4
"""A peak below this (-80 dB) is silence: scaled up, it would be noise."""
FULL_SCALE = 32768
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}


def read_audio(path: Path, data: DataSpec, *, model: str | None = None) -> tuple[Tensor, list[str]]:
    """Reads a sound file as the model takes it.

    The file is mixed down and resampled block by block: only sound in the model's own form is ever whole in
    memory.

    Args:
        path: The file.
        data: The model's data.
        model: The model's id, for messages.

    Returns:
        float32 ``(channels, samples)`` in -1..1, and one line on what was converted, if anything was.

    Raises:
        MediaError: The file is no sound or a damaged one, is longer than an hour, or does not fit.
    """
    where = os.fspath(path)
    try:
        # By its number, since libsndfile judges by the suffix where it gets a name.
        with path.open("rb") as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as file:
            rate, channels, frames = file.samplerate, file.channels, file.frames
            if frames > MAX_SECONDS * rate:
                raise _too_long(where, frames / rate)
            samples = _collect(_blocks(file), rate, data, where)
    except soundfile.LibsndfileError as error:
        raise MediaError(
            f"{where}: is a damaged sound or one in an unknown format: {error.error_string}",
            hint="convert it to WAV, FLAC or OGG",
        ) from error
    item, changes = _fit_length(samples, data, where, model or "this model")
    before = _describe(rate, channels, frames)
    after = _describe(_rate(data), item.shape[0], item.shape[1])
    if before == after and not changes:
        return item, []
    return item, [", ".join([f"{where}: {before} -> {after}", *changes])]


def _blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
        yield block.T


def fit_sound(samples: Samples, rate: int, data: DataSpec, where: str, *, model: str | None = None) -> Tensor:
    """Brings sound to the rate, channels and length of the model's data.

    Args:
        samples: ``(channels, samples)`` in -1..1.
        rate: Samples per second.
        data: The model's data.
        where: The sound's file or place, for messages.
        model: The model's id, for messages.

    Returns:
        float32 ``(channels, samples)``.

    Raises:
        MediaError: It does not fit, has NaN or infinite values, or is silent and has to be normalised.
    """
    return _fit_length(_collect([samples], rate, data, where), data, where, model or "this model")[0]


def _rate(data: DataSpec) -> int:
    assert data.sample_rate is not None
    return data.sample_rate


def _describe(rate: int, channels: int, frames: int) -> str:
    layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    return f"{frames / rate:.2f} s {layout} at {rate} Hz"


def _too_long(where: str, seconds: float) -> MediaError:
    return MediaError(
        f"{where}: lasts {seconds / 60:.0f} minutes; at most {MAX_SECONDS // 60} are read",
        hint="cut it first",
    )


def _collect(blocks: Iterator[Samples] | list[Samples], rate: int, data: DataSpec, where: str) -> Samples:
    """Blocks of ``(channels, samples)`` as one sound in the model's channels and rate."""
    target = _rate(data)
    resampler = None
    parts: list[Samples] = []
    frames = 0
    for block in blocks:
        frames += block.shape[1]
        # The length in the header may be a lie.
        if frames > MAX_SECONDS * rate:
            raise _too_long(where, frames / rate)
        if not np.isfinite(block).all():
            raise MediaError(f"{where}: has samples that are NaN or infinite", hint="export the sound again")
        mixed = _mix(block, data.shape[0], where)
        if rate != target and resampler is None:
            resampler = _resampler(rate, target, mixed.shape[0], where)
        parts.append(mixed if resampler is None else resampler.resample_chunk(_interleaved(mixed)).T)
    if not frames:
        raise MediaError(f"{where}: has no samples")
    if resampler is not None:
        silence = np.zeros((parts[0].shape[0], 0), dtype=np.float32)
        parts.append(resampler.resample_chunk(_interleaved(silence), last=True).T)
    whole = np.concatenate(parts, axis=1)
    if not whole.shape[1]:
        raise MediaError(f"{where}: is too short: {frames} samples at {rate} Hz are none at {target} Hz")
    return whole


def _resampler(rate: int, target: int, channels: int, where: str) -> soxr.ResampleStream:
    try:
        return soxr.ResampleStream(rate, target, channels, dtype="float32")
    except (RuntimeError, ValueError) as error:
        raise MediaError(f"{where}: cannot be resampled from {rate} to {target} Hz: {error}") from error


def _interleaved(samples: Samples) -> Samples:
    return np.ascontiguousarray(samples.T)


def _mix(samples: Samples, channels: int | None, where: str) -> Samples:
    """The sound in that many channels; None leaves them as they are."""
    have = samples.shape[0]
    if channels is None or channels == have:
        return samples
    if channels == 1:
        return np.asarray(samples.mean(axis=0, keepdims=True), dtype=np.float32)
    if have == 1:
        return np.repeat(samples, channels, axis=0)
    raise MediaError(
        f"{where}: has {have} channels, and the model takes {channels}", hint="mix it down to mono first"
    )


def _fit_length(samples: Samples, data: DataSpec, where: str, model: str) -> tuple[Tensor, list[str]]:
    """The sound in the spec's length and loudness, and what was done."""
    have, want = samples.shape[1], data.shape[1]
    changes = []
    if want is not None and have != want:
        if data.fit == "refuse":
            rate = _rate(data)
            raise MediaError(
                f"{where}: lasts {have} samples at {rate} Hz ({have / rate:.3f} s), "
                f"but {model} takes {want} ({want / rate:.3f} s)",
                hint="cut or pad it first",
            )
        if have > want:
            start = _loudest(samples, want)
            samples = samples[:, start : start + want]
            changes.append(f"loudest part from {start / _rate(data):.2f} s")
        else:
            samples = np.pad(samples, ((0, 0), (0, want - have)))
            changes.append("padded with silence")
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    if data.normalize is not None:
        if peak < SILENCE:
            raise MediaError(f"{where}: is silent (peak {peak:.1g})", hint="record it louder")
        samples = samples * np.float32(data.normalize / peak)
        if abs(peak - data.normalize) > 0.01:
            changes.append(f"peak {peak:.2f} -> {data.normalize:.2f}")
    elif peak > 1:
        # Resampling can overshoot a little; floating-point files can hold anything.
        samples = samples.clip(-1, 1)
        if peak > 1.1:
            changes.append(f"cut off at 1 (peak {peak:.2f})")
    return torch.from_numpy(np.array(samples, dtype=np.float32)), changes


def _loudest(samples: Samples, length: int) -> int:
    """Where the window of that length with the most energy starts; the first one of equals."""
    energy = np.concatenate([[0.0], np.cumsum((samples.astype(np.float64) ** 2).sum(axis=0))])
    return int(np.argmax(energy[length:] - energy[:-length]))


def encode_audio(item: Tensor, data: DataSpec, suffix: str) -> bytes:
    """The item as a sound file: 16-bit WAV or FLAC, or OGG Vorbis.

    Args:
        item: ``(channels, samples)``; values outside -1..1 are cut off.
        data: What the item is: its ``sample_rate`` is the file's.
        suffix: ``.wav``, ``.flac`` or ``.ogg``.

    Raises:
        MediaError: The format cannot hold that rate or number of channels.
    """
    format, subtype = FORMATS[suffix]
    samples: NDArray[np.float32] | NDArray[np.int16] = np.ascontiguousarray(
        item.detach().float().cpu().clamp(-1, 1).numpy().T
    )
    if subtype == "PCM_16":
        samples = (samples * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    buffer = io.BytesIO()
    try:
        with soundfile.SoundFile(
            buffer, "w", samplerate=_rate(data), channels=samples.shape[1], format=format, subtype=subtype
        ) as file:
            # In blocks: libsndfile's Vorbis encoder runs out of stack on long ones.
            for start in range(0, len(samples), BLOCK_FRAMES // 4):
                file.write(samples[start : start + BLOCK_FRAMES // 4])
    except soundfile.LibsndfileError as error:
        raise MediaError(
            f"{format} cannot hold {samples.shape[1]} channels at {_rate(data)} Hz: {error.error_string}",
            hint="write .wav",
        ) from error
    return buffer.getvalue()
