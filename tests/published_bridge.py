"""A bridge between the toy models that may be published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bridge_samples import build_network, make_config, plain_recipe
from toy_plugin import toy_zoo

from ltzoo.bridge import Bridge
from ltzoo.bridge.config import BridgeConfig, Metric
from ltzoo.zoo import set_default_zoo

COMMAND = "ltzoo eval local:ab --write"


def measured_config(**changes) -> BridgeConfig:
    """The config of a bridge between toy/a and toy/b, with figures."""
    zoo = toy_zoo()
    config = make_config((64, 64), 2, (zoo.get_model("toy/a"), zoo.get_model("toy/b")), recipe=plain_recipe())
    metrics = tuple(
        Metric(name="transfer_accuracy", source=a, target=b, value=value, command=COMMAND)
        for a, b, value in (("toy/a", "toy/b", 0.9), ("toy/b", "toy/a", 0.8))
    )
    config = replace(
        config, metrics=metrics, trained=replace(config.trained, command="ltzoo train toy/a toy/b")
    )
    return replace(config, **changes)


def save_bridge(folder: Path, **changes) -> Bridge:
    """Writes such a bridge, its weights drawn, and makes the toy models those of this process."""
    set_default_zoo(toy_zoo())
    config = measured_config(**changes)
    bridge = Bridge(config, build_network(config))
    bridge.save_pretrained(folder)
    return bridge
