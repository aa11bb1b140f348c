"""What TAEF2 gives through ltzoo: round trips of emoji, and a large collage piece by piece.

    python -m ltzoo_taesd.convert ../shared/weights OUT
    python benchmarks/taef2.py OUT/taef2 ../shared/data/emoji_pairs.npz
    python benchmarks/taef2.py OUT/taef2 ../shared/data/emoji_pairs.npz --collage 2048

Peak memory is the process's own, the libraries included.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

import ltzoo
from ltzoo.model import LatentModel


def emoji(path: str, step: int = 32, scale: int = 4) -> torch.Tensor:
    """Every 32nd emoji of Google, four times as large: bicubic, clamped."""
    pixels = np.load(path)["x_google"][::step]
    small = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return torch.nn.functional.interpolate(small, scale_factor=scale, mode="bicubic").clamp(0, 1)


def psnr(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Of each image, in dB."""
    return -10 * (one - other).square().flatten(1).mean(1).log10()


def collage(path: str, side: int) -> torch.Tensor:
    """Emoji beside each other in one image."""
    tiles = emoji(path, step=1)[: (side // 128) ** 2]
    rows = tiles.view(side // 128, side // 128, 3, 128, 128)
    return rows.permute(2, 0, 3, 1, 4).reshape(1, 3, side, side).contiguous()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure_collage(model: LatentModel, path: str, side: int) -> None:
    """In pieces first: memory is what was needed most so far."""
    x = collage(path, side)
    with torch.no_grad():
        before, start = peak(), time.perf_counter()
        z = model.encode(x)
        back = model.decode(z)
        print(f"in pieces: {time.perf_counter() - start:.1f} s, peak {peak():.2f} GiB ({before:.2f} before)")
        start = time.perf_counter()
        whole = model.encoder(x)
        whole_back = model.decoder(whole).clamp(0, 1)
        print(f"at once:   {time.perf_counter() - start:.1f} s, peak {peak():.2f} GiB")
    print(
        f"latents differ by {(z - whole).abs().mean():.2e} on average, {(z - whole).abs().max():.2e} at most"
    )
    difference = (back - whole_back).abs() * 255
    print(f"images differ by {difference.mean():.2e} / 255 on average, {difference.max():.2e} / 255 at most")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("emoji")
    parser.add_argument("--collage", type=int, metavar="SIDE")
    given = parser.parse_args()
    model = ltzoo.load_model(f"taesd:local:{Path(given.folder)}")
    if given.collage:
        measure_collage(model, given.emoji, given.collage)
        return
    x = emoji(given.emoji)
    with torch.no_grad():
        values = psnr(model.decode(model.encode(x)), x)
    print(
        f"{len(x)} emoji at {x.shape[3]} px: {values.mean():.2f} dB (mean over images), from {values.min():.1f} to {values.max():.1f}"
    )
    total = -10 * torch.log10((10 ** (-values / 10)).mean())
    print(f"of the mean squared error over all: {total:.2f} dB")


if __name__ == "__main__":
    main()
