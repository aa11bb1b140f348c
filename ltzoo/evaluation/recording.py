"""Writing what was measured into a bridge's own files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.folder import WEIGHTS
from ltzoo.errors import BridgeError
from ltzoo.evaluation.protocol import Evaluation
from ltzoo.tensor_files import open_tensors

__all__ = ["record"]


def record(bridge: Bridge, evaluation: Evaluation, folder: Path, *, command: str) -> Bridge:
    """Puts an evaluation's figures in place of those that the bridge's config and card have.

    The folder is replaced as a whole or not at all; the weights stay what they are, in their dtype. All
    earlier figures go: figures of several protocols side by side would look comparable.

    Args:
        bridge: The bridge, as loaded from the folder.
        evaluation: What was measured of it.
        folder: Its folder.
        command: The command that measured it.

    Returns:
        The bridge with the figures.

    Raises:
        BridgeError: The folder cannot be read or written.
    """
    metrics = tuple(figure.metric(command) for figure in evaluation.figures)
    measured = Bridge(replace(bridge.config, metrics=metrics), bridge.network)
    measured.save_pretrained(folder, dtype=_stored_dtype(folder / WEIGHTS))
    return measured


def _stored_dtype(path: Path) -> torch.dtype:
    try:
        with open_tensors(path) as file:
            stored = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BridgeError(f"{path} cannot be read: {error}") from error
    # Some tensors are float32 in either case.
    return torch.float16 if "F16" in stored else torch.float32
