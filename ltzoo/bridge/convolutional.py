"""The based autoencoder for grids and sequences: one code a position, and networks that look at the neighbours.

It works at any size, as nothing in it depends on one. Frames are those of `ltzoo.bridge.based` with one class, applied
position by position.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.config import Architecture
from ltzoo.bridge.entrances import rows_of
from ltzoo.bridge.layers import Conditioned, Corrections, truncated_weights

__all__ = ["ConvolutionalAutoencoder", "ConvolutionalTrunk"]

KERNEL = 3
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}


class ConvolutionalTrunk(Corrections, Conditioned):
    """Convolutions with ReLUs behind them, then one without; the first has a bias of its own for each model.

    Edges are repeated outwards, so that a position near one sees nothing that is not in the latents.

    Args:
        channels: Of the input.
        models: Number of models.
        layers: ReLU layers, at least 1.
        width: Channels of each.
        out: Channels of the output.
        dims: Dimensions that have positions, 1 or 2.
    """

    def __init__(self, channels: int, models: int, layers: int, width: int, out: int, dims: int) -> None:
        super().__init__()
        self.rows = nn.ParameterList(torch.empty(width) for _ in range(models))
        sizes = [channels, *[width] * layers, out]
        self.layers = nn.ModuleList(
            CONVOLUTIONS[dims](into, of, KERNEL, padding=KERNEL // 2, padding_mode="replicate")
            for into, of in pairwise(sizes)
        )

    def forward(self, x: Tensor, end: int) -> Tensor:
        """Output ``(n, out, *positions)`` for ``x`` ``(n, channels, *positions)`` of model ``end``."""
        first, *others = self.layers
        y: Tensor = first(x) + self.rows[end].view(-1, *[1] * (x.ndim - 2))
        for layer in others:
            y = layer(y.relu())
        return y

    @property
    def last(self) -> nn.Module:
        """The last layer."""
        return self.layers[-1]

    def initialize(self, rng: np.random.Generator) -> None:
        """Draws weights as those of linear layers; the last layer is zero."""
        models = len(self.rows)
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Conv1d | nn.Conv2d)
            assert layer.bias is not None
            layer.bias.zero_()
            out, fan_in = len(layer.weight), layer.weight[0].numel()
            if index == 0:
                weight, rows = truncated_weights(rng, out, fan_in + models).tensor_split([fan_in], dim=1)
                for row, values in zip(self.rows, rows.unbind(1), strict=True):
                    row.copy_(values)
            else:
                weight = truncated_weights(rng, out, fan_in)
            layer.weight.copy_(weight.view_as(layer.weight))
            if index == len(self.layers) - 1:
                layer.weight.zero_()


class ConvolutionalAutoencoder(BasedAutoencoder):
    """The bridge's network for latents ``(n, size, *positions)``; z' has a code at each position.

    Args:
        architecture: The sizes.
    """

    def _trunk(self, architecture: Architecture, out: int) -> Corrections:
        dims = len(architecture.entrance_shapes[0].shape)
        return ConvolutionalTrunk(
            architecture.shared_dim,
            len(architecture.sizes),
            architecture.layers,
            architecture.width,
            out,
            dims,
        )

    def initialize(self, rng: np.random.Generator) -> None:
        """Draws the weights; see `ConvolutionalTrunk` and `BasedAutoencoder`."""
        super().initialize(rng)
        with torch.no_grad():
            for net in (self.encoder, self.decoder):
                if isinstance(net, ConvolutionalTrunk):
                    net.initialize(rng)

    def describe(self, x: Tensor) -> Tensor:
        """Mean and standard deviation of each channel over the positions: ``(n, 2 * size)``."""
        flat = x.flatten(2)
        mean = flat.mean(dim=2)
        return torch.cat([mean, (flat - mean[:, :, None]).square().mean(dim=2).sqrt()], dim=1)

    def _into_code(self, x: Tensor, end: int, classes: Tensor | None) -> Tensor:
        return _positions(super()._into_code(rows_of(x), end, None), x)

    def _out_of_code(self, code: Tensor, end: int, classes: Tensor | None) -> Tensor:
        return _positions(super()._out_of_code(rows_of(code), end, None), code)


def _positions(rows: Tensor, like: Tensor) -> Tensor:
    """The inverse of `rows_of`: ``(n, size, *positions)``, of as many items and positions as ``like``."""
    # Not len(): that would be one fixed number to whoever traces this.
    return (
        rows.view(like.shape[0], -1, rows.shape[1])
        .transpose(1, 2)
        .reshape(like.shape[0], -1, *like.shape[2:])
    )
