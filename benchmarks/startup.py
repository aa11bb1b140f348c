"""How long the light commands take, as a multiple of importing click and pluggy.

python benchmarks/startup.py [--runs 15]

Measures the environment that it is run with, in a layer on top of it that brings the number of plugins
to five at least; for what users have, run it with the one that `make demo` makes. Every round times each command once, in turn, so
that a machine whose speed drifts drifts for all of them; the figures are medians. The bar is 3.0.
Then a plugin whose module sleeps 1.5 s is added: the commands that need no plugin must not notice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rounds import BASE, SCRIPT, environment_with_plugins, medians
from wheels import Environment, plugin

BAR = 3.0
PLUGINS = 5
COMMANDS = ("--help", "--version", "plugins", "models", "bridges")
TORCH = "import sys; from ltzoo.cli.main import run; run([{command!r}]); sys.exit('torch' in sys.modules)"


def measure(environment: Environment, commands: dict[str, tuple[str, ...]], runs: int) -> dict[str, float]:
    """Median seconds of each command."""
    return medians({name: partial(environment.run, *words) for name, words in commands.items()}, runs)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_with_plugins(Path(folder), PLUGINS)
        commands = {
            command: ("-c", f"import sys; sys.argv[1:] = [{command!r}]; {SCRIPT}") for command in COMMANDS
        }
        seconds = measure(environment, {"base": BASE, **commands}, runs)
        base = seconds.pop("base")
        print(f"{'import click, pluggy':<24}{base * 1e3:8.1f} ms")
        for command, value in seconds.items():
            print(f"{'ltzoo ' + command:<24}{value * 1e3:8.1f} ms{value / base:8.2f} x")
            environment.run("-c", TORCH.format(command=command))
        worst = max(seconds.values()) / base
        print(f"worst {worst:.2f} x, bar {BAR:.1f} x; torch was never imported")

        light = {command: commands[command] for command in ("--help", "--version")}
        before = measure(environment, light, runs)
        environment.install(plugin("sleepy", "import time; time.sleep(1.5)\n"))
        after = measure(environment, light, runs)
        for command in light:
            print(
                f"ltzoo {command:<18}{after[command] / before[command]:8.2f} x with a plugin that sleeps 1.5 s"
            )
        slowed = max(after[command] / before[command] for command in light)
    return 0 if worst < BAR and slowed < 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
