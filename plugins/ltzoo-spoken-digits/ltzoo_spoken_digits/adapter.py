"""The networks as ltzoo knows them: `ltzoo.model.LatentModel`, `ltzoo.model.Judge` and `ltzoo.model.Labeller`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo.hub import resolve_file
from ltzoo.spec import JudgeSpec, LabellerSpec, ModelSpec
from ltzoo_convnets import adapters as convnets
from ltzoo_convnets.adapters import Reader
from ltzoo_convnets.files import load_network
from ltzoo_spoken_digits.gan import Generator, GeneratorShape
from ltzoo_spoken_digits.readers import Labeller, LabellerShape, Picture, PictureShape
from ltzoo_spoken_digits.spectrogram import log_mel, waveform
from ltzoo_spoken_digits.vae import SpectrogramVAE, VAEShape

__all__ = [
    "GANModel",
    "VAEModel",
    "load_gan",
    "load_judge",
    "load_labeller",
    "load_vae",
    "moved_up",
]

FRAME = 80
LATEST = 2000
"""Speech in the recordings starts within the first quarter of a second."""
LEAD = 800
AUDIBLE = 1e-3
"""Energy of a frame, relative to the loudest, from which it is speech."""


class GANModel:
    """The generator as a model: latents are its Gaussian input.

    Args:
        spec: The model's spec.
        network: Frozen, in evaluation mode.
        device: Where it computes.
    """

    def __init__(self, spec: ModelSpec, network: Generator, *, device: str = "cpu") -> None:
        self.spec = spec
        self.network = network.to(device)
        self.device = device

    def decode(self, z: Tensor) -> Tensor:
        """Clips ``(batch, 1, 8000)`` of latents ``(batch, latent)``; differentiable in ``z``."""
        return waveform(self.network(z.to(self.device)))

    def sample(self, n: int, seed: int) -> Tensor:
        """``n`` latents drawn from N(0, I)."""
        # Drawn on the CPU, so that a seed means the same latents on every device.
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, self.network.shape.latent, generator=generator).to(self.device)

    def inversion_target(self, x: Tensor) -> Tensor:
        """Spectrograms ``(batch, 1, 64, 64)`` of clips, moved up as the VAE's; see `ltzoo.model.Invertible`."""
        return log_mel(moved_up(x.to(self.device)))

    def inversion_features(self, z: Tensor) -> Tensor:
        """The generator's own spectrograms ``(batch, 1, 64, 64)``, before they become sound."""
        spectrograms: Tensor = self.network(z.to(self.device))
        return spectrograms


class VAEModel(convnets.VAEModel):
    """The VAE as a model: latents are posterior means of clips ``(batch, 1, 8000)`` at any level."""

    @torch.no_grad()
    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, each ``(batch, latent)``."""
        return super().posterior(log_mel(moved_up(x.to(self.device))))

    def decode(self, z: Tensor) -> Tensor:
        """Clips ``(batch, 1, 8000)`` of latents ``(batch, latent)``; differentiable in ``z``."""
        return waveform(super().decode(z))


def moved_up(clips: Tensor) -> Tensor:
    """The clips ``(batch, 1, 8000)``, those that start later than any recording moved to where they do.

    The VAE has only heard digits that start early. In a clip cut from a longer sound the digit can stand
    anywhere.
    """
    energy = clips.squeeze(1).unflatten(1, (-1, FRAME)).square().sum(2)
    audible = energy > AUDIBLE * energy.amax(1, keepdim=True).clamp(min=1e-12)
    onsets = audible.float().argmax(1) * FRAME
    moves = torch.where(onsets > LATEST, onsets - LEAD, torch.zeros_like(onsets)).tolist()
    return torch.stack([F.pad(clip[:, move:], (0, move)) for clip, move in zip(clips, moves, strict=True)])


def load_gan(spec: ModelSpec, *, device: str) -> GANModel:
    """The GAN whose weights are the only file of the spec's source.

    Raises:
        PluginError: The package does not carry the file.
        IntegrityError: The file is not the one that the spec names.
    """
    return GANModel(spec, load_network(_weights(spec), Generator, GeneratorShape), device=device)


def load_vae(spec: ModelSpec, *, device: str) -> VAEModel:
    """The VAE whose weights are the only file of the spec's source; raises as `load_gan` does."""
    return VAEModel(spec, load_network(_weights(spec), SpectrogramVAE, VAEShape), device=device)


def load_judge(spec: JudgeSpec, *, device: str) -> Reader:
    """The judge whose weights are the only file of the spec's source; raises as `load_gan` does."""
    return Reader(load_network(_weights(spec), Picture, PictureShape), device=device)


def load_labeller(spec: LabellerSpec, *, device: str) -> Reader:
    """The labeller whose weights are the only file of the spec's source; raises as `load_gan` does."""
    return Reader(load_network(_weights(spec), Labeller, LabellerShape), device=device)


def _weights(spec: ModelSpec | JudgeSpec | LabellerSpec) -> Path:
    (file,) = spec.source.files
    return resolve_file(spec.source, file.name)
