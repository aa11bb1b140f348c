"""The shared variational autoencoder: one network for all models of a bridge.

Tian & Engel 2019, section 3; ``method.md`` 1.4. A one-hot of the model is concatenated to the input of
the encoder and of the decoder; the heads are gated mixing layers. Where the models' latents differ in
size, each model has a linear layer into and out of a common size; where they do not, those layers
are identities and the network is exactly the paper's.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo.bridge.config import Architecture

__all__ = ["GatedMixing", "SharedAutoencoder"]


class GatedMixing(nn.Module):
    """A head that mixes a deep and a linear path: ``(1 - g) * s + g * a``.

    ``(a, b) = deep(h)``, ``g = sigmoid(b)``, ``s = skip(u)``, for a trunk's output ``h`` and its input ``u``.

    Args:
        deep: Length of ``h``.
        skip: Length of ``u``.
        out: Length of the output.
    """

    def __init__(self, deep: int, skip: int, out: int) -> None:
        super().__init__()
        self.deep = nn.Linear(deep, 2 * out)
        self.skip = nn.Linear(skip, out)

    def forward(self, h: Tensor, u: Tensor) -> Tensor:
        """The mixture, ``(n, out)``, of ``h`` ``(n, deep)`` and ``u`` ``(n, skip)``."""
        a, b = self.deep(h).chunk(2, dim=-1)
        return torch.lerp(self.skip(u), a, torch.sigmoid(b))


class GatedClassifier(nn.Module):
    """The authors' classifier on z': a gated mixing head without hidden layers, so both paths are linear."""

    def __init__(self, shared_dim: int, classes: int) -> None:
        super().__init__()
        self.mixing = GatedMixing(shared_dim, shared_dim, classes)

    def forward(self, z: Tensor) -> Tensor:
        """Logits ``(n, classes)`` of z' ``(n, shared_dim)``."""
        logits: Tensor = self.mixing(z, z)
        return logits


class SharedAutoencoder(nn.Module):
    """The bridge's network. Its inputs and outputs are normalised latents.

    Parameters are not initialised; see `initialize`. Vectors of several models go through the trunks
    together: ``ends`` says, row by row, which model a row belongs to.

    Args:
        architecture: The sizes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        sizes, common, models = architecture.sizes, architecture.common, len(architecture.sizes)
        layers, width, shared = architecture.layers, architecture.width, architecture.shared_dim
        same = len(set(sizes)) == 1
        self.inputs = nn.ModuleList([nn.Identity() if same else nn.Linear(size, common) for size in sizes])
        self.outputs = nn.ModuleList([nn.Identity() if same else nn.Linear(common, size) for size in sizes])
        self.encoder = _trunk(common + models, layers, width)
        self.encoder_mean = GatedMixing(width, common + models, shared)
        self.encoder_std = GatedMixing(width, common + models, shared)
        self.decoder = _trunk(shared + models, layers, width)
        self.decoder_mean = GatedMixing(width, shared + models, common)
        self.classifier: nn.Module | None = None
        if architecture.classes:
            linear = architecture.classifier == "linear"
            make = nn.Linear if linear else GatedClassifier
            self.classifier = make(shared, architecture.classes)
        for index, size in enumerate(sizes):
            self.register_buffer(f"mean_{index}", torch.zeros(size))
            self.register_buffer(f"scale_{index}", torch.ones(size))

    def initialize(self, rng: np.random.Generator) -> None:
        """Draws weights from N(0, 1 / fan-in) truncated at two standard deviations; biases are zero.

        The normalisation is reset to none.
        """
        with torch.no_grad():
            for end in range(len(self.architecture.sizes)):
                self.get_buffer(f"mean_{end}").zero_()
                self.get_buffer(f"scale_{end}").fill_(1)
            for parameter in self.parameters():
                if parameter.ndim == 1:
                    parameter.zero_()
                    continue
                values = rng.standard_normal(parameter.shape, dtype=np.float32)
                outside = np.abs(values) > 2
                while outside.any():
                    values[outside] = rng.standard_normal(int(outside.sum()), dtype=np.float32)
                    outside = np.abs(values) > 2
                parameter.copy_(torch.from_numpy(values) / math.sqrt(parameter.shape[1]))

    def set_normalization(self, end: int, mean: Tensor, scale: Tensor) -> None:
        """Sets what `normalize` subtracts and divides by, each ``(size,)``."""
        self.get_buffer(f"mean_{end}").copy_(mean)
        self.get_buffer(f"scale_{end}").copy_(scale)

    def normalize(self, z: Tensor, end: int) -> Tensor:
        """Latents of a model, ``(n, size)``, in the units of the network."""
        return (z - self.get_buffer(f"mean_{end}")) / self.get_buffer(f"scale_{end}")

    def denormalize(self, z: Tensor, end: int) -> Tensor:
        """The inverse of `normalize`."""
        return z * self.get_buffer(f"scale_{end}") + self.get_buffer(f"mean_{end}")

    def encode(self, x: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior of z'.

        Args:
            x: ``(n, common)``, after the models' input layers.
            ends: int64 ``(n,)``, index of each row's model.

        Returns:
            Mean and standard deviation, each ``(n, shared_dim)``.
        """
        u = self._with_model(x, ends)
        h = self.encoder(u)
        return self.encoder_mean(h, u), F.softplus(self.encoder_std(h, u))

    def decode(self, z: Tensor, ends: Tensor) -> Tensor:
        """Vectors ``(n, common)``, before the models' output layers, of z' ``(n, shared_dim)``."""
        u = self._with_model(z, ends)
        x: Tensor = self.decoder_mean(self.decoder(u), u)
        return x

    def _with_model(self, x: Tensor, ends: Tensor) -> Tensor:
        one_hot = F.one_hot(ends, len(self.architecture.sizes)).to(x.dtype)
        return torch.cat([x, one_hot], dim=1)


def _trunk(size: int, layers: int, width: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for into, out in pairwise([size, *[width] * layers]):
        parts += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*parts)
