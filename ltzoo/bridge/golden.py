"""``golden.safetensors``: translations that a bridge gave where it was published, to be compared with elsewhere.

The file holds ``input.MODEL``, latents of each model, and ``output.SOURCE.TARGET``, their translations; models are
numbered as in the bridge. One metadata entry ``ltzoo``, the JSON of a `GoldenHeader`, says where they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Annotated, Literal

import torch
from msgspec import Meta
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.randomness import Purpose, generator, normal
from ltzoo.errors import BridgeError
from ltzoo.records import Record
from ltzoo.tensor_files import open_tensors

__all__ = ["GOLDEN", "TOLERANCE", "GoldenHeader", "golden_difference", "write_golden"]

GOLDEN = "golden.safetensors"
METADATA_KEY = "ltzoo"
ROWS = 4
POSITIONS = 4
"""In each dimension of a grid or sequence that has positions of its own."""
TOLERANCE = 1e-3
"""Of the largest output. Other processors sum in another order, which changes the last digits of a float32."""

Text = Annotated[str, Meta(min_length=1, max_length=256)]


@dataclass(frozen=True, kw_only=True)
class GoldenHeader(Record):
    """Where golden outputs were made."""

    format_version: Literal[1] = 1
    ltzoo: Text
    torch: Text


def write_golden(bridge: Bridge, path: Path) -> None:
    """Writes latents like those that the bridge was trained on, and what it translates them to.

    Raises:
        BridgeError: The file cannot be written.
    """
    from ltzoo import __version__

    inputs = [_drawn(bridge, end) for end in range(len(bridge.models))]
    tensors = {f"input.{end}": z for end, z in enumerate(inputs)}
    for source, target in permutations(range(len(inputs)), 2):
        tensors[_output(source, target)] = _translated(bridge, inputs[source], source, target)
    header = GoldenHeader(ltzoo=__version__, torch=str(torch.__version__))
    try:
        save_file(tensors, path, metadata={METADATA_KEY: header.to_json()})
    except (OSError, SafetensorError) as error:
        raise BridgeError(f"{path} cannot be written: {error}") from error


def golden_difference(bridge: Bridge, path: Path) -> tuple[GoldenHeader, float]:
    """How far the bridge's translations are from golden ones.

    Args:
        bridge: The bridge.
        path: Its ``golden.safetensors``.

    Returns:
        Where they were made, and the largest difference as a share of the largest output. Past `TOLERANCE`,
        something is wrong.

    Raises:
        BridgeError: The file cannot be read, or is not this bridge's.
        SpecError: Its metadata is not valid.
        LatentsError: Its inputs have other shapes than the models' latents, or are not finite.
    """
    models = range(len(bridge.models))
    expected = {f"input.{end}" for end in models} | {_output(*pair) for pair in permutations(models, 2)}
    try:
        with open_tensors(path) as file:
            text = (file.metadata() or {}).get(METADATA_KEY, "")
            if set(file.keys()) != expected:
                raise BridgeError(
                    f"{path}: its tensors are not those of a bridge between {len(models)} models"
                )
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in sorted(expected)}
    except (OSError, SafetensorError) as error:
        raise BridgeError(f"{path} cannot be read: {error}") from error
    header = GoldenHeader.from_json(text, where=str(path))
    largest = 0.0
    for source, target in permutations(models, 2):
        golden = tensors[_output(source, target)].float()
        found = _translated(bridge, tensors[f"input.{source}"], source, target)
        if golden.shape != found.shape or not bool(golden.isfinite().all()):
            raise BridgeError(f"{path}: '{_output(source, target)}' is no translation of this bridge")
        scale = max(float(golden.abs().max()), torch.finfo(torch.float32).tiny)
        largest = max(largest, float((found - golden).abs().max()) / scale)
    return header, largest


def _drawn(bridge: Bridge, end: int) -> Tensor:
    """Latents with the mean and spread of the model's, float32 ``(ROWS, *latent shape)``."""
    architecture = bridge.config.architecture
    places = len(architecture.entrance_shapes[end].shape) if architecture.trunk == "convolution" else 0
    rng = generator(0, Purpose.TRANSLATION, end)
    with torch.no_grad():
        x = normal(rng, ROWS, architecture.sizes[end], *[POSITIONS] * places).to(bridge.device)
        return bridge.network.leave(x, end).cpu().contiguous()


def _translated(bridge: Bridge, z: Tensor, source: int, target: int) -> Tensor:
    return bridge.translate(z, source=bridge.models[source], target=bridge.models[target]).cpu().contiguous()


def _output(source: int, target: int) -> str:
    return f"output.{source}.{target}"
