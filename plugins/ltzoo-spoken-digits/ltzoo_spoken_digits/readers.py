"""What reads a clip: the judge, the labeller, and a network that tells speakers apart for measuring.

The judge looks at a log-mel picture with two-dimensional convolutions, the labeller goes along cepstra with
a recurrent layer. They share neither features, layers, seed nor augmentation; both were trained on the
same recordings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from ltzoo.records import Record
from ltzoo_spoken_digits.spectrogram import mel_filters

__all__ = ["Labeller", "LabellerShape", "Picture", "PictureShape"]

Size = Annotated[int, Meta(ge=1, le=4096)]


@dataclass(frozen=True, kw_only=True)
class PictureShape(Record):
    """Classes, and channels of the first layer."""

    classes: Size
    width: Size


@dataclass(frozen=True, kw_only=True)
class LabellerShape(Record):
    """Classes, and units of the recurrent layer in each direction."""

    classes: Size
    units: Size


class Picture(nn.Module):
    """Clips ``(batch, 1, 8000)`` to logits, by convolutions on 40 mel bands; the judge is one of these."""

    features_size = 128

    def __init__(self, shape: PictureShape) -> None:
        super().__init__()
        self.shape = shape
        widths = (1, shape.width, 2 * shape.width, 2 * shape.width, 4 * shape.width)
        blocks = []
        for inputs, outputs in pairwise(widths):
            blocks += [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.body = nn.Sequential(*blocks)
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(8 * shape.width, self.features_size), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(self.features_size, shape.classes))

    def features(self, clips: Tensor) -> Tensor:
        """Activations before the last layer, ``(batch, 128)``."""
        return self._hidden(self.picture(clips))

    def picture(self, clips: Tensor) -> Tensor:
        """Log-mel pictures ``(batch, 1, 40, 100)``, from -1 (50 dB below the loudest cell) to 1."""
        mel = mel_filters(40, 256).to(clips.device) @ _magnitudes(clips, 256, 256, 80)[..., :100]
        loudest = mel.amax((1, 2), keepdim=True).clamp(min=1e-8)
        return (1 + (mel / loudest).clamp(min=10**-2.5).log10() / 1.25).unsqueeze(1)

    def read(self, picture: Tensor) -> Tensor:
        """Logits of log-mel pictures."""
        logits: Tensor = self.head(self._hidden(picture))
        return logits

    def _hidden(self, picture: Tensor) -> Tensor:
        x = self.body(picture)
        # The loudest place in time and the mean over the bands: where in the second it is said is no matter.
        x = torch.cat((x.amax((2, 3)), x.amax(3).mean(2)), 1)
        hidden: Tensor = self.hidden(x)
        return hidden

    def forward(self, clips: Tensor) -> Tensor:
        return self.read(self.picture(clips))


class Labeller(nn.Module):
    """Clips ``(batch, 1, 8000)`` to logits, by a recurrent layer along 16 cepstra and their slopes."""

    def __init__(self, shape: LabellerShape) -> None:
        super().__init__()
        self.shape = shape
        self.norm = nn.BatchNorm1d(32)
        self.body = nn.Sequential(
            nn.Conv1d(32, 64, 5, padding=2), nn.GELU(), nn.Conv1d(64, 96, 5, stride=2, padding=2), nn.GELU()
        )
        self.along = nn.GRU(96, shape.units, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4 * shape.units, shape.classes))

    def features(self, clips: Tensor) -> Tensor:
        """Mean and largest state along the clip, ``(batch, 4 * units)``."""
        x = self.body(self.norm(self.cepstra(clips))).transpose(1, 2)
        states = self.along(x)[0]
        return torch.cat((states.mean(1), states.amax(1)), 1)

    def cepstra(self, clips: Tensor) -> Tensor:
        """Cepstra and their slopes, ``(batch, 32, 80)``."""
        clips = clips / clips.abs().amax(2, keepdim=True).clamp(min=1e-8)
        rising = torch.cat((clips[..., :1], clips[..., 1:] - 0.95 * clips[..., :-1]), 2)
        mel = mel_filters(32, 256).to(clips.device) @ _magnitudes(rising, 256, 200, 100)[..., :80].square()
        cepstra = _cosines(16, 32).to(clips.device) @ (mel + 1e-6).log()
        slopes = nn.functional.pad(cepstra, (2, 2), mode="replicate").unfold(2, 5, 1)
        slopes = slopes @ torch.tensor([-0.2, -0.1, 0.0, 0.1, 0.2], device=clips.device)
        return torch.cat((cepstra, slopes), 1)

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(clips))
        return logits


@cache
def _cosines(rows: int, columns: int) -> Tensor:
    place = (torch.arange(columns) + 0.5) * math.pi / columns
    return (torch.arange(rows)[:, None] * place).cos() * math.sqrt(2 / columns)


def _magnitudes(clips: Tensor, fft: int, window: int, hop: int) -> Tensor:
    return torch.stft(
        clips.squeeze(1),
        fft,
        hop,
        window,
        torch.hann_window(window, device=clips.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    ).abs()
