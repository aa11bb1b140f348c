"""The shared variational autoencoder of the paper: one network for all models of a bridge.

Tian & Engel 2019, section 3; ``method.md`` 1.4. A one-hot of the model is part of the input of
the encoder and of the decoder (`ltzoo.bridge.layers`); the heads are gated mixing layers. Where the models'
latents differ in size, each model has a linear layer into and out of a common size; where they do not, those
layers are identities and the network is exactly the paper's. A model that was added later always has them.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo.bridge.config import Architecture
from ltzoo.bridge.entrances import Entrance, make_entrance
from ltzoo.bridge.layers import Conditioned, ConditionedLinear, ConditionedTrunk, initialize_linear
from ltzoo.bridge.novelty import Novelty

__all__ = ["BridgeNetwork", "ConditionedMixing", "GatedMixing", "SharedAutoencoder"]


class BridgeNetwork(nn.Module, ABC):
    """What a bridge asks of its network: latents of a model into z' and out of it.

    Args:
        architecture: The sizes.

    Attributes:
        architecture: As given.
        novelty: Of each model's normalised latents, as `describe` has them.
        entrances: Of each model.
    """

    lists: ClassVar[tuple[str, ...]] = ("novelty", "entrances")
    """Names of the lists that hold one module a model."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.entrances = nn.ModuleList(
            make_entrance(form, size)
            for form, size in zip(architecture.entrance_shapes, architecture.sizes, strict=True)
        )
        for index, size in enumerate(architecture.sizes):
            self.register_buffer(f"mean_{index}", torch.zeros(size))
            self.register_buffer(f"scale_{index}", torch.ones(size))
        classes = max(architecture.classes, 1)
        described = 2 if architecture.trunk == "convolution" else 1
        self.novelty = nn.ModuleList(Novelty(classes, described * size) for size in architecture.sizes)

    @abstractmethod
    def initialize(self, rng: np.random.Generator) -> None:
        """Draws the weights that training starts from."""

    @abstractmethod
    def encode(self, x: Tensor, end: int, *, known: bool = False) -> tuple[Tensor, Tensor]:
        """The posterior of z'.

        Args:
            x: ``(n, size)``, normalised latents of model ``end``.
            end: Index of the model.
            known: The rows' classes need not be inferred, since they come in turn, ``0, 1, ... 0, 1, ...``.

        Returns:
            Mean and standard deviation, each ``(n, shared_dim)``.
        """

    @abstractmethod
    def decode(self, shared: Tensor, end: int, *, known: bool = False) -> Tensor:
        """Normalised latents ``(n, size)`` of model ``end`` for z' ``(n, shared_dim)``; see `encode`."""

    @abstractmethod
    def class_logits(self, shared: Tensor) -> Tensor:
        """Logits ``(n, classes)`` for z' ``(n, shared_dim)``; only if the architecture has classes."""

    def of_models(self, ends: Sequence[int]) -> Self:
        """The network as some of its models have it: with their weights and no others, shared with this one.

        Args:
            ends: Indices of the models; they are 0, 1, ... in the result. Its architecture is that of the whole.
        """
        view = copy.deepcopy(self, {id(one): one for one in (*self.parameters(), *self.buffers())})
        for kind in ("mean", "scale"):
            for end in range(len(self.novelty)):
                delattr(view, f"{kind}_{end}")
            for place, end in enumerate(ends):
                view.register_buffer(f"{kind}_{place}", self.get_buffer(f"{kind}_{end}"))
        for name in self.lists:
            modules = getattr(view, name)
            # Without classes there are no networks that infer them.
            setattr(view, name, nn.ModuleList(modules[end] for end in ends if len(modules)))
        for layer in view.modules():
            if isinstance(layer, Conditioned):
                layer.rows = nn.ParameterList(layer.rows[end] for end in ends)
        return view

    def set_normalization(self, end: int, mean: Tensor, scale: Tensor) -> None:
        """Sets what `normalize` subtracts and divides by, each ``(size,)``."""
        self.get_buffer(f"mean_{end}").copy_(mean)
        self.get_buffer(f"scale_{end}").copy_(scale)

    def entrance(self, end: int) -> Entrance:
        """How latents of a model reach the network."""
        entrance = self.entrances[end]
        assert isinstance(entrance, Entrance)
        return entrance

    def enter(self, z: Tensor, end: int) -> Tensor:
        """Latents of a model, ``(n, *latent shape)``, as the network takes them: `normalize` of what enters."""
        return self.normalize(self.entrance(end).enter(z), end)

    def leave(self, x: Tensor, end: int) -> Tensor:
        """The inverse of `enter`."""
        return self.entrance(end).leave(self.denormalize(x, end))

    def describe(self, x: Tensor) -> Tensor:
        """What novelty looks at in normalised latents: one vector a latent."""
        return x

    def normalize(self, x: Tensor, end: int) -> Tensor:
        """What came through a model's entrance, ``(n, size, ...)``, in the units of the network."""
        return (x - self._by_channel(f"mean_{end}", x)) / self._by_channel(f"scale_{end}", x)

    def normalize_std(self, std: Tensor, end: int) -> Tensor:
        """Standard deviations of the same in the units of the network."""
        return std / self._by_channel(f"scale_{end}", std)

    def denormalize(self, x: Tensor, end: int) -> Tensor:
        """The inverse of `normalize`."""
        return x * self._by_channel(f"scale_{end}", x) + self._by_channel(f"mean_{end}", x)

    def _by_channel(self, name: str, x: Tensor) -> Tensor:
        """A buffer ``(size,)``, so that it goes with ``(n, size, ...)``."""
        return self.get_buffer(name).view(-1, *[1] * (x.ndim - 2))


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
        return _mixed(self.deep(h), self.skip(u))


