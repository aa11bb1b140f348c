"""Made the recordings in this folder: ``python docs/inputs/cut.py spoken_digits.npz``.

One test recording a digit (take 0), speakers in turn, from the Free Spoken Digit Dataset (Z. Jackson, C. Souza, J. Flaks,
Y. Pan, H. Nicolas, A. Thite and others, CC BY-SA 4.0, https://github.com/Jakobovski/free-spoken-digit-dataset), without the
silence that was put behind it. No network was trained on them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile

SPEAKERS = 6


def main(path: str) -> None:
    """Writes ``spoken-N.wav`` for each digit."""
    with np.load(path) as data:
        for digit in range(10):
            chosen = (
                (data["y_test"] == digit)
                & (data["speaker_test"] == digit % SPEAKERS)
                & (data["index_test"] == 0)
            )
            (row,) = np.flatnonzero(chosen)
            clip = data["x_test"][row, : data["length_test"][row]]
            soundfile.write(
                Path(__file__).with_name(f"spoken-{digit}.wav"), clip, int(data["sample_rate"][0])
            )


if __name__ == "__main__":
    main(sys.argv[1])
