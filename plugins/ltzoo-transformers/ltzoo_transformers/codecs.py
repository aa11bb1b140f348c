"""Audio codecs as ltzoo uses them: sound to the latent before quantisation, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltzoo.pretrained import load_pretrained, open_checkpoint
from ltzoo.spec import ModelSpec
from ltzoo.tiling import Tiling, apply_in_parts
from ltzoo_transformers.config import CodecConfig, read_config

__all__ = ["AudioCodec", "load"]

SECONDS, OVERLAP, HALO = 10.0, 1.0, 0.25
"""Of the pieces of a longer sound."""
QUIETEST = 1e-8


@dataclass(frozen=True)
class _Parts:
    """How one kind of codec is taken apart.

    Attributes:
        encode: Sound ``(n, channels, samples)`` to latents ``(n, channels, steps)``.
        decode: The way back.
        quantise: Latents to the nearest that the codec's codes can say; None if it has no codes.
    """

    encode: Callable[[Any, Tensor], Tensor]
    decode: Callable[[Any, Tensor], Tensor]
    quantise: Callable[[Any, Tensor], Tensor] | None = None


def _xcodec_encode(network: Any, x: Tensor) -> Tensor:
    """What its ``encode`` does before it quantises."""
    semantic = network.encoder_semantic(network._extract_semantic_features(x).transpose(1, 2))
    acoustic = network.acoustic_encoder(x)
    if acoustic.shape[2] != semantic.shape[2]:
        acoustic = network.acoustic_encoder(torch.nn.functional.pad(x, (network.pad, network.pad)))
    joined = torch.cat([acoustic, semantic], dim=1)
    return network.fc(joined.transpose(1, 2)).transpose(1, 2)


def _wav_decode(network: Any, z: Tensor) -> Tensor:
    return network.head(network.backbone(z, torch.tensor([0], device=z.device)))


PARTS: dict[str, _Parts] = {
    "EncodecModel": _Parts(
        lambda network, x: network.encoder(x),
        lambda network, z: network.decoder(z),
        lambda network, z: network.quantizer.decode(
            network.quantizer.encode(z, network.config.target_bandwidths[-1])
        ),
    ),
    "DacModel": _Parts(
        lambda network, x: network.encoder(x),
        lambda network, z: network.decoder(z),
        lambda network, z: network.quantizer(z)[0],
    ),
    "MimiModel": _Parts(
        lambda network, x: network.encoder(x).latents,
        lambda network, z: network.decoder(z).audio_values,
        lambda network, z: network.quantizer.decode(network.quantizer.encode(z).transpose(0, 1)),
    ),
    "XcodecModel": _Parts(
        _xcodec_encode,
        lambda network, z: network.acoustic_decoder(network.fc2(z.transpose(1, 2)).transpose(1, 2)),
        lambda network, z: network.quantizer.decode(
            network.quantizer.encode(z, network.config.target_bandwidths[-1])
        ),
    ),
    "WavTokenizerModel": _Parts(
        lambda network, x: network.encoder_model.encoder(x),
        _wav_decode,
        lambda network, z: network.encoder_model.quantizer.decode(network.encoder_model.quantizer.encode(z)),
    ),
    "VibeVoiceAcousticTokenizerModel": _Parts(
        lambda network, x: network.encoder(x).latents.transpose(1, 2),
        lambda network, z: network.decode(z.transpose(1, 2)).audio,
    ),
    "PocketTTSAudioTokenizerModel": _Parts(
        lambda network, x: network.encode(x).latents.transpose(1, 2),
        lambda network, z: network.decode(z.transpose(1, 2)).audio_values,
    ),
}


class AudioCodec:
    """A frozen codec.

    Args:
        spec: The model's spec.
        network: Of a class of transformers.
        config: What its config says.
        device: Where the network is.
    """

    def __init__(self, spec: ModelSpec, network: Any, config: CodecConfig, device: str) -> None:
        self.spec, self.network, self.config, self.device = spec, network, config, device
        self.parts = PARTS[config.kind.cls]
        rate = config.sample_rate / config.hop
        tile = max(round(min(config.piece or SECONDS, SECONDS) * rate), 8)
        overlap = min(max(round(OVERLAP * rate), 2), tile // 2)
        self.tiling = Tiling(tile=tile, overlap=overlap, halo=min(max(round(HALO * rate), 1), overlap // 2))

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Latents ``(batch, channels, steps)`` of sound ``(batch, channels, samples)`` in -1..1.

        A last step that is not whole is filled with silence.
        """
        spare = -x.shape[2] % self.config.hop
        x = torch.nn.functional.pad(x.to(self.device), (0, spare))
        return self._pieces(self._encoded_at_once, x, self.config.hop, 1)

    def decode(self, z: Tensor, *, quantised: bool = False) -> Tensor:
        """Sound in -1..1 of latents; differentiable in ``z``.

        Args:
            z: ``(batch, channels, steps)``.
            quantised: First take the nearest latents that the codec's codes can say, as it was trained.
        """
        z = self.quantise(z) if quantised else z.to(self.device)
        return self._pieces(self._decoded_at_once, z, 1, self.config.hop).clamp(-1, 1)

    def quantise(self, z: Tensor) -> Tensor:
        """The nearest latents that the codec's codes can say; codecs without codes give them back."""
        z = z.to(self.device)
        if self.parts.quantise is None:
            return z
        if not self.config.loudness:
            return self.parts.quantise(self.network, z)
        return torch.cat([self.parts.quantise(self.network, z[:, :-1]), z[:, -1:]], dim=1)

    def _pieces(self, function: Callable[[Tensor], Tensor], x: Tensor, unit: int, unit_out: int) -> Tensor:
        """The function of all items: a few at once, or long ones piece by piece."""
        return apply_in_parts(
            function, x, self.tiling, unit=unit, unit_out=unit_out, at_once=self.tiling.tile
        )

    def _encoded_at_once(self, x: Tensor) -> Tensor:
        steps = x.shape[2] // self.config.hop
        if not self.config.loudness:
            return _to_length(self.parts.encode(self.network, x), steps)
        # As the codec does: each piece of sound at one loudness, which is kept beside the rest.
        loudness = x.mean(dim=1, keepdim=True).square().mean(dim=2, keepdim=True).sqrt() + QUIETEST
        z = _to_length(self.parts.encode(self.network, x / loudness), steps)
        return torch.cat([z, loudness.log().expand(-1, -1, steps)], dim=1)

    def _decoded_at_once(self, z: Tensor) -> Tensor:
        samples = z.shape[2] * self.config.hop
        if not self.config.loudness:
            return _to_length(self.parts.decode(self.network, z), samples)
        loudness = torch.nn.functional.interpolate(z[:, -1:], samples, mode="linear").exp()
        return _to_length(self.parts.decode(self.network, z[:, :-1]), samples) * loudness


def _to_length(x: Tensor, length: int) -> Tensor:
    """Cut, or filled with zeros, at the end: codecs with odd strides give some samples too few."""
    x = x if x.ndim == 3 else x[:, None]
    return torch.nn.functional.pad(x, (0, length - x.shape[2]))


def load(spec: ModelSpec, *, device: str) -> AudioCodec:
    """Loads the model: what the spec's ``loader`` names.

    Raises:
        IntegrityError: The weights are not what the config asks for, or not those of the spec.
    """
    folder, content = open_checkpoint(spec)
    config = read_config(content, spec.id)
    assert isinstance(config, CodecConfig)
    return AudioCodec(
        spec,
        load_pretrained("transformers", config.kind.cls, folder, spec, dtype=torch.float32).to(device),
        config,
        device,
    )
