"""Networks in one safetensors file each: float16 weights, and the shape record that rebuilds the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from ltzoo.errors import IntegrityError
from ltzoo.files import replacing
from ltzoo.records import Record
from ltzoo.tensor_files import open_tensors
from ltzoo_convnets.classifier import ClassifierShape, ConvClassifier
from ltzoo_convnets.vae import ConvVAE, VAEShape

__all__ = ["load_classifier", "load_network", "load_vae", "save_network"]

METADATA_KEY = "ltzoo_convnets"

Network = TypeVar("Network", bound=nn.Module)
Shape = TypeVar("Shape", bound=Record)


class Shaped(Protocol):
    """A network that knows the record it is built from."""

    @property
    def shape(self) -> Record: ...

    def state_dict(self) -> dict[str, torch.Tensor]: ...


def save_network(network: Shaped, path: Path) -> None:
    """Writes the weights, rounded to float16, and the network's shape.

    Raises:
        OSError: The file cannot be written.
    """
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={METADATA_KEY: network.shape.to_json()})


def load_vae(path: Path) -> ConvVAE:
    """The VAE in a file; see `load_network`."""
    return load_network(path, ConvVAE, VAEShape)


def load_classifier(path: Path) -> ConvClassifier:
    """The classifier in a file; see `load_network`."""
    return load_network(path, ConvClassifier, ClassifierShape)


def load_network(path: Path, build: Callable[[Shape], Network], shape: type[Shape]) -> Network:
    """The network in a file: float32 weights, frozen, in evaluation mode.

    Args:
        path: A file that `save_network` wrote.
        build: Makes the network from its shape.
        shape: The record of that network's shape.

    Raises:
        SpecError: The file does not say such a network's shape.
        IntegrityError: It is not a safetensors file, or its weights do not fit that shape.
    """
    network = build(shape.from_json(_metadata(path), where=str(path)))
    _fill(network, path)
    return network


def _metadata(path: Path) -> str:
    try:
        with open_tensors(path) as stream:
            metadata: dict[str, str] = stream.metadata() or {}
    except SafetensorError as error:
        raise IntegrityError(f"{path}: not a safetensors file: {error}") from error
    return metadata.get(METADATA_KEY, "")


def _fill(network: nn.Module, path: Path) -> None:
    with open_tensors(path) as stream:
        tensors: dict[str, torch.Tensor] = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    try:
        # Copying into the float32 network turns the stored float16 back into float32.
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise IntegrityError(f"{path}: {error}") from error
    network.eval().requires_grad_(False)
