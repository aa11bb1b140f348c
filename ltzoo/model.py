"""What a plugin's loaders give: the adapters around a frozen model, judge and labeller of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from ltzoo.spec import ModelSpec

__all__ = ["Data", "Invertible", "Judge", "Labeller", "LatentModel"]

Data: TypeAlias = "Tensor | list[str]"
"""A batch of data: float32 ``(batch, *data_shape)``, or a list of strings for text."""


@runtime_checkable
class LatentModel(Protocol):
    """The adapters around one frozen model.

    A model has the methods that its spec's capabilities name and may leave out the others. Every
    method works in evaluation mode without gradients unless it says otherwise, gives the same answer
    for the same input, and treats the items of a batch independently of each other.
    """

    spec: ModelSpec

    def encode(self, x: Data) -> Tensor:
        """Latents of the data: float32 ``(batch, *latent_shape)``, the posterior mean if there is one.

        The adapter owns scaling and shifting: what it gives is what ``decode`` takes.
        """
        ...

    def posterior(self, x: Data) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each ``(batch, *latent_shape)``; only if ``latent.stochastic``."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Data of the latents: float32 ``(batch, *data_shape)``; differentiable in ``z``."""
        ...

    def sample(self, n: int, seed: int) -> Tensor:
        """``n`` latents drawn from the model's prior, the same ones for the same seed."""
        ...


@runtime_checkable
class Invertible(Protocol):
    """What an adapter may offer beside `LatentModel`, for ``--invert``, where comparing data leads nowhere.

    The search for latents of data then compares these features, not data with decodes: spectrograms say what
    was spoken, while waveforms with other phases are far apart although they sound alike. Without it,
    ``decode`` must be differentiable.
    """

    def inversion_target(self, x: Tensor) -> Tensor:
        """Features ``(batch, *feature_shape)`` of data ``(batch, *data_shape)``."""
        ...

    def inversion_features(self, z: Tensor) -> Tensor:
        """Features, of the same shape, of what latents decode to; differentiable in ``z``."""
        ...


@runtime_checkable
class Judge(Protocol):
    """A classifier on data, used for nothing but scoring."""

    def logits(self, x: Data) -> Tensor:
        """Scores ``(batch, classes)``, in the order of the data set's labels."""
        ...

    def features(self, x: Data) -> Tensor:
        """The activations before the last layer, ``(batch, features)``: the space FID is measured in."""
        ...


@runtime_checkable
class Labeller(Protocol):
    """A classifier on data that labels what a model draws."""

    def logits(self, x: Data) -> Tensor:
        """Scores ``(batch, classes)``, in the order of the data set's labels."""
        ...
