"""How long the shell waits for a completion, in milliseconds and as a multiple of importing click and pluggy.

python benchmarks/completion.py [--runs 15]

Asks as bash does when Tab is pressed, in a layer on top of the environment that it is run with that brings the number of
plugins to five, for commands, models, bridges, recipes and plugins. Every round asks for each once, in turn, so that a
machine whose speed drifts drifts for all of them; the figures are medians. The bar is 250 ms. torch must not be imported.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rounds import BASE, SCRIPT, environment_with_plugins, medians

BAR = 0.250
PLUGINS = 5
NO_TORCH = """
import sys
from ltzoo.cli.main import run
try:
    run()
except SystemExit:
    heavy = {"torch", "numpy", "huggingface_hub"} & set(sys.modules)
    sys.exit(f"imported {heavy}" if heavy else 0)
sys.exit("nothing was completed")
"""

# What is completed: the words so far, which one is asked for, and something that must be offered.
ASKED = {
    "ltzoo <Tab>": ("ltzoo ", 1, "translate"),
    "ltzoo plugins <Tab>": ("ltzoo plugins ", 2, "check"),
    "ltzoo translate x --from <Tab>": ("ltzoo translate x --from ", 4, "plugin0/model"),
    "ltzoo translate x --bridge m<Tab>": ("ltzoo translate x --bridge m", 4, "mnist-fashion"),
    "ltzoo train --recipe <Tab>": ("ltzoo train --recipe ", 3, "default"),
    "ltzoo plugins check <Tab>": ("ltzoo plugins check ", 3, "plugin0"),
    "ltzoo eval --<Tab>": ("ltzoo eval --", 2, "--require"),
}


def asking(words: str, n: int) -> dict[str, str]:
    """The environment in which bash asks for the completion of word ``n``."""
    return {**os.environ, "_LTZOO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(n)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_with_plugins(Path(folder), PLUGINS, new=1)
        home = {"LTZOO_HOME": str(Path(folder) / "home")}

        def complete(words: str, n: int, expected: str) -> None:
            result = subprocess.run(
                [environment.python, "-c", SCRIPT],
                env=asking(words, n) | home,
                check=True,
                capture_output=True,
                text=True,
            )
            assert f"plain,{expected}" in result.stdout.splitlines(), (words, result.stdout)

        actions = {name: partial(complete, *asked) for name, asked in ASKED.items()}
        times = medians({"base": partial(environment.run, *BASE), **actions}, runs)
        for words, n, _ in ASKED.values():
            subprocess.run(
                [environment.python, "-c", NO_TORCH],
                env=asking(words, n) | home,
                check=True,
                capture_output=True,
            )
    base = times.pop("base")
    print(f"{'import click, pluggy':<36}{base * 1e3:8.1f} ms")
    for name, seconds in times.items():
        print(f"{name:<36}{seconds * 1e3:8.1f} ms{seconds / base:8.2f} x")
    worst = max(times.values())
    print(f"worst {worst * 1e3:.0f} ms, bar {BAR * 1e3:.0f} ms; torch was never imported")
    return 0 if worst < BAR else 1


if __name__ == "__main__":
    sys.exit(main())
