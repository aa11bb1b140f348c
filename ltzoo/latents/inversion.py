"""Inversion: latents of data for a model that decodes and samples, but cannot encode.

The latent is searched for, by gradient descent, until its decode comes near the data. That takes hundreds of
decodes for each item, where an encoder takes one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ltzoo.errors import CapabilityError, LatentsError, UsageError
from ltzoo.model import Data, Invertible, LatentModel
from ltzoo.spec import format_shape

__all__ = ["DRAWS", "STARTS", "STEPS", "Inversion", "InversionErrors"]

DRAWS = 256
"""Draws of the model among which starts are chosen."""
STARTS = 2
"""Searches for each item, from the draws nearest to it."""
STEPS = 200
"""Of Adam, for each search."""
RATE = 0.2
"""Of Adam, in standard deviations of the draws; falls to 0 in the second half."""
AT_ONCE = 64
"""Draws decoded at once."""


@dataclass(frozen=True, eq=False)
class InversionErrors:
    """How far the decodes of latents are from the data, and for comparison those of the nearest draws.

    Each is a float32 tensor ``(n,)`` of mean squared errors. The nearest draw of an item is the nearest of
    `DRAWS` in what the search compares.

    Attributes:
        data: Of the decode, in the model's data range.
        data_of_draw: The same of the nearest draw.
        features: In the adapter's features, where the search compares those; see `ltzoo.model.Invertible`.
        features_of_draw: The same of the nearest draw.
    """

    data: Tensor
    data_of_draw: Tensor
    features: Tensor | None
    features_of_draw: Tensor | None

    @property
    def compared(self) -> tuple[Tensor, Tensor]:
        """What the search made small, and the same of the nearest draw."""
        if self.features is not None and self.features_of_draw is not None:
            return self.features, self.features_of_draw
        return self.data, self.data_of_draw

    @classmethod
    def joined(cls, parts: Sequence[InversionErrors]) -> InversionErrors:
        """Those of several batches, one after another."""
        features = [part.features for part in parts if part.features is not None]
        of_draw = [part.features_of_draw for part in parts if part.features_of_draw is not None]
        return cls(
            torch.cat([part.data for part in parts]),
            torch.cat([part.data_of_draw for part in parts]),
            torch.cat(features) if features else None,
            torch.cat(of_draw) if of_draw else None,
        )


class Inversion:
    """A model that cannot encode, with a search for latents as its ``encode``.

    The search starts from several draws of the model and keeps the best. Latents stay as likely as draws in
    one way only: their norm is kept between the least and the largest of the draws.

    Attributes:
        spec: That of the model, with ``encode`` among its capabilities; the fingerprint is the same.
        method: Names the search; equal ones give equal latents.
        compares_features: The search compares features of the adapter's, not data.

    Args:
        model: The model.
        seed: Of the draws. They have nothing in common with those of ``model.sample`` with that seed, so
            that inverting such a draw is no easier than inverting any other.

    Raises:
        UsageError: The model can encode.
        CapabilityError: It cannot decode and sample, or its adapter offers nothing to compare.
    """

    def __init__(self, model: LatentModel, *, seed: int = 0) -> None:
        spec = model.spec
        if spec.can("encode"):
            raise UsageError(f"{spec.id} can encode, so there is nothing to invert")
        if not (spec.can("decode") and spec.can("sample")):
            raise CapabilityError(f"{spec.id} cannot be inverted: that takes decode and sample")
        self.model = model
        self.spec = replace(
            spec,
            capabilities=spec.capabilities | {"encode"},
            latent=replace(spec.latent, stochastic=False),
        )
        self.method = f"inversion {seed} {DRAWS} {STARTS} {STEPS} {RATE}"
        self.compares_features = isinstance(model, Invertible)
        if spec.data.modality == "text":
            raise CapabilityError(f"{spec.id} cannot be inverted: its data is text, which has no gradient")
        self._target: Callable[[Tensor], Tensor] = _itself
        self._features: Callable[[Tensor], Tensor] = model.decode
        if isinstance(model, Invertible):
            self._target, self._features = model.inversion_target, model.inversion_features
        state = np.random.SeedSequence((seed, *b"inversion")).generate_state(1)
        self.draws = model.sample(DRAWS, int(state[0])).detach()
        """Float32 ``(DRAWS, *latent_shape)``."""
        with torch.no_grad():
            self._drawn = torch.cat([self._features(z) for z in self.draws.split(AT_ONCE)])
        norms = self.draws.flatten(1).norm(dim=1)
        self._least, self._largest = norms.min(), norms.max()
        self._rate = RATE * float(self.draws.std())

    def encode(self, x: Data) -> Tensor:
        """Latents ``(batch, *latent_shape)`` whose decodes come near the data.

        Raises:
            CapabilityError: What the adapter gives has no gradient.
            LatentsError: The data has another size than the model's draws, or the search comes to nothing.
        """
        # A caller may have switched gradients off, in either way.
        with torch.inference_mode(False), torch.enable_grad():
            target = self._targets(x)
            nearest = self._distances(target).topk(STARTS, largest=False).indices
            z = self.draws[nearest.flatten()].clone()
            found = self._search(z, target.repeat_interleave(STARTS, 0))
        with torch.no_grad():
            errors = _mean_squares(self._features(found), target.repeat_interleave(STARTS, 0))
            # A search that has left the finite numbers is never the best.
            errors = errors.nan_to_num(torch.inf, torch.inf).view(-1, STARTS)
            best = errors.argmin(1)
            rows = torch.arange(len(best), device=best.device)
            if not errors[rows, best].isfinite().all():
                raise LatentsError(
                    f"{self.spec.id}: the search for latents ends in numbers that are not finite"
                )
            return found.view(-1, STARTS, *found.shape[1:])[rows, best]

    @torch.no_grad()
    def errors(self, z: Tensor, x: Data) -> InversionErrors:
        """What is left between the decodes of latents ``(batch, *latent_shape)`` and the data."""
        z = z.to(self.draws)
        target = self._targets(x)
        nearest = self.draws[self._distances(target).argmin(1)]
        if not self.compares_features:
            own, drawn = (_mean_squares(self._features(latents), target).cpu() for latents in (z, nearest))
            return InversionErrors(own, drawn, None, None)
        features = [_mean_squares(self._features(latents), target).cpu() for latents in (z, nearest)]
        assert isinstance(x, Tensor)
        data = [
            _mean_squares(decoded, x.to(decoded)).cpu() for decoded in map(self.model.decode, (z, nearest))
        ]
        return InversionErrors(*data, *features)

    def posterior(self, x: Data) -> tuple[Tensor, Tensor]:
        """Never: a search gives no standard deviation, and the spec says so."""
        raise CapabilityError(f"{self.spec.id}: inverted latents have no standard deviation")

    def decode(self, z: Tensor) -> Tensor:
        """That of the model."""
        return self.model.decode(z)

    def sample(self, n: int, seed: int) -> Tensor:
        """That of the model."""
        return self.model.sample(n, seed)

    # Internals

    def _targets(self, x: Data) -> Tensor:
        """What the search compares with, on the model's device; of the size of what the draws give."""
        assert isinstance(x, Tensor)
        # Made anew: a caller's inference mode forbids gradients to its tensors.
        target = self._target(x.to(self.draws.device).clone()).detach()
        if target.shape[1:] != self._drawn.shape[1:]:
            theirs, ours = (format_shape(tuple(shape[1:])) for shape in (target.shape, self._drawn.shape))
            raise LatentsError(
                f"{self.spec.id}: what it draws has size {ours}, but the input has {theirs}",
                hint="bring the input to that size first",
            )
        return target

    def _distances(self, target: Tensor) -> Tensor:
        """Of targets ``(batch, ...)`` to the draws: ``(batch, DRAWS)``."""
        return torch.cdist(target.flatten(1), self._drawn.flatten(1))

    def _search(self, z: Tensor, target: Tensor) -> Tensor:
        """Latents from ``z`` on, with features nearer to the targets; both ``(n, ...)``."""
        z.requires_grad_()
        optimiser = torch.optim.Adam([z], lr=self._rate)
        for step in range(STEPS):
            optimiser.param_groups[0]["lr"] = self._rate * min(1.0, 2 * (STEPS - step) / STEPS)
            errors = _mean_squares(self._features(z), target)
            z.grad = self._gradient(errors, z)
            optimiser.step()
            with torch.no_grad():
                norms = z.flatten(1).norm(dim=1).clamp(min=1e-12)
                wanted = norms.clamp(self._least, self._largest)
                z.mul_((wanted / norms).view(-1, *[1] * (z.dim() - 1)))
        return z.detach()

    def _gradient(self, errors: Tensor, z: Tensor) -> Tensor:
        # The sum keeps items apart: none has a part in another's gradient.
        gradient = (
            torch.autograd.grad(errors.sum(), z, allow_unused=True)[0] if errors.requires_grad else None
        )
        if gradient is None or not (gradient.any() or not errors.any()):
            given = "inversion_features" if self.compares_features else "decode"
            raise CapabilityError(
                f"{self.spec.id} cannot be inverted: its adapter's {given} gives no gradient"
                + (
                    ""
                    if self.compares_features
                    else ", and it has no inversion_target and inversion_features"
                ),
                hint="ask the plugin's author for what ltzoo.model.Invertible describes",
            )
        return gradient


def _itself(x: Tensor) -> Tensor:
    return x


def _mean_squares(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of each item, ``(batch,)``."""
    return (x - y).square().flatten(1).mean(1)
