"""A plugin for tests: the toy models without an encoder, and adapters that offer no gradient."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from toy_plugin import Rotation, spec

from ltzoo import DataSpec, ModelSpec, hookimpl
from ltzoo.plugins import PluginHost
from ltzoo.zoo import Zoo


def model(name: str, **changes: Any) -> ModelSpec:
    fields: dict[str, Any] = {
        "id": f"flat/{name}",
        "capabilities": frozenset({"decode", "sample"}),
        "loader": f"inversion_plugin:load_{name}",
        "reconstruction_mse": None,
        **changes,
    }
    return spec(name, **fields)


@hookimpl
def register_models():
    yield model("gan")
    yield model("closed")
    yield model("stepped")
    yield model("featured")
    yield model("wordy", data=DataSpec(modality="text"), loader="inversion_plugin:load_gan")


class Smooth(Rotation):
    """Decodes through a sigmoid, which has a gradient everywhere."""

    def decode(self, z):
        return (z @ self.matrix.T).sigmoid().reshape(-1, 1, 8, 8)


class Closed(Smooth):
    """Decodes without gradients."""

    def decode(self, z):
        return super().decode(z).detach()


class Stepped(Smooth):
    """Decodes with a gradient that is zero everywhere."""

    def decode(self, z):
        return super().decode(z).round()


class Featured(Closed):
    """Decodes without gradients, but offers features that have one."""

    def inversion_target(self, x):
        return x.flatten(1).logit(1e-4)

    def inversion_features(self, z):
        return z @ self.matrix.T


def load_gan(spec: ModelSpec, *, device: str) -> Rotation:
    return Smooth(spec)


def load_closed(spec: ModelSpec, *, device: str) -> Rotation:
    return Closed(spec)


def load_stepped(spec: ModelSpec, *, device: str) -> Rotation:
    return Stepped(spec)


def load_featured(spec: ModelSpec, *, device: str) -> Rotation:
    return Featured(spec)


def flat_zoo() -> Zoo:
    return Zoo(
        PluginHost(
            [EntryPoint("toy", "toy_plugin", "ltzoo"), EntryPoint("flat", "inversion_plugin", "ltzoo")]
        )
    )
