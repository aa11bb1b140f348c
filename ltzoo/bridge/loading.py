"""Loading a bridge by reference, for use with the models that are installed."""

from __future__ import annotations

import os

import torch

from ltzoo.bridge.bridge import Bridge
from ltzoo.zoo import default_zoo

__all__ = ["load_bridge"]


def load_bridge(reference: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Bridge:
    """Loads a bridge and makes sure that it was trained on the models that are installed.

    Models of the bridge that no installed plugin lists are not looked at: translating latents needs no
    model. Whoever loads one later calls `Bridge.check_models` with its spec.

    Args:
        reference: See `Bridge.from_pretrained`.
        device: Where the weights go.

    Raises:
        FingerprintError: An installed model has other weights than the bridge was trained on.
        LtzooError: As `Bridge.from_pretrained`.
    """
    bridge = Bridge.from_pretrained(reference, device=device)
    installed = default_zoo().models
    bridge.check_models(installed[model] for model in bridge.models if model in installed)
    return bridge
