"""Makes safetensors of the authors' ``.pth`` files: ``python -m ltzoo_taesd.convert FOLDER OUTPUT``.

A ``.pth`` file is a pickle archive. ``weights_only=True`` takes nothing but tensors from it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from ltzoo.errors import IntegrityError, LtzooError, UsageError
from ltzoo_taesd.layers import decoder_chain, encoder_chain

__all__ = ["convert"]


def convert(folder: Path, output: Path) -> list[Path]:
    """Converts all pairs ``NAME_encoder.pth`` and ``NAME_decoder.pth`` of a folder.

    Args:
        folder: Where they are.
        output: A folder ``NAME`` is made in it for each.

    Returns:
        These folders: what ``taesd:local:`` takes.

    Raises:
        UsageError: There are none.
        IntegrityError: A file holds something else than such an autoencoder's tensors.
    """
    made = []
    for encoder in sorted(folder.glob("*_encoder.pth")):
        name = encoder.name.removesuffix("_encoder.pth")
        decoder = encoder.with_name(f"{name}_decoder.pth")
        if not decoder.is_file():
            continue
        target = output / name
        target.mkdir(parents=True, exist_ok=True)
        for path, chain in ((encoder, encoder_chain), (decoder, decoder_chain)):
            weights = _tensors(path)
            chain({key: tuple(tensor.shape) for key, tensor in weights.items()}, str(path))
            save_file(weights, target / f"{path.stem}.safetensors")
        made.append(target)
    if not made:
        raise UsageError(f"{folder}: holds no NAME_encoder.pth with a NAME_decoder.pth")
    return made


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever unpickling foreign bytes raises
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IntegrityError(f"{path}: cannot be read: {first}") from error
    if not isinstance(found, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise IntegrityError(f"{path}: holds something else than tensors by name")
    return {str(key): tensor.contiguous() for key, tensor in found.items()}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("python -m ltzoo_taesd.convert FOLDER OUTPUT")
    try:
        for path in convert(Path(sys.argv[1]), Path(sys.argv[2])):
            sys.stdout.write(f"{path}\n")
    except LtzooError as error:
        raise SystemExit(f"error: {error}") from error
