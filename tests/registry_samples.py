"""Registries of small rows, as files and on the tests' Hub."""

from __future__ import annotations

import hashlib

from ltzoo.bridge.row import row_text
from ltzoo.registry import BridgeRow, MetricRow
from ltzoo.spec import FileSpec

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "README.md": b"# A bridge\n"}


def row(id: str = "a-b", models: tuple[str, ...] = ("toy/a", "toy/b"), **changes) -> BridgeRow:
    """The row of a bridge in the repository org/bridge, whose files are `FILES`."""
    fields = {
        "id": id,
        "models": models,
        "files": tuple(
            FileSpec(name=name, sha256=hashlib.sha256(content).hexdigest()) for name, content in FILES.items()
        ),
        "size": sum(map(len, FILES.values())),
        "license": "Apache-2.0",
        "plugins": ("ltzoo-toy",),
        "command": "ltzoo train toy/a toy/b",
        "recipe": "default",
        "date": "2026-11-24",
        "repo": "org/bridge",
        "revision": "a" * 40,
    }
    return BridgeRow(**{**fields, **changes})


def accuracy(source: str, target: str, value: float) -> MetricRow:
    return MetricRow(name="transfer_accuracy", source=source, target=target, value=value)


def registry_text(*rows: BridgeRow) -> str:
    return "schema = 1\n" + "".join(row_text(one) for one in rows)


def publish(hub, *rows: BridgeRow, repo: str = "org/registry") -> str:
    """Commits a registry of these rows to a repository of the Hub; gives the commit."""
    return hub.add(repo, {"registry.toml": registry_text(*rows).encode()})
