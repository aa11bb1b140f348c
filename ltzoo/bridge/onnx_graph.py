"""A direction of a bridge as an ONNX graph, for programs without torch or Python."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.entrances import FoldedEntrance, PooledEntrance
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.randomness import Purpose, generator, normal
from ltzoo.errors import BridgeError, LtzooError, UsageError
from ltzoo.files import replacing
from ltzoo.spec import Shape

__all__ = ["INPUT", "OUTPUT", "TOLERANCE", "OnnxGraph", "export_onnx"]

INPUT, OUTPUT = "latents", "translated"
TOLERANCE = 1e-4
"""Largest difference from torch, relative to the largest value where that is above 1."""

POSITIONS = {1: ("steps",), 2: ("height", "width")}
CHECKED = ((1, 2), (7, 6))
"""Batches that a graph is checked with, and blocks of positions a side where these vary: not those of its tracing."""


@dataclass(frozen=True, kw_only=True)
class OnnxGraph:
    """A graph that was written.

    Attributes:
        path: The file.
        source: Id of the model whose latents it takes.
        target: Id of the model whose latents it gives.
        shape: Of a latent that it takes; None where the size may vary.
        multiples: What varying sizes must be multiples of, one number a dimension that has positions; none, if
            any size will do.
        difference: Largest difference from torch on drawn latents, relative to the largest value where that is
            above 1; None if onnxruntime is not installed.
    """

    path: Path
    source: str
    target: str
    shape: Shape
    multiples: tuple[int, ...]
    difference: float | None


class Direction(nn.Module):
    """What is exported: latents of one model to latents of another, by the mean of z'.

    Args:
        network: Of the bridge.
        into: Index of the model whose latents come in.
        out_of: Index of the model whose latents go out.
    """

    def __init__(self, network: BridgeNetwork, into: int, out_of: int) -> None:
        super().__init__()
        self.network, self.into, self.out_of = network, into, out_of

    def forward(self, latents: Tensor) -> Tensor:
        """As `Bridge.translate`, for sizes that fill whole blocks of positions."""
        network = self.network
        shared, _ = network.encode(network.enter(latents, self.into), self.into)
        return network.leave(network.decode(shared, self.out_of), self.out_of)


def export_onnx(
    bridge: Bridge, path: Path, *, source: str, target: str, metadata: dict[str, str] | None = None
) -> OnnxGraph:
    """Writes one direction of a bridge as an ONNX file, and compares it with torch.

    The batch may be of any size. So may positions, where the bridge works position by position and the model leaves
    them open; they must be multiples of what the bridge folds into one. A bridge that pools gets latents of the size
    that it was trained on: the graph does not resample.

    Args:
        bridge: On the CPU.
        path: The file.
        source: Id of the model to translate from.
        target: Id of the model to translate to.
        metadata: What else to store in the file, beside models, fingerprints, licences, recipe and versions.

    Raises:
        BridgeError: The bridge does not join the models, cannot be expressed in ONNX, or the graph gives something else
            than torch.
        UsageError: Source and target are the same.
        LtzooError: The packages that this needs are not installed.
        OSError: The file cannot be written.
    """
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        raise LtzooError(
            f"export to ONNX needs {' and '.join(missing)}", hint='python -m pip install "ltzoo[onnx]"'
        )
    if source == target:
        raise UsageError(f"a direction leads from one model to another, not from {source} to itself")
    into, out_of = bridge.index(source), bridge.index(target)
    shape, multiples = _input_shape(bridge, into)
    direction = Direction(bridge.network, into, out_of).eval()
    # Traced with more than one of everything: exporters take ones for fixed.
    example = _examples(bridge, into, shape, batch=3, cells=5)
    program = _traced(direction, example, shape, multiples)
    program.model.metadata_props.update(_metadata(bridge, into, out_of, multiples) | (metadata or {}))
    with replacing(path) as temporary:
        program.save(str(temporary), external_data=False)
        difference = None
        if find_spec("onnxruntime") is not None:
            difference = max(
                _difference(bridge, source, target, temporary, _examples(bridge, into, shape, batch, cells))
                for batch, cells in CHECKED
            )
            if not difference <= TOLERANCE:
                raise BridgeError(
                    f"the ONNX graph from {source} to {target} differs from torch by {difference:.2g}, more than "
                    f"{TOLERANCE:g}"
                )
    return OnnxGraph(
        path=path, source=source, target=target, shape=shape, multiples=multiples, difference=difference
    )


def _input_shape(bridge: Bridge, into: int) -> tuple[Shape, tuple[int, ...]]:
    """Shape of a latent that the graph takes, and what its varying sizes must be multiples of."""
    shape = bridge.config.models[into].spec.latent.shape
    entrance = bridge.network.entrance(into)
    if isinstance(entrance, PooledEntrance):
        return entrance.shape, ()
    if isinstance(entrance, FoldedEntrance) and None in shape and max(entrance.block) > 1:
        return shape, entrance.block
    return shape, ()


def _examples(bridge: Bridge, into: int, shape: Shape, batch: int, cells: int) -> Tensor:
    """Latents as the source model might give them: normal in the units of the network.

    Args:
        bridge: The bridge.
        into: Index of the source model.
        shape: As the graph takes it.
        batch: How many.
        cells: Blocks of positions of the first dimension whose size varies; one more of the next.
    """
    entrance, counts = bridge.network.entrance(into), []
    if isinstance(entrance, FoldedEntrance):
        counts = [
            cells + place if length is None else length // block
            for place, (length, block) in enumerate(zip(shape[1:], entrance.block, strict=True))
        ]
    drawn = normal(generator(0, Purpose.TRANSLATION), batch, bridge.config.architecture.sizes[into], *counts)
    with torch.no_grad():
        return bridge.network.leave(drawn, into)


def _traced(direction: Direction, example: Tensor, shape: Shape, multiples: tuple[int, ...]) -> Any:
    """The exporter's program."""
    from torch.export import Dim

    dims: dict[int, Any] = {0: Dim("batch")}
    names = POSITIONS.get(len(shape) - 1, ())
    for place, (name, length) in enumerate(zip(names, shape[1:], strict=True)):
        if length is None:
            step = multiples[place] if multiples else 1
            dims[place + 2] = Dim(name) if step == 1 else step * Dim(f"{name}_by_{step}")
    try:
        with _quiet():
            program = torch.onnx.export(
                direction,
                (example,),
                dynamo=True,
                dynamic_shapes=(dims,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        text = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BridgeError(f"this bridge cannot be expressed in ONNX: {text}") from error
    return program


def _metadata(bridge: Bridge, into: int, out_of: int, multiples: tuple[int, ...]) -> dict[str, str]:
    """What the file says of itself, as ONNX keeps it: text by name."""
    from ltzoo import __version__

    ends = {"source": bridge.config.models[into], "target": bridge.config.models[out_of]}
    found = {"ltzoo.version": __version__, "ltzoo.recipe": bridge.config.recipe.name}
    for name, end in ends.items():
        found[f"ltzoo.{name}"] = end.spec.id
        found[f"ltzoo.{name}.fingerprint"] = end.fingerprint
        found[f"ltzoo.{name}.license"] = end.spec.license
    if bridge.config.labels.classes:
        found["ltzoo.classes"] = json.dumps(bridge.config.labels.classes)
    if multiples:
        found["ltzoo.multiples"] = json.dumps(multiples)
    return found


def _difference(bridge: Bridge, source: str, target: str, path: Path, latents: Tensor) -> float:
    """How far onnxruntime is from torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: latents.numpy()})
    expected = bridge.translate(latents, source=source, target=target).numpy()
    if found.shape != expected.shape:
        raise BridgeError(f"the ONNX graph gives shape {found.shape}, torch {expected.shape}")
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
