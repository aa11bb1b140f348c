"""The shared variational autoencoder on a closed-form base: networks that correct what is known beforehand.

z' is a code beside the probabilities of the classes. Per model and class, an affine map leads into the
code and another one out of it; `ltzoo.bridge.bases` solves for them in closed form. The shared encoder and
decoder, conditioned on model and classes, add to the code, and start by adding nothing: before training
the bridge is its base. Without labels there is one class, which z' does not hold.
A base that was fitted to pairs has one map a model, for all classes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo.bridge.config import Architecture
from ltzoo.bridge.layers import ConditionedTrunk, Corrections, initialize_linear, trunk
from ltzoo.bridge.network import BridgeNetwork

__all__ = ["BasedAutoencoder", "ClassInference", "Frame", "by_class", "in_turn"]

LIMIT = 2.5
"""Base codes are held within as many standard deviations: outliers of a class must not blow up the target."""

STD_START = -3.0
"""Added before the softplus that gives the code's standard deviation, which so starts near 0.05."""

INFERENCE_WIDTH = 256

SMALLEST = 1e-12
"""Probabilities are held above, so that their logarithms are finite."""


def by_class(values: Tensor, classes: int) -> Tensor:
    """Groups rows that are in class order ``0, 1, ... classes - 1, 0, 1, ...``: ``(classes, n / classes, dims)``."""
    return values.reshape(-1, classes, values.shape[1]).transpose(0, 1)


def in_turn(groups: Tensor) -> Tensor:
    """The inverse of `by_class`: ``(n, dims)`` of ``(classes, n / classes, dims)``."""
    return groups.transpose(0, 1).reshape(-1, groups.shape[2])


class Frame(nn.Module):
    """Affine maps between a model's normalised latents and the code, one a class.

    Attributes:
        mean: ``(classes, size)``.
        into: ``(classes, size, code)``: code = (x - mean) @ into.
        out_of: ``(classes, code, size)``: x = mean + code @ out_of.
        limit: Codes are held within it.
    """

    def __init__(self, classes: int, size: int, code: int, limit: float = LIMIT) -> None:
        super().__init__()
        self.limit = limit
        self.mean = nn.Parameter(torch.empty(classes, size))
        self.into = nn.Parameter(torch.empty(classes, size, code))
        self.out_of = nn.Parameter(torch.empty(classes, code, size))

    def encode(self, x: Tensor, classes: Tensor | None) -> Tensor:
        """The code of ``x`` ``(n, size)``, mixed by the classes' probabilities ``(n, classes)``.

        None stands for rows whose classes are known to come in turn (`by_class`).
        """
        if classes is None:
            moved = by_class(x, len(self.mean)) - self.mean[:, None]
            return in_turn(torch.bmm(moved, self.into).clamp(-self.limit, self.limit))
        # One matrix product for all classes.
        count, size, code = self.into.shape
        offset = torch.einsum("cs,csk->ck", self.mean, self.into)
        codes = (x @ self.into.permute(1, 0, 2).reshape(size, count * code)).view(-1, count, code) - offset
        return torch.einsum("nc,nck->nk", classes, codes.clamp(-self.limit, self.limit))

    def decode(self, code: Tensor, classes: Tensor | None) -> Tensor:
        """Normalised latents ``(n, size)`` of a code, mixed by the classes' probabilities as in `encode`."""
        if classes is None:
            return in_turn(self.mean[:, None] + torch.bmm(by_class(code, len(self.mean)), self.out_of))
        count, width, size = self.out_of.shape
        latents = (code @ self.out_of.permute(1, 0, 2).reshape(width, count * size)).view(-1, count, size)
        return torch.einsum("nc,ncs->ns", classes, latents + self.mean)


