"""Timing commands in rounds: each once a round, in turn, so that a machine whose speed drifts drifts for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from wheels import Environment, good_plugin

__all__ = ["BASE", "SCRIPT", "environment_with_plugins", "medians"]

BASE = ("-c", "import click, pluggy")
SCRIPT = "from ltzoo.cli import main; main()"  # what the console script runs


def medians(actions: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for round_ in range(runs + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if round_:  # the first round fills the caches
                times[name].append(time.perf_counter() - start)
    return {name: median(seconds) for name, seconds in times.items()}


def environment_with_plugins(folder: Path, number: int, *, new: int = 0) -> Environment:
    """A layer on top of the environment of this process that brings its plugins to that number, if there are fewer.

    Args:
        folder: Where it is made.
        number: Of plugins.
        new: Plugins to add at least: ``plugin0``, ``plugin1``.
    """
    environment = Environment(folder / "venv")
    count = "import importlib.metadata as m; print(len(m.entry_points(group='ltzoo')))"
    installed = int(environment.run("-c", count).stdout)
    if wheels := [good_plugin(f"plugin{i}") for i in range(max(new, number - installed))]:
        environment.install(*wheels)
    return environment
