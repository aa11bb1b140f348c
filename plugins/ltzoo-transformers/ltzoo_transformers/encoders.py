"""Image encoders as ltzoo uses them: images of any size to one vector."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ltzoo.media.image import image_of
from ltzoo.pretrained import load_pretrained, open_checkpoint
from ltzoo.spec import ModelSpec
from ltzoo_transformers.config import PREPROCESSOR, EncoderConfig, read_config
from ltzoo_transformers.preprocessing import Preprocessing, read_preprocessing

__all__ = ["ImageEncoder", "load", "prepare"]

AT_ONCE = 32
"""Images that go through the network at once."""


class ImageEncoder:
    """A frozen encoder.

    Args:
        spec: The model's spec.
        network: Of a class of transformers.
        config: What its config says.
        preprocessing: What is done to images first.
        device: Where the network is.
    """

    def __init__(
        self,
        spec: ModelSpec,
        network: Any,
        config: EncoderConfig,
        preprocessing: Preprocessing,
        device: str,
    ) -> None:
        self.spec, self.network, self.config, self.device = spec, network, config, device
        self.preprocessing = preprocessing

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Latents ``(batch, dims)`` of images ``(batch, 3, height, width)`` in 0..1, of any size."""
        parts = []
        for some in x.split(AT_ONCE):
            pixels = prepare(some.to(self.device), self.preprocessing)
            parts.append(getattr(self.network(pixel_values=pixels), self.config.kind.output))
        return torch.cat(parts).float()


def prepare(x: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Images as the network takes them: scaled, cropped to the middle, normalised.

    Args:
        x: ``(batch, channels, height, width)`` in 0..1.
        preprocessing: What to do.
    """
    size = preprocessing.resized(*x.shape[2:])
    if size != tuple(x.shape[2:]):
        x = torch.stack([_scaled(item, size, preprocessing.resample) for item in x]).to(x.device)
    if preprocessing.crop is not None:
        x = _middle(x, *preprocessing.crop)
    mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return (x * preprocessing.scale - mean) / std


def _scaled(item: Tensor, size: tuple[int, int], resample: int) -> Tensor:
    """One image in another size: by Pillow, as the library does it, since no other resampling gives the same."""
    image = image_of(item).resize((size[1], size[0]), resample=Image.Resampling(resample))
    pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255)
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _middle(x: Tensor, height: int, width: int) -> Tensor:
    """The middle, black where the image is smaller."""
    wide, high = max(width - x.shape[3], 0), max(height - x.shape[2], 0)
    if wide or high:
        spare = ((wide + 1) // 2, wide // 2, (high + 1) // 2, high // 2)
        x = torch.nn.functional.pad(x, spare)
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]


def load(spec: ModelSpec, *, device: str) -> ImageEncoder:
    """Loads the model: what the spec's ``loader`` names.

    Raises:
        IntegrityError: The weights are not what the config asks for, or not those of the spec.
    """
    folder, content = open_checkpoint(spec)
    config = read_config(content, spec.id)
    assert isinstance(config, EncoderConfig)
    preprocessing = read_preprocessing(
        json.loads((folder / PREPROCESSOR).read_bytes()), config.image_channels, spec.id
    )
    network = load_pretrained("transformers", config.kind.cls, folder, spec, dtype=torch.float32).to(device)
    return ImageEncoder(spec, network, config, preprocessing, device)