class ClassInference(nn.Module):
    """Networks that tell the class of a model's normalised latents; their log-probabilities are averaged."""

    def __init__(self, size: int, classes: int, members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            nn.Sequential(*trunk(size, 2, INFERENCE_WIDTH), nn.Linear(INFERENCE_WIDTH, classes))
            for _ in range(members)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities ``(n, classes)``, up to a number a row."""
        logits = torch.stack([F.log_softmax(member(x), dim=1) for member in self.members])
        return logits.mean(dim=0)


class BasedAutoencoder(BridgeNetwork):
    """The bridge's network on a base. Its inputs and outputs are normalised latents.

    Parameters are not initialised; see `initialize` and `Frame`.

    Args:
        architecture: The sizes.
    """

    lists = (*BridgeNetwork.lists, "frames", "inference")

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        sizes, code, classes = architecture.sizes, architecture.code_dim, architecture.classes
        # What was fitted to pairs is one map for all classes, and linear.
        frames, limit = (1, math.inf) if architecture.paired else (max(classes, 1), LIMIT)
        self.frames = nn.ModuleList(Frame(frames, size, code, limit) for size in sizes)
        self.inference = nn.ModuleList(
            ClassInference(size, classes, architecture.members) for size in (sizes if classes else ())
        )
        self.encoder: Corrections | None = None
        self.decoder: Corrections | None = None
        if architecture.layers:
            self.encoder = self._trunk(architecture, 2 * code)
            self.decoder = self._trunk(architecture, code)

    def initialize(self, rng: np.random.Generator) -> None:
        """Draws weights as the plain network does; the last layers of encoder and decoder are zero.

        Frames become identities as far as sizes allow.
        """
        with torch.no_grad():
            initialize_linear(self, rng)
            for end in range(len(self.frames)):
                frame = self._frame(end)
                frame.mean.zero_()
                frame.into.copy_(torch.eye(*frame.into.shape[1:]))
                frame.out_of.copy_(torch.eye(*frame.out_of.shape[1:]))
            for net in (self.encoder, self.decoder):
                if isinstance(net, ConditionedTrunk):
                    assert isinstance(net.last, nn.Linear)
                    net.last.weight.zero_()

    def encode(
        self, x: Tensor, end: int, *, known: bool = False, blur: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The posterior of z', a code and the classes' probabilities; classes have no deviation.

        ``blur`` ``(n, code)`` is added to what the encoder sees, and not to what the frame gives.
        """
        classes = self._turns(x) if known else self.infer(x, end)
        code = self._into_code(x, end, self._weights(classes, known))
        std = torch.zeros_like(code)
        if self.encoder is not None:
            seen = code if blur is None else code + blur
            moved, raw = self.encoder(torch.cat([seen, classes], dim=1), end).chunk(2, dim=1)
            code, std = code + moved, F.softplus(raw + STD_START)
        return torch.cat([code, classes], 1), torch.cat([std, torch.zeros_like(classes)], 1)

    def decode(self, shared: Tensor, end: int, *, known: bool = False, blur: Tensor | None = None) -> Tensor:
        """Normalised latents of model ``end``; ``blur`` as in `encode`."""
        code, classes = shared.tensor_split([self.architecture.code_dim], dim=1)
        if self.decoder is not None:
            seen = code if blur is None else code + blur
            code = code + self.decoder(torch.cat([seen, classes], dim=1), end)
        return self._out_of_code(code, end, self._weights(classes, known))

    def class_logits(self, shared: Tensor) -> Tensor:
        """Logarithms of the probabilities that z' holds."""
        return shared[:, self.architecture.code_dim :].clamp_min(SMALLEST).log()

    def infer(self, x: Tensor, end: int) -> Tensor:
        """The classes' probabilities ``(n, classes)`` for normalised latents of model ``end``."""
        if not self.architecture.classes:
            return x[:, :0]
        return (self.inference_logits(x, end) / self.architecture.temperature).softmax(dim=1)

    def inference_logits(self, x: Tensor, end: int) -> Tensor:
        """Log-probabilities ``(n, classes)``, up to a number a row; only with classes."""
        logits: Tensor = self.inference[end](x)
        return logits

    def inference_member(self, end: int, member: int) -> nn.Module:
        """One of the networks that infer a model's classes."""
        inference = self.inference[end]
        assert isinstance(inference, ClassInference)
        return inference.members[member]

    def code_noise(self, noise: Tensor, end: int) -> Tensor:
        """What noise on normalised latents, ``(n, ..., size)``, is in the code, ``(n, code, ...)``; only on pairs."""
        return (noise @ self._frame(end).into[0]).movedim(-1, 1)

    def set_frame(self, end: int, mean: Tensor, into: Tensor, out_of: Tensor) -> None:
        """Sets a model's maps; see `Frame`."""
        frame = self._frame(end)
        with torch.no_grad():
            frame.mean.copy_(mean)
            frame.into.copy_(into)
            frame.out_of.copy_(out_of)

    @property
    def base_parameters(self) -> list[nn.Parameter]:
        """Those of the base: frames and class inference."""
        return [*self.frames.parameters(), *self.inference.parameters()]

    @property
    def last_parameters(self) -> list[nn.Parameter]:
        """Weights and biases of the last layers of encoder and decoder, whose first rows give the corrections."""
        return [p for net in (self.encoder, self.decoder) if net is not None for p in net.last.parameters()]

    def _trunk(self, architecture: Architecture, out: int) -> Corrections:
        """The encoder or the decoder, with ``out`` outputs."""
        return ConditionedTrunk(
            architecture.shared_dim, len(architecture.sizes), architecture.layers, architecture.width, out
        )

    def _into_code(self, x: Tensor, end: int, classes: Tensor | None) -> Tensor:
        return self._frame(end).encode(x, classes)

    def _out_of_code(self, code: Tensor, end: int, classes: Tensor | None) -> Tensor:
        return self._frame(end).decode(code, classes)

    def _frame(self, end: int) -> Frame:
        frame = self.frames[end]
        assert isinstance(frame, Frame)
        return frame

    def _turns(self, x: Tensor) -> Tensor:
        """One-hots of classes in turn."""
        count = self.architecture.classes
        if not count:
            return x[:, :0]
        return torch.eye(count, device=x.device).repeat(len(x) // count, 1)

    def _weights(self, classes: Tensor, known: bool) -> Tensor | None:
        # Without labels there is one class, and all rows are of it; on pairs there is one map for all.
        by_class = self.architecture.classes and not self.architecture.paired
        return classes if by_class and not known else None
