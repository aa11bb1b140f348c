"""Small models that stand in for real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from ltzoo.model import Data
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec

LABELS = ("zero", "one", "two")
IMAGE = DataSpec(modality="image", shape=(1, 8, 8), fit="contain")
VARYING = DataSpec(modality="image", shape=(3, None, None), fit="contain")


def model_spec(
    id: str = "fake/model",
    *,
    data: DataSpec = IMAGE,
    latent: tuple[int | None, ...] = (4,),
    stochastic: bool = False,
    labels: tuple[str, ...] = LABELS,
    adapter_version: int = 1,
) -> ModelSpec:
    return ModelSpec(
        id=id,
        title="A fake",
        data=data,
        latent=LatentSpec(shape=latent, stochastic=stochastic),
        capabilities=frozenset({"encode", "decode"}),
        license="Apache-2.0",
        loader="fakes:FakeModel",
        labels=labels,
        adapter_version=adapter_version,
    )


class FakeModel:
    """A fixed random projection of the data; grids are the data itself, averaged over 2 x 2 pixels."""

    def __init__(self, spec: ModelSpec | None = None, *, gain: float = 1.0) -> None:
        self.spec = spec or model_spec()
        self.gain = gain
        self.batch_sizes: list[int] = []

    def encode(self, x: Data) -> Tensor:
        self.batch_sizes.append(len(x))
        if isinstance(x, list):
            return torch.tensor([[float(len(text)), *map(float, text.encode()[:3].ljust(3))] for text in x])
        if self.spec.latent.kind == "grid":
            return self.gain * torch.nn.functional.avg_pool2d(x, 2, ceil_mode=True)
        weights = torch.randn(
            x[0].numel(), self.spec.latent.channels, generator=torch.Generator().manual_seed(0)
        )
        return self.gain * (x.flatten(1) @ weights)

    def posterior(self, x: Data) -> tuple[Tensor, Tensor]:
        mean = self.encode(x)
        return mean, 0.1 + mean.abs() / 100
