"""What ``config.json`` says of an autoencoder: its kind, its sizes, and the scale of its latents. Torch-free.

The classes of diffusers leave the scale of latents to whoever calls them. Here it is read once, and the adapter owns it:

    latent = (what the encoder gives - shift) * scaling,    or, with statistics,    (... - mean) * scaling / std
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ltzoo.errors import IntegrityError, UnknownModelError

__all__ = ["CONFIG", "KINDS", "PICKLE", "STEM", "AutoencoderConfig", "read_config"]

CONFIG = "config.json"
STEM, PICKLE = "diffusion_pytorch_model", "diffusion_pytorch_model.bin"

IMAGE_CHANNELS = (1, 3, 4)
MOST_CHANNELS = 4096
LARGEST_STRIDE = 256
SD_SCALING = 0.18215
"""What the first classes of diffusers take where a config, like that of sd-vae-ft-mse, says nothing."""


@dataclass(frozen=True)
class Kind:
    """One class of diffusers.

    Attributes:
        stride: Pixels a position of the latent, from the config.
        channels: Names of the config's entry for the latent's channels; the first that is there counts.
        stochastic: The encoder gives a distribution.
        frames: It is made for video, and takes an image as a video of one frame.
        defaults: Entries that the class adds to a config without them.
    """

    stride: Callable[[Mapping[str, Any]], int]
    channels: tuple[str, ...] = ("latent_channels",)
    stochastic: bool = True
    frames: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)


def _halvings(*names: str) -> Callable[[Mapping[str, Any]], int]:
    """The stride of networks that halve the image between the entries of a list."""

    def stride(config: Mapping[str, Any]) -> int:
        name = next((name for name in names if name in config), names[0])
        levels = config.get(name)
        if not isinstance(levels, list) or not 1 <= len(levels) <= 9:
            raise IntegrityError(f"'{name}' must be a list of 1 to 9 entries, not {levels!r}")
        return int(2 ** (len(levels) - 1))

    return stride


def _video_stride(config: Mapping[str, Any]) -> int:
    if config.get("patch_size") not in (None, 1):
        raise UnknownModelError("cuts frames into patches, which ltzoo-diffusers does not know")
    return _halvings("dim_mult")(config)


def _entry_stride(config: Mapping[str, Any]) -> int:
    return _whole(config, "spatial_compression_ratio", LARGEST_STRIDE)


_VIDEO = Kind(
    stride=_video_stride,
    channels=("z_dim",),
    frames=True,
    defaults={"z_dim": 16, "dim_mult": [1, 2, 4, 4], "in_channels": 3},
)

KINDS: dict[str, Kind] = {
    "AutoencoderKL": Kind(
        stride=_halvings("block_out_channels"),
        defaults={"block_out_channels": [64], "latent_channels": 4, "scaling_factor": SD_SCALING},
    ),
    "AsymmetricAutoencoderKL": Kind(
        stride=_halvings("down_block_out_channels"),
        defaults={"down_block_out_channels": [64], "latent_channels": 4, "scaling_factor": SD_SCALING},
    ),
    "AutoencoderTiny": Kind(
        stride=_halvings("encoder_block_out_channels"),
        stochastic=False,
        defaults={"encoder_block_out_channels": [64] * 4, "latent_channels": 4},
    ),
    "AutoencoderDC": Kind(
        stride=_halvings("encoder_block_out_channels"),
        stochastic=False,
        defaults={"encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024], "latent_channels": 32},
    ),
    "VQModel": Kind(
        stride=_halvings("block_out_channels"),
        channels=("vq_embed_dim", "latent_channels"),
        stochastic=False,
        defaults={"block_out_channels": [64], "latent_channels": 3, "scaling_factor": SD_SCALING},
    ),
    "AutoencoderKLFlux2": Kind(
        stride=_halvings("block_out_channels"),
        defaults={"block_out_channels": [128, 256, 512, 512], "latent_channels": 32},
    ),
    "AutoencoderKLHunyuanImage": Kind(stride=_entry_stride),
    "AutoencoderKLKVAE": Kind(
        stride=_halvings("ch_mult"),
        channels=("z_channels",),
        defaults={"ch_mult": [1, 2, 4, 8], "z_channels": 16},
    ),
    "AutoencoderKLQwenImage": _VIDEO,
    "AutoencoderKLWan": _VIDEO,
}


@dataclass(frozen=True)
class AutoencoderConfig:
    """What the adapter needs of a config.

    Attributes:
        name: Of the class.
        kind: What is known of it.
        image_channels: 1, 3 or 4.
        channels: Of the latent.
        stride: Pixels a position of the latent.
        mean: To be taken from what the encoder gives: one number, or one a channel.
        std: To divide that by: one number, or one a channel.
    """

    name: str
    kind: Kind
    image_channels: int
    channels: int
    stride: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def read_config(content: Mapping[str, Any], where: str) -> AutoencoderConfig:
    """Reads a config.

    Args:
        content: Of ``config.json``.
        where: The reference, for messages.

    Raises:
        UnknownModelError: It is not that of an image autoencoder of a known class.
        IntegrityError: An entry makes no sense.
    """
    name = content.get("_class_name")
    if not isinstance(name, str) or name not in KINDS:
        raise UnknownModelError(
            f"{where}: {_what(content)}, not an image autoencoder", hint=_hint(content, where)
        )
    kind = KINDS[name]
    try:
        given = {key: value for key, value in content.items() if value is not None}
        config = {**kind.defaults, **given}
        source = next((key for key in kind.channels if key in config), kind.channels[-1])
        channels = _whole(config, source, MOST_CHANNELS)
        key = "input_channels" if "input_channels" in config else "in_channels"
        image_channels = _whole({key: 3, **config}, key, MOST_CHANNELS)
        given_back = _whole({"out_channels": image_channels, **config}, "out_channels", MOST_CHANNELS)
        if image_channels not in IMAGE_CHANNELS or given_back != image_channels:
            raise UnknownModelError(
                f"takes {image_channels} channels and gives {given_back}; an image has 1, 3 or 4"
            )
        if kind.frames and not {"latents_mean", "latents_std"} <= given.keys():
            raise IntegrityError("'latents_mean' and 'latents_std' are missing")
        mean, std = _scale(config, channels)
        return AutoencoderConfig(
            name, kind, image_channels, channels, _bounded(kind.stride(config)), mean, std
        )
    except (IntegrityError, UnknownModelError) as error:
        raise type(error)(f"{where}: {CONFIG}: {error.message}") from error


def _scale(config: Mapping[str, Any], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation that make latents of what the encoder gives."""
    scaling = _number(config, "scaling_factor", 1.0)
    shift = _number(config, "shift_factor", 0.0)
    if scaling <= 0:
        raise IntegrityError(f"'scaling_factor' must be above 0, not {scaling}")
    means, stds = (config.get(name) for name in ("latents_mean", "latents_std"))
    if means is None or stds is None:
        return (shift,), (1 / scaling,)
    for name, values in (("latents_mean", means), ("latents_std", stds)):
        if not isinstance(values, list) or len(values) != channels or not all(map(_is_number, values)):
            raise IntegrityError(f"'{name}' must be a list of {channels} numbers")
    if min(stds) <= 0:
        raise IntegrityError("'latents_std' must be above 0")
    return tuple(value + shift for value in means), tuple(value / scaling for value in stds)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    if not _is_number(value):
        raise IntegrityError(f"'{name}' must be a number, not {value!r}")
    return float(value)


def _whole(config: Mapping[str, Any], name: str, most: int) -> int:
    value = config.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise IntegrityError(f"'{name}' must be a whole number from 1 to {most}, not {value!r}")
    return value


def _bounded(stride: int) -> int:
    if not 1 <= stride <= LARGEST_STRIDE:
        raise IntegrityError(f"a stride of {stride} pixels makes no sense")
    return stride


def _what(content: Mapping[str, Any]) -> str:
    """What a config is of, as far as it says so."""
    if isinstance(name := content.get("_class_name"), str):
        return f"is a {name[:80]}"
    if isinstance(name := content.get("model_type"), str):
        return f"is a model of transformers ({name[:80]})"
    return f"its {CONFIG} does not say what it is"


def _hint(content: Mapping[str, Any], where: str) -> str:
    if isinstance(content.get("model_type"), str) and "_class_name" not in content:
        return f"transformers:{where.partition(':')[2]}, if it is an audio codec or image encoder"
    return f"one of the known classes: {', '.join(KINDS)}"
