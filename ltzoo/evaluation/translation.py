"""`Translation`: what a translator makes of one direction's held-out items, with one seed.

Everything that several measures need is made when the first one asks, and kept.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ltzoo.errors import BridgeError
from ltzoo.evaluation.metrics.cycle import with_posterior_noise
from ltzoo.evaluation.metrics.manifold import ManifoldScores, manifold_scores
from ltzoo.evaluation.side import Reading
from ltzoo.evaluation.workbench import Direction, Workbench
from ltzoo.spec import format_shape

__all__ = ["Translation", "Translator"]


class Translator(Protocol):
    """What can be measured: a bridge, a reference, anything with this method."""

    def translate(
        self, z: Tensor, *, source: str, target: str, sample: bool = False, seed: int | None = None
    ) -> Tensor:
        """Latents of ``target`` for latents of ``source``; see `ltzoo.bridge.Bridge.translate`."""
        ...


class Translation:
    """The translations of one direction with one seed.

    Args:
        translator: What translates.
        direction: What it translates.
        workbench: Gives the protocol.
        seed: Of everything random in translating.
    """

    def __init__(self, translator: Translator, direction: Direction, workbench: Workbench, seed: int) -> None:
        self.translator = translator
        self.direction = direction
        self.workbench = workbench
        self.seed = seed

    def __call__(self, z: Tensor, *, back: bool = False) -> Tensor:
        """Translates latents there, or back, and checks what comes out.

        Raises:
            BridgeError: It is not finite, or not of the model's latent shape.
        """
        sides = (self.direction.source.spec, self.direction.target.spec)
        source, target = reversed(sides) if back else sides
        sample = self.workbench.protocol.sample
        out = self.translator.translate(z, source=source.id, target=target.id, sample=sample, seed=self.seed)
        shape = target.latent.shape
        fits = out.ndim == len(shape) + 1 and all(
            size in (None, found) for size, found in zip(shape, out.shape[1:], strict=True)
        )
        if not fits or len(out) != len(z):
            raise BridgeError(
                f"translations to {target.id} have shape {format_shape(tuple(out.shape))}, "
                f"not {len(z)} x {format_shape(shape)}"
            )
        if not bool(out.isfinite().all()):
            raise BridgeError(f"translations from {source.id} to {target.id} have NaN or infinite values")
        return out

    @cached_property
    def z(self) -> Tensor:
        """The translated items, ``(n, *target_shape)``."""
        return self(self.direction.items.latents)

    @cached_property
    def reading(self) -> Reading:
        """The target's judge on the translated items."""
        return self.direction.target.read(self.z)

    @cached_property
    def back(self) -> Tensor:
        """The items translated there and back, ``(n, *source_shape)``."""
        return self(self.z, back=True)

    @cached_property
    def manifold(self) -> ManifoldScores:
        """Precision, recall, density and coverage, item by item."""
        real = self.direction.target.reconstructions.features
        return manifold_scores(real, self.reading.features, k=self.workbench.protocol.manifold_neighbours)

    def noisy_back(self, seed: int) -> Tensor:
        """The items translated there, blurred by posterior-sized noise, and translated back."""
        std = self.direction.target.held_out.std
        assert std is not None
        return self(with_posterior_noise(self.z, std, seed), back=True)

    def path_features(self, pairs: Tensor) -> Tensor:
        """Judge's features along interpolations between items.

        Args:
            pairs: int64 ``(paths, 2)``, indices of items.

        Returns:
            ``(paths, steps + 1, features)``.
        """
        z = self.direction.items.latents
        first, last = z[pairs[:, 0]], z[pairs[:, 1]]
        steps = torch.linspace(0, 1, self.workbench.protocol.path_steps + 1)
        path = torch.stack([torch.lerp(first, last, float(step)) for step in steps], dim=1)
        features = self.direction.target.features_read(self(path.flatten(0, 1)))
        return features.view(len(pairs), len(steps), -1)
