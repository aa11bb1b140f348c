"""Sound: rates, channels, lengths and loudness."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltzoo.errors import LtzooError, MediaError
from ltzoo.media import audio, read_media, write_media
from ltzoo.spec import DataSpec


def spec(samples=8000, *, channels=1, rate=8000, fit="loudest", normalize=None) -> DataSpec:
    return DataSpec(
        modality="audio", shape=(channels, samples), sample_rate=rate, fit=fit, normalize=normalize
    )


def tone(hertz=440.0, *, seconds=1.0, rate=8000, peak=0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pitch(samples: torch.Tensor, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples.numpy().ravel() * np.hanning(samples.numel())))
    return float(spectrum.argmax() * rate / samples.numel())


def read(samples, rate, data, tmp_path, *, name="x.wav", **options):
    soundfile.write(tmp_path / name, samples, rate, **options)
    return read_media(tmp_path / name, data)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
def test_a_tone_keeps_its_pitch_and_loudness(tmp_path, rate, name):
    item, notes = read(tone(rate=rate, seconds=1.5), rate, spec(None), tmp_path, name=name)
    assert item.dtype == torch.float32
    assert item.shape == (1, 12000)
    assert pitch(item, 8000) == pytest.approx(440, abs=1)
    assert float(item[:, 1000:-1000].abs().max()) == pytest.approx(0.5, abs=0.02)
    if rate != 8000:
        assert notes == [f"{tmp_path / name}: 1.50 s mono at {rate} Hz -> 1.50 s mono at 8000 Hz"]


def test_resampling_by_blocks_is_resampling_at_once(tmp_path, monkeypatch):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (44100, 2)).astype(np.float32)
    whole, _ = read(samples, 44100, spec(None), tmp_path, subtype="FLOAT")
    monkeypatch.setattr(audio, "BLOCK_FRAMES", 1000)
    blocks, _ = read(samples, 44100, spec(None), tmp_path, subtype="FLOAT")
    torch.testing.assert_close(whole, blocks, atol=1e-5, rtol=0)


def test_sound_of_the_exact_form_passes_bit_exact(tmp_path):
    values = np.random.default_rng(0).integers(-32768, 32768, 8000).astype(np.int16)
    item, notes = read(values, 8000, spec(fit="refuse"), tmp_path)
    assert notes == []
    assert np.array_equal(item[0].numpy() * 32768, values)
    for name in ("again.wav", "again.flac"):
        write_media(tmp_path / name, item, spec())
        assert np.array_equal(soundfile.read(tmp_path / name, dtype="int16")[0], values)


def test_the_loudest_window_is_kept(tmp_path):
    samples = 0.01 * tone(100, seconds=5)
    samples[20000:26000] += tone(440, seconds=0.75)
    item, notes = read(samples, 8000, spec(), tmp_path)
    assert item.shape == (1, 8000)
    energy = (item[0] ** 2).sum()
    assert energy == pytest.approx(float((samples[20000:26000] ** 2).sum()), rel=0.01)
    assert "loudest part from 2." in notes[0]


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 2**31))
@settings(deadline=None)
def test_no_window_is_louder(length, want, seed):
    samples = np.random.default_rng(seed).normal(size=(2, max(length, want))).astype(np.float32)
    start = audio._loudest(samples, want) if samples.shape[1] > want else 0
    energies = [(samples[:, i : i + want] ** 2).sum() for i in range(samples.shape[1] - want + 1)]
    assert energies[start] >= max(energies) * (1 - 1e-5)


def test_a_short_clip_is_padded_with_silence(tmp_path):
    item, notes = read(tone(seconds=0.25), 8000, spec(), tmp_path)
    assert item.shape == (1, 8000)
    assert float(item[:, 2000:].abs().max()) == 0
    assert notes == [
        f"{tmp_path / 'x.wav'}: 0.25 s mono at 8000 Hz -> 1.00 s mono at 8000 Hz, padded with silence"
    ]


def test_channels_are_mixed_and_repeated(tmp_path):
    stereo = np.stack([tone(), np.zeros(8000, np.float32)], axis=1)
    item, notes = read(stereo, 8000, spec(), tmp_path)
    assert float(item.abs().max()) == pytest.approx(0.25, abs=0.001)
    assert "1.00 s stereo at 8000 Hz -> 1.00 s mono" in notes[0]
    item, _ = read(tone(), 8000, spec(channels=2), tmp_path)
    assert torch.equal(item[0], item[1])
    with pytest.raises(MediaError, match="has 3 channels, and the model takes 2"):
        read(np.zeros((100, 3)), 8000, spec(channels=2), tmp_path)


def test_the_peak_is_normalised(tmp_path):
    item, notes = read(tone(peak=0.03), 8000, spec(normalize=0.9), tmp_path)
    assert float(item.abs().max()) == pytest.approx(0.9, abs=1e-5)
    assert "peak 0.03 -> 0.90" in notes[0]


@pytest.mark.parametrize("level", [0.0, 3e-5])
def test_silence_cannot_be_normalised(tmp_path, level):
    with pytest.raises(MediaError, match="is silent"):
        read(np.full(8000, level), 8000, spec(normalize=0.9), tmp_path, subtype="FLOAT")
    item, _ = read(np.full(8000, level), 8000, spec(), tmp_path, subtype="FLOAT")
    assert float(item.abs().max()) <= 1e-4


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    samples = tone()
    samples[4000] = value
    with pytest.raises(MediaError, match="NaN or infinite"):
        read(samples, 8000, spec(), tmp_path, subtype="FLOAT")


def test_another_length_is_refused_where_the_spec_refuses(tmp_path):
    with pytest.raises(
        MediaError, match=r"lasts 4000 samples at 8000 Hz \(0.500 s\), but this model takes 8000"
    ):
        read(tone(seconds=0.5), 8000, spec(fit="refuse"), tmp_path)


def test_a_file_without_sound(tmp_path):
    with pytest.raises(MediaError, match=r"x\.wav: has no samples"):
        read(np.zeros(0), 8000, spec(), tmp_path)


def test_long_files_are_refused_by_their_header(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SECONDS", 120)
    monkeypatch.setattr(audio, "_blocks", None)
    with pytest.raises(MediaError, match="lasts 3 minutes; at most 2 are read"):
        read(np.zeros(8000 * 180, np.int16), 8000, spec(), tmp_path)


def test_a_header_that_announces_more_than_there_is(tmp_path):
    soundfile.write(tmp_path / "x.wav", tone(), 8000)
    content = bytearray((tmp_path / "x.wav").read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 2**31)
    (tmp_path / "x.wav").write_bytes(content)
    item, _ = read_media(tmp_path / "x.wav", spec())
    assert item.shape == (1, 8000)


def test_the_suffix_of_a_sound_does_not_matter(tmp_path):
    soundfile.write(tmp_path / "x.wav", tone(), 8000)
    for name in ("x.raw", "x", "x.png"):
        (tmp_path / name).write_bytes((tmp_path / "x.wav").read_bytes())
        assert read_media(tmp_path / name, spec())[0].shape == (1, 8000)


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
def test_a_damaged_head_is_refused(tmp_path, name):
    soundfile.write(tmp_path / name, tone(), 8000)
    content = bytearray((tmp_path / name).read_bytes())
    content[8 if name != "x.wav" else 12 : 60] = b"\xaa" * 48
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=f"{name}: is a damaged sound"):
        read_media(tmp_path / name, spec())


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_sound_is_read_or_refused(tmp_path_factory, data):
    buffer = io.BytesIO()
    format = data.draw(st.sampled_from(["WAV", "FLAC", "OGG"]))
    soundfile.write(buffer, tone(seconds=0.1), 8000, format=format)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, min(200, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        item, _ = read_media(path, spec())
    except LtzooError as error:
        assert str(path) in error.message
    else:
        assert item.shape == (1, 8000)
        assert item.isfinite().all()


def test_writing_cuts_off_and_says_what_a_format_cannot_hold(tmp_path):
    write_media(tmp_path / "x.wav", torch.tensor([[2.0, -2.0, 0.0]]), spec(3))
    assert soundfile.read(tmp_path / "x.wav", dtype="int16")[0].tolist() == [32767, -32768, 0]
    with pytest.raises(MediaError, match=r"x\.flac: FLAC cannot hold 9 channels at 8000 Hz"):
        write_media(tmp_path / "x.flac", torch.zeros(9, 100), spec(100, channels=9))
    assert not (tmp_path / "x.flac").exists()


def test_a_long_ogg_is_written(tmp_path):
    item = torch.from_numpy(tone(seconds=60, rate=22050))[None]
    write_media(tmp_path / "x.ogg", item, spec(None, rate=22050))
    assert soundfile.info(tmp_path / "x.ogg").frames == 60 * 22050
