"""Layers that a network's parts are built of, some of them conditioned on the model.

A conditioned layer is the paper's: a one-hot of the model is concatenated to its input. Its weights are
kept apart by model here, which is the same sum, so that a model that is added changes nothing of the others.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "Conditioned",
    "ConditionedLinear",
    "ConditionedTrunk",
    "Corrections",
    "initialize_linear",
    "trunk",
]


class Conditioned(nn.Module):
    """A layer that knows the model.

    Attributes:
        rows: ``(out,)`` each, one a model: the weights of its place in the one-hot.
    """

    rows: nn.ParameterList


class ConditionedLinear(Conditioned):
    """A linear layer on an input with a one-hot of the model behind it.

    Attributes:
        weight: ``(out, size)``.
        bias: ``(out,)``.
        rows: ``(out,)`` each, one a model: the weights of its place in the one-hot.

    Args:
        size: Length of the input without the one-hot.
        models: Number of models.
        out: Length of the output.
    """

    def __init__(self, size: int, models: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, size))
        self.bias = nn.Parameter(torch.empty(out))
        self.rows = nn.ParameterList(torch.empty(out) for _ in range(models))

    def forward(self, x: Tensor, end: int) -> Tensor:
        """Output ``(n, out)`` for ``x`` ``(n, size)`` of model ``end``."""
        return F.linear(x, self.weight, self.bias + self.rows[end])


class Corrections(nn.Module, ABC):
    """A network that ends in a layer which gives what is added to a code."""

    @property
    @abstractmethod
    def last(self) -> nn.Module:
        """That layer."""


class ConditionedTrunk(Corrections):
    """`trunk`, whose first layer is conditioned on the model.

    Args:
        size: Length of the input without the one-hot.
        models: Number of models.
        layers: ReLU layers, at least 1.
        width: Units of each.
        out: Length of a linear layer behind them; None for none.
    """

    def __init__(self, size: int, models: int, layers: int, width: int, out: int | None = None) -> None:
        super().__init__()
        self.first = ConditionedLinear(size, models, width)
        last = [] if out is None else [nn.Linear(width, out)]
        self.rest = nn.Sequential(nn.ReLU(), *trunk(width, layers - 1, width), *last)

    def forward(self, x: Tensor, end: int) -> Tensor:
        """Output for ``x`` ``(n, size)`` of model ``end``."""
        y: Tensor = self.rest(self.first(x, end))
        return y

    @property
    def last(self) -> nn.Module:
        """The last layer; only with ``out``."""
        return self.rest[-1]


def trunk(size: int, layers: int, width: int) -> list[nn.Module]:
    """Linear layers, each with a ReLU behind it."""
    parts: list[nn.Module] = []
    for into, out in pairwise([size, *[width] * layers]):
        parts += [nn.Linear(into, out), nn.ReLU()]
    return parts


def initialize_linear(network: nn.Module, rng: np.random.Generator) -> None:
    """Draws the weights of all linear layers from N(0, 1 / fan-in) truncated at two standard deviations.

    Biases are set to zero. The one-hot of a conditioned layer counts as input.
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                layer.bias.zero_()
                layer.weight.copy_(truncated_weights(rng, *layer.weight.shape))
            elif isinstance(layer, ConditionedLinear):
                layer.bias.zero_()
                out, size = layer.weight.shape
                weight, rows = truncated_weights(rng, out, size + len(layer.rows)).tensor_split([size], dim=1)
                layer.weight.copy_(weight)
                for row, values in zip(layer.rows, rows.unbind(1), strict=True):
                    row.copy_(values)


def truncated_weights(rng: np.random.Generator, out: int, fan_in: int) -> Tensor:
    """Weights ``(out, fan_in)`` from N(0, 1 / fan-in) truncated at two standard deviations."""
    values = rng.standard_normal((out, fan_in), dtype=np.float32)
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = rng.standard_normal(int(outside.sum()), dtype=np.float32)
        outside = np.abs(values) > 2
    return torch.from_numpy(values) / math.sqrt(fan_in)
