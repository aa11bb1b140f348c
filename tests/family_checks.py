"""What the tests of open families share: pictures, checkpoints that are spoilt, and references that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file


def contents(folder: Path, below: str = "") -> dict[str, bytes]:
    """A folder's files, as the test Hub takes them."""
    return {below + path.name: path.read_bytes() for path in folder.iterdir()}


def pictures(n: int, height: int = 37, width: int = 50, channels: int = 3) -> torch.Tensor:
    """Smooth ones, ``(n, channels, height, width)`` in 0..1."""
    coarse = torch.rand(n, channels, 4, 6, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


def save_pictures(folder: Path, n: int, **size: int) -> Path:
    """Writes `pictures` as files of a new folder."""
    folder.mkdir()
    for i, picture in enumerate(pictures(n, **size)):
        pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


def change_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Applies a change to the tensors of a file."""
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def check_refused(ltzoo, family: str, place: str, files: dict[str, bytes], hub, folder: Path, case) -> None:
    """That a reference to these files, in a ``folder`` or on the ``hub``, ends in one line.

    Args:
        case: The exit code, and what the line says.
    """
    expected, message = case
    if place == "hub":
        hub.add("org/wrong", files)
        reference = f"{family}:org/wrong"
    else:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        reference = f"{family}:local:{folder}"
    code, out, err = ltzoo("models", "show", reference)
    assert code == expected, err
    assert message in err
    assert err.count("\n") == 1, err
    assert not out
