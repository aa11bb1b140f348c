"""Which layers a weight file is of, by the names and shapes of its tensors. Torch-free.

Keys are numbers in one chain of layers. Layers without weights have numbers, too, and no keys: what stands in such a
gap follows from what comes before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ltzoo.errors import IntegrityError
from ltzoo.tensor_files import LENGTH_BYTES, MAX_HEADER_BYTES

__all__ = ["Chain", "Layer", "Shapes", "decoder_chain", "encoder_chain", "part_of", "read_shapes"]

Shapes = Mapping[str, tuple[int, ...]]

KEY = re.compile(r"(\d{1,3})\.(.+)")
PART = re.compile(r"(encoder|decoder)\.(?:layers\.)?(.+)")
MOST_LAYERS, WIDEST = 100, 4096
BLOCK = {f"conv.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")}
POOL = {"pool.0.weight", "pool.1.weight", "pool.1.bias", "pool.3.weight"}

Kind = Literal["conv", "halve", "block", "relu", "double", "clamp"]


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        kind: ``conv``: 3x3; ``halve``: 3x3 with stride 2; ``block``: three convolutions beside a shortcut; and
            three without weights.
        inputs: Channels.
        outputs: Channels.
        bias: Of a convolution.
        pooled: Channels of a block's gated side path; 0 for none.
        projected: A block's shortcut changes the number of channels.
    """

    kind: Kind
    inputs: int = 0
    outputs: int = 0
    bias: bool = True
    pooled: int = 0
    projected: bool = False


@dataclass(frozen=True)
class Chain:
    """An encoder or a decoder.

    Attributes:
        layers: In order; each has the number of its place in the file.
        numbers: The number of each layer with weights.
    """

    layers: tuple[Layer, ...]
    numbers: tuple[int | None, ...]

    @property
    def inputs(self) -> int:
        """Channels that go in."""
        return next(layer.inputs for layer in self.layers if layer.inputs)

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return next(layer.outputs for layer in reversed(self.layers) if layer.outputs)

    @property
    def scale(self) -> int:
        """By how much the sides shrink or grow."""
        return int(2 ** sum(layer.kind in ("halve", "double") for layer in self.layers))


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a safetensors file's tensors, from its header.

    Raises:
        IntegrityError: It is no safetensors file.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"its header has more than {MAX_HEADER_BYTES} bytes")
            header = json.loads(stream.read(length))
        return {
            name: tuple(int(size) for size in entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{path}: is no safetensors file: {error}") from error


def part_of(shapes: Shapes, part: Literal["encoder", "decoder"]) -> dict[str, str]:
    """Keys of one part of a file that holds both: what they are called in a chain, and in the file."""
    matches = ((PART.fullmatch(name), name) for name in shapes)
    return {match[2]: name for match, name in matches if match and match[1] == part}


def encoder_chain(shapes: Shapes, where: str) -> Chain:
    """The layers of an encoder.

    Raises:
        IntegrityError: These are not the tensors of one.
    """
    groups = _groups(shapes, where)
    layers: list[Layer] = []
    numbers: list[int | None] = []
    for number in range(max(groups) + 1):
        if number not in groups:
            # Encoders of stride 32 begin with two convolutions of stride 2, each with a ReLU behind it.
            if not layers or layers[-1].kind != "halve" or not layers[-1].bias:
                raise _foreign(where, f"no layer {number}")
            layers.append(Layer("relu"))
            numbers.append(None)
            continue
        layer = _layer(groups[number], where, number)
        if layer.kind == "conv" and (not layer.bias or (number + 1 not in groups and number < max(groups))):
            layer = Layer("halve", layer.inputs, layer.outputs, layer.bias)
        layers.append(layer)
        numbers.append(number)
    return _checked(Chain(tuple(layers), tuple(numbers)), where)


def decoder_chain(shapes: Shapes, where: str) -> Chain:
    """The layers of a decoder, its clamp first even where the file's numbers leave it out.

    Raises:
        IntegrityError: These are not the tensors of one.
    """
    groups = _groups(shapes, where)
    layers: list[Layer] = [Layer("clamp")]
    numbers: list[int | None] = [None]
    for number in range(0 if 0 in groups else 1, max(groups) + 1):
        if number in groups:
            layers.append(_layer(groups[number], where, number))
            numbers.append(number)
        else:
            layers.append(Layer("relu" if len(layers) == 2 else "double"))
            numbers.append(None)
    return _checked(Chain(tuple(layers), tuple(numbers)), where)


def _groups(shapes: Shapes, where: str) -> dict[int, dict[str, tuple[int, ...]]]:
    groups: dict[int, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        match = KEY.fullmatch(name)
        if match is None or int(match[1]) > MOST_LAYERS or not all(0 < size <= WIDEST for size in shape):
            raise _foreign(where, f"'{name[:80]}' of shape {shape}")
        groups.setdefault(int(match[1]), {})[match[2]] = shape
    if not groups:
        raise _foreign(where, "no tensors")
    return groups


def _layer(tensors: dict[str, tuple[int, ...]], where: str, number: int) -> Layer:
    names = set(tensors)
    if names in ({"weight"}, {"weight", "bias"}) and len(tensors["weight"]) == 4:
        outputs, inputs, *kernel = tensors["weight"]
        if kernel == [3, 3]:
            return Layer("conv", inputs, outputs, "bias" in names)
    elif names >= BLOCK and names - BLOCK - POOL <= {"skip.weight"} and (not names & POOL or names >= POOL):
        outputs, inputs = tensors["conv.0.weight"][:2]
        pooled = tensors["pool.0.weight"][0] if names & POOL else 0
        return Layer("block", inputs, outputs, pooled=pooled, projected="skip.weight" in names)
    raise _foreign(where, f"layer {number} with {', '.join(sorted(names))[:120]}")


def _checked(chain: Chain, where: str) -> Chain:
    width = chain.inputs
    for layer, number in zip(chain.layers, chain.numbers, strict=True):
        if layer.inputs and layer.inputs != width:
            raise _foreign(where, f"layer {number} for {layer.inputs} channels behind one of {width}")
        width = layer.outputs or width
    if chain.layers[-1].kind != "conv" or chain.scale > 64:
        raise _foreign(where, f"{chain.layers[-1].kind} as its last layer")
    return chain


def _foreign(where: str, what: str) -> IntegrityError:
    return IntegrityError(f"{where}: has {what}, so it is no autoencoder of TAESD's kind")
