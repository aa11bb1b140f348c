"""What ``config.json`` says of an audio codec or an image encoder. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ltzoo.errors import IntegrityError, UnknownModelError

__all__ = [
    "CODECS",
    "CONFIG",
    "ENCODERS",
    "PICKLE",
    "PREPROCESSOR",
    "STEM",
    "CodecConfig",
    "EncoderConfig",
    "read_config",
]

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
STEM, PICKLE = "model", "pytorch_model.bin"

MOST_CHANNELS = 16384
LONGEST_HOP = 2**16
HIGHEST_RATE = 384_000
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Codec:
    """One kind of audio codec.

    Attributes:
        cls: Its class in transformers.
        title: What people call it.
        channels: Of its latent, from the config.
        ratios: Name of the config's list whose product is the number of samples a step.
        stride: A further factor, from the config.
        defaults: Entries that the class adds to a config without them.
    """

    cls: str
    title: str
    ratios: str
    channels: Callable[[Config], int]
    stride: Callable[[Config], int] = lambda config: 1
    defaults: Config = field(default_factory=dict)


@dataclass(frozen=True)
class CodecConfig:
    """What the adapter needs of a codec's config.

    Attributes:
        kind: What is known of its kind.
        channels: Of the latent.
        hop: Samples a step of the latent.
        sample_rate: Samples per second.
        sound_channels: 1 or 2.
        loudness: The codec scales each piece of sound to one loudness, which is the latent's last channel.
        piece: Seconds that it was made to see at once, if it says so.
    """

    kind: Codec
    channels: int
    hop: int
    sample_rate: int
    sound_channels: int
    loudness: bool
    piece: float | None


@dataclass(frozen=True)
class Encoder:
    """One kind of image encoder.

    Attributes:
        cls: Its class in transformers.
        title: What people call it.
        output: Name of the output that is the latent.
        size: Name of the config's entry for its length.
        nested: The entry that holds the part of the config for images; None if that is the whole.
        defaults: Entries that the class adds to a config without them.
    """

    cls: str
    title: str
    output: str = "pooler_output"
    size: str = "hidden_size"
    nested: str | None = None
    defaults: Config = field(default_factory=dict)


@dataclass(frozen=True)
class EncoderConfig:
    """What the adapter needs of an image encoder's config.

    Attributes:
        kind: What is known of its kind.
        dims: Of the latent.
        image_channels: Of images.
    """

    kind: Encoder
    dims: int
    image_channels: int


def _entry(name: str) -> Callable[[Config], int]:
    return lambda config: _whole(config, name, MOST_CHANNELS)


def _dac_channels(config: Config) -> int:
    if "hidden_size" in config:
        return _whole(config, "hidden_size", MOST_CHANNELS)
    return int(
        _whole(config, "encoder_hidden_size", MOST_CHANNELS)
        * 2 ** len(_ratios(config, "downsampling_ratios"))
    )


def _xcodec_channels(config: Config) -> int:
    acoustic = {"hidden_size": 256, **_inner(config, "acoustic_model_config")}
    semantic = {"hidden_size": 768, **_inner(config, "semantic_model_config")}
    return sum(_whole(part, "hidden_size", MOST_CHANNELS) for part in (acoustic, semantic))


def _mimi_stride(config: Config) -> int:
    """From the frame rate of its convolutions to its own, as transformers reckons it."""
    rate = _whole(config, "sampling_rate", HIGHEST_RATE)
    convolved = math.ceil(rate / math.prod(_ratios(config, "upsampling_ratios")))
    frames = config.get("frame_rate") or config.get("_frame_rate")
    if frames is None:
        return 2
    if not isinstance(frames, int | float) or not 0 < frames <= convolved:
        raise IntegrityError(f"'frame_rate' makes no sense: {frames!r}")
    return int(convolved / frames)


CODECS: dict[str, Codec] = {
    "encodec": Codec(
        "EncodecModel",
        "EnCodec",
        "upsampling_ratios",
        _entry("hidden_size"),
        defaults={"upsampling_ratios": [8, 5, 4, 2], "hidden_size": 128, "sampling_rate": 24_000},
    ),
    "dac": Codec(
        "DacModel",
        "DAC",
        "downsampling_ratios",
        _dac_channels,
        defaults={"downsampling_ratios": [2, 4, 8, 8], "encoder_hidden_size": 64, "sampling_rate": 16_000},
    ),
    "mimi": Codec(
        "MimiModel",
        "Mimi",
        "upsampling_ratios",
        _entry("hidden_size"),
        stride=_mimi_stride,
        defaults={"upsampling_ratios": [8, 6, 5, 4], "hidden_size": 512, "sampling_rate": 24_000},
    ),
    "xcodec": Codec(
        "XcodecModel",
        "X-Codec",
        "downsampling_ratios",
        _xcodec_channels,
        defaults={"sample_rate": 16_000},
    ),
    "wavtokenizer": Codec(
        "WavTokenizerModel",
        "WavTokenizer",
        "upsampling_ratios",
        _entry("hidden_size"),
        defaults={"upsampling_ratios": [6, 5, 5, 4], "hidden_size": 512, "sampling_rate": 24_000},
    ),
    "vibevoice_acoustic_tokenizer": Codec(
        "VibeVoiceAcousticTokenizerModel",
        "VibeVoice's acoustic tokenizer",
        "downsampling_ratios",
        _entry("hidden_size"),
        defaults={"downsampling_ratios": [2, 2, 4, 5, 5, 8], "hidden_size": 64, "sampling_rate": 24_000},
    ),
    "pocket_tts_audio_tokenizer": Codec(
        "PocketTTSAudioTokenizerModel",
        "Pocket TTS's audio tokenizer",
        "upsampling_ratios",
        _entry("latent_dim"),
        stride=_entry("latent_stride"),
        defaults={
            "upsampling_ratios": [6, 5, 4],
            "latent_stride": 16,
            "latent_dim": 32,
            "sampling_rate": 24_000,
        },
    ),
}

_CLIP = Encoder(
    "CLIPVisionModelWithProjection",
    "CLIP",
    output="image_embeds",
    size="projection_dim",
    defaults={"projection_dim": 512},
)
_SIGLIP = Encoder("SiglipVisionModel", "SigLIP", defaults={"hidden_size": 768})
_DINO = {"hidden_size": 768}

ENCODERS: dict[str, Encoder] = {
    # The length of a CLIP's embedding stands in the vision part of newer configs, and beside it in all.
    "clip": Encoder(_CLIP.cls, "CLIP", _CLIP.output, _CLIP.size, "vision_config", _CLIP.defaults),
    "clip_vision_model": _CLIP,
    "siglip": Encoder(_SIGLIP.cls, "SigLIP", nested="vision_config", defaults=_SIGLIP.defaults),
    "siglip_vision_model": _SIGLIP,
    "dinov2": Encoder("Dinov2Model", "DINOv2", defaults=_DINO),
    "dinov2_with_registers": Encoder("Dinov2WithRegistersModel", "DINOv2 with registers", defaults=_DINO),
}


def read_config(content: Config, where: str) -> CodecConfig | EncoderConfig:
    """Reads a config.

    Args:
        content: Of ``config.json``.
        where: The reference, for messages.

    Raises:
        UnknownModelError: It is not that of a known audio codec or image encoder.
        IntegrityError: An entry makes no sense.
    """
    name = content.get("model_type")
    try:
        if isinstance(name, str) and name in CODECS:
            return _codec(CODECS[name], content)
        if isinstance(name, str) and name in ENCODERS:
            return _encoder(ENCODERS[name], content)
    except IntegrityError as error:
        raise IntegrityError(f"{where}: {CONFIG}: {error.message}") from error
    if isinstance(name, str):
        what = f"is a '{name[:80]}' model"
    elif isinstance(cls := content.get("_class_name"), str):
        what = f"is a {cls[:80]} of diffusers"
    else:
        what = f"its {CONFIG} does not say what it is"
    raise UnknownModelError(
        f"{where}: {what}, neither an audio codec nor an image encoder",
        hint=f"diffusers:{where.partition(':')[2]}"
        if "_class_name" in content
        else f"one of the known kinds: {', '.join((*CODECS, *ENCODERS))}",
    )


def _codec(kind: Codec, content: Config) -> CodecConfig:
    config = {**kind.defaults, **{key: value for key, value in content.items() if value is not None}}
    acoustic = {"downsampling_ratios": [8, 5, 4, 2], **_inner(config, "acoustic_model_config")}
    hop = math.prod(_ratios(config if kind.ratios in config else acoustic, kind.ratios)) * kind.stride(config)
    rate = _whole(config, "sampling_rate" if "sampling_rate" in config else "sample_rate", HIGHEST_RATE)
    key = "audio_channels" if "audio_channels" in config else "channels"
    piece = config.get("chunk_length_s")
    if piece is not None and (not isinstance(piece, int | float) or not 0.01 <= piece <= 3600):
        raise IntegrityError(f"'chunk_length_s' makes no sense: {piece!r}")
    if not 1 <= hop <= LONGEST_HOP:
        raise IntegrityError(f"{hop} samples a step make no sense")
    loudness = config.get("normalize") is True
    return CodecConfig(
        kind,
        channels=kind.channels(config) + loudness,
        hop=hop,
        sample_rate=rate,
        sound_channels=_whole({key: 1, **config}, key, 2),
        loudness=loudness,
        piece=None if piece is None else float(piece),
    )


def _encoder(kind: Encoder, content: Config) -> EncoderConfig:
    inner = _inner(content, kind.nested) if kind.nested else content
    outer = {kind.size: content[kind.size]} if kind.size in content else {}
    config = {
        **kind.defaults,
        **outer,
        **{key: value for key, value in inner.items() if value is not None},
    }
    if kind.nested and kind.size in content:
        config[kind.size] = content[kind.size]
    channels = _whole({"num_channels": 3, **config}, "num_channels", 4)
    return EncoderConfig(kind, _whole(config, kind.size, MOST_CHANNELS), channels)


def _inner(config: Config, name: str) -> dict[str, Any]:
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise IntegrityError(f"'{name}' must be an object, not {value!r:.80}")
    return {key: entry for key, entry in value.items() if entry is not None}


def _ratios(config: Config, name: str) -> list[int]:
    value = config.get(name)
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= 12
        or not all(isinstance(ratio, int) and 1 <= ratio <= 1024 for ratio in value)
    ):
        raise IntegrityError(f"'{name}' must be a list of 1 to 12 whole numbers, not {value!r:.80}")
    return value


def _whole(config: Config, name: str, most: int) -> int:
    value = config.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise IntegrityError(f"'{name}' must be a whole number from 1 to {most}, not {value!r:.80}")
    return value
