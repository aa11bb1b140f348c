import math

import pytest
import torch

from ltzoo_spoken_digits.adapter import moved_up
from ltzoo_spoken_digits.measuring import log_spectral_distance
from ltzoo_spoken_digits.spectrogram import log_mel, mel_filters, waveform


def vowels(n=3):
    """Clips of half a second of five harmonics, each at its own pitch."""
    seconds = torch.arange(8000) / 8000
    pitches = torch.tensor([100.0, 140.0, 190.0])[:n, None]
    harmonics = torch.arange(1, 6)[:, None, None]
    sound = ((2 * math.pi * harmonics * pitches * seconds).sin() / harmonics).sum(0)
    return (sound * 0.3 * (seconds < 0.5))[:, None]


def test_spectrograms_are_in_range_and_reach_both_ends():
    spectrograms = log_mel(vowels())
    assert spectrograms.shape == (3, 1, 64, 64)
    assert spectrograms.amax((1, 2, 3)).tolist() == [1.0] * 3
    assert spectrograms.amin((1, 2, 3)).tolist() == [-1.0] * 3


def test_the_level_of_a_clip_does_not_matter():
    assert torch.allclose(log_mel(vowels()), log_mel(vowels() / 100), atol=1e-4)


def test_a_silent_clip_has_a_silent_spectrogram():
    assert (log_mel(torch.zeros(1, 1, 8000)) == -1).all()


def test_what_is_said_half_a_second_later_stands_half_as_far_again():
    early = log_mel(vowels())
    late = log_mel(vowels().roll(32 * 128, 2))
    assert torch.allclose(early[..., 1:30], late[..., 33:62], atol=1e-3)


def test_filters_cover_each_frequency_and_weigh_alike():
    filters = mel_filters(64, 4096)
    assert (filters[:, 40:-40].sum(0) > 0).all()
    areas = filters.sum(1) * 4000 / 2048
    assert torch.allclose(areas, torch.ones(64), atol=0.02)


def test_the_way_back_gives_the_sound_again_at_a_peak_of_nine_tenths():
    clips = vowels()
    back = waveform(log_mel(clips))
    assert back.abs().amax(2).flatten().tolist() == pytest.approx([0.9] * 3)
    assert log_spectral_distance(clips, back) < 5
    assert torch.equal(back, waveform(log_mel(clips)))


def test_silence_comes_back_as_silence():
    back = waveform(log_mel(vowels()))
    assert back[..., 5000:].abs().max() < 2e-3


def test_the_way_back_is_differentiable():
    spectrograms = log_mel(vowels()).requires_grad_()
    waveform(spectrograms).square().sum().backward()
    assert spectrograms.grad.isfinite().all()
    assert spectrograms.grad.abs().sum() > 0


def test_clips_that_start_late_are_moved_up_and_others_are_left_alone():
    clips = vowels()
    assert torch.equal(moved_up(clips), clips)
    assert torch.equal(moved_up(clips.roll(1600, 2)), clips.roll(1600, 2))
    moved = moved_up(clips.roll(3600, 2))
    assert torch.allclose(moved[..., 800:4800], clips[..., :4000])
    assert torch.equal(moved_up(torch.zeros(1, 1, 8000)), torch.zeros(1, 1, 8000))