class ConditionedMixing(nn.Module):
    """`GatedMixing`, whose linear path is conditioned on the model.

    Args:
        deep: Length of ``h``.
        skip: Length of ``u`` without the one-hot of the model.
        models: Number of models.
        out: Length of the output.
    """

    def __init__(self, deep: int, skip: int, models: int, out: int) -> None:
        super().__init__()
        self.deep = nn.Linear(deep, 2 * out)
        self.skip = ConditionedLinear(skip, models, out)

    def forward(self, h: Tensor, u: Tensor, end: int) -> Tensor:
        """The mixture, ``(n, out)``, of ``h`` ``(n, deep)`` and ``u`` ``(n, skip)`` of model ``end``."""
        return _mixed(self.deep(h), self.skip(u, end))


def _mixed(deep: Tensor, skip: Tensor) -> Tensor:
    a, b = deep.chunk(2, dim=-1)
    return torch.lerp(skip, a, torch.sigmoid(b))


class GatedClassifier(nn.Module):
    """The authors' classifier on z': a gated mixing head without hidden layers, so both paths are linear."""

    def __init__(self, shared_dim: int, classes: int) -> None:
        super().__init__()
        self.mixing = GatedMixing(shared_dim, shared_dim, classes)

    def forward(self, z: Tensor) -> Tensor:
        """Logits ``(n, classes)`` of z' ``(n, shared_dim)``."""
        logits: Tensor = self.mixing(z, z)
        return logits


class SharedAutoencoder(BridgeNetwork):
    """The bridge's network. Its inputs and outputs are normalised latents.

    Parameters are not initialised; see `initialize`.

    Args:
        architecture: The sizes.
    """

    lists = (*BridgeNetwork.lists, "inputs", "outputs")

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        sizes, common, models = architecture.sizes, architecture.common, len(architecture.sizes)
        layers, width, shared = architecture.layers, architecture.width, architecture.shared_dim
        first = len(architecture.first_sizes) if len(set(architecture.first_sizes)) == 1 else 0
        own = [end >= first for end in range(models)]
        self.inputs = nn.ModuleList(
            [
                nn.Linear(size, common) if each else nn.Identity()
                for size, each in zip(sizes, own, strict=True)
            ]
        )
        self.outputs = nn.ModuleList(
            [
                nn.Linear(common, size) if each else nn.Identity()
                for size, each in zip(sizes, own, strict=True)
            ]
        )
        self.encoder = ConditionedTrunk(common, models, layers, width)
        self.encoder_mean = ConditionedMixing(width, common, models, shared)
        self.encoder_std = ConditionedMixing(width, common, models, shared)
        self.decoder = ConditionedTrunk(shared, models, layers, width)
        self.decoder_mean = ConditionedMixing(width, shared, models, common)
        self.classifier: nn.Module | None = None
        if architecture.classes:
            linear = architecture.classifier == "linear"
            make = nn.Linear if linear else GatedClassifier
            self.classifier = make(shared, architecture.classes)

    def initialize(self, rng: np.random.Generator) -> None:
        """Draws weights from N(0, 1 / fan-in) truncated at two standard deviations; biases are zero."""
        initialize_linear(self, rng)

    def encode(self, x: Tensor, end: int, *, known: bool = False) -> tuple[Tensor, Tensor]:
        """The posterior of z'.

        Args:
            x: ``(n, size)``, normalised latents of model ``end``.
            end: Index of the model.
            known: Of no effect: this network does not ask for classes.

        Returns:
            Mean and standard deviation, each ``(n, shared_dim)``.
        """
        del known
        u = self.inputs[end](x)
        h = self.encoder(u, end)
        return self.encoder_mean(h, u, end), F.softplus(self.encoder_std(h, u, end))

    def decode(self, shared: Tensor, end: int, *, known: bool = False) -> Tensor:
        """Normalised latents ``(n, size)`` of model ``end`` for z' ``(n, shared_dim)``; see `encode`."""
        del known
        x: Tensor = self.outputs[end](self.decoder_mean(self.decoder(shared, end), shared, end))
        return x

    def class_logits(self, shared: Tensor) -> Tensor:
        """Logits ``(n, classes)`` of the classifier on z' ``(n, shared_dim)``, which must have classes."""
        assert self.classifier is not None
        logits: Tensor = self.classifier(shared)
        return logits
