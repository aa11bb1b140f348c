"""A plugin for tests: two small exact models over 8 x 8 images, served in this process only."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from ltzoo import DatasetSpec, DataSpec, LabellerSpec, LatentSpec, ModelSpec, Source, hookimpl
from ltzoo.plugins import PluginHost
from ltzoo.zoo import Zoo

IMAGE = DataSpec(modality="image", shape=(1, 8, 8), fit="contain")
LABELS = ("dark", "light")


def spec(name: str, **changes: Any) -> ModelSpec:
    fields: dict[str, Any] = {
        "id": f"toy/{name}",
        "title": f"toy model {name}",
        "data": IMAGE,
        "latent": LatentSpec(shape=(64,)),
        "capabilities": frozenset({"encode", "decode", "sample"}),
        "license": "Apache-2.0",
        "loader": "toy_plugin:load",
        "labels": LABELS,
        "reconstruction_mse": 1e-6,
        **changes,
    }
    return ModelSpec(**fields)


@hookimpl
def register_models():
    yield spec("a")
    yield spec("b")
    yield spec("deaf", capabilities=frozenset({"decode"}), reconstruction_mse=None)
    yield spec("mute", capabilities=frozenset({"encode"}), reconstruction_mse=None)
    yield spec("broken", loader="toy_plugin:no_such_function")
    yield spec("liar", loader="toy_plugin:load_liar")


@hookimpl
def resolve_model(ref: str):
    name = ref.removeprefix("toy:")
    return None if name == "unknown" else spec("a", id=ref, title=f"the open family's {name}")


@hookimpl
def register_datasets():
    return [
        DatasetSpec(
            id="toy/squares",
            title="squares",
            data=IMAGE,
            license="Apache-2.0",
            labels=LABELS,
            labeller=LabellerSpec(
                loader="toy_plugin:load_labeller",
                source=Source(),
                accuracy=1.0,
                command="-",
                license="Apache-2.0",
            ),
        )
    ]


class Rotation:
    """Latents are the pixels in -1..1, rotated by an orthogonal matrix of the model's own."""

    def __init__(self, spec: ModelSpec) -> None:
        import torch

        self.spec = spec
        generator = torch.Generator().manual_seed(sum(spec.id.encode()))
        self.matrix = torch.linalg.qr(torch.randn(64, 64, generator=generator)).Q

    def encode(self, x):
        return (x.flatten(1) * 2 - 1) @ self.matrix

    def decode(self, z):
        return ((z @ self.matrix.T) / 2 + 0.5).clamp(0, 1).reshape(-1, 1, 8, 8)

    def sample(self, n: int, seed: int):
        import torch

        return torch.randn(n, 64, generator=torch.Generator().manual_seed(seed))


def load(spec: ModelSpec, *, device: str) -> Rotation:
    return Rotation(spec)


class Brightness:
    """Light or dark, and the surer the further from grey."""

    def logits(self, x):
        import torch

        light = 20 * (x.flatten(1).mean(1) - 0.5)
        return torch.stack((-light, light), 1)


def load_labeller(spec, *, device: str) -> Brightness:
    return Brightness()


def load_liar(spec: ModelSpec, *, device: str) -> object:
    return object()


def toy_zoo() -> Zoo:
    return Zoo(PluginHost([EntryPoint("toy", "toy_plugin", "ltzoo")]))
