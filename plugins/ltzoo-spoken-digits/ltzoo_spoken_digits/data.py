"""The recordings: the Free Spoken Digit Dataset from ``spoken_digits.npz``, split by take.

Takes 0-4 of each digit and speaker are the official test part. Of the rest, networks are trained on takes
5-44, and every choice about them is made on takes 45-49, the validation part.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from ltzoo.errors import TrainingError
from ltzoo_spoken_digits.spectrogram import RATE, SAMPLES

__all__ = ["FIRST_VALIDATION_TAKE", "Recordings", "normalized", "read_recordings"]

FIRST_VALIDATION_TAKE = 45
PEAK = 0.9


@dataclass(frozen=True)
class Recordings:
    """Clips with what is known of them.

    Attributes:
        clips: float32 ``(n, 1, 8000)`` with a peak of 0.9.
        digits: int64 ``(n,)``.
        speakers: int64 ``(n,)``, indices into ``names``.
        takes: int64 ``(n,)``, 0-49.
        names: The speakers.
    """

    clips: Tensor
    digits: Tensor
    speakers: Tensor
    takes: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, rows: Tensor) -> Recordings:
        return Recordings(
            self.clips[rows], self.digits[rows], self.speakers[rows], self.takes[rows], self.names
        )

    @property
    def fitting(self) -> Recordings:
        """What networks are trained on."""
        return self[self.takes < FIRST_VALIDATION_TAKE]

    @property
    def validation(self) -> Recordings:
        """What choices are made on."""
        return self[self.takes >= FIRST_VALIDATION_TAKE]


def read_recordings(path: Path) -> tuple[Recordings, Recordings]:
    """The train and test parts.

    Raises:
        TrainingError: The file is missing or has other content.
    """
    try:
        with path.open("rb") as stream, NpzFile(stream) as arrays:
            rate = int(arrays["sample_rate"][0])
            if rate != RATE:
                raise ValueError(f"{rate} samples per second")
            names = tuple(str(name) for name in arrays["speakers"])
            train, test = (_recordings(arrays, part, names) for part in ("train", "test"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"{path}: not an .npz of spoken digits: {error}",
            hint="the plugin's README says what it has to hold",
        ) from error
    return train, test


def _recordings(arrays: NpzFile, part: str, names: tuple[str, ...]) -> Recordings:
    x = arrays[f"x_{part}"]
    if x.dtype != np.int16 or x.ndim != 2 or x.shape[1] != SAMPLES:
        raise ValueError(f"clips are {x.dtype} {x.shape}")
    digits, speakers, takes = (
        torch.from_numpy(arrays[f"{name}_{part}"]).long() for name in ("y", "speaker", "index")
    )
    return Recordings(
        normalized(torch.from_numpy(x.astype(np.float32))[:, None]), digits, speakers, takes, names
    )


def normalized(clips: Tensor) -> Tensor:
    """The clips ``(n, 1, samples)`` with a peak of 0.9 each."""
    return clips * (PEAK / clips.abs().amax(2, keepdim=True).clamp(min=1e-8))
