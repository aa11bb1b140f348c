"""How long the light commands take, as a multiple of importing click and pluggy.

python benchmarks/startup.py [--runs 15]

Measures the environment that it is run with, in a layer on top of it that brings the number of plugins
to five; for what users have, run it with the one that `make demo` makes. Every round times each command once, in turn, so
that a machine whose speed drifts drifts for all of them; the figures are medians. The bar is 3.0.
Then a plugin whose module sleeps 1.5 s is added: the commands that need no plugin must not notice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from wheels import Environment, good_plugin, plugin

BAR = 3.0
PLUGINS = 5
BASE = ("-c", "import click, pluggy")
COMMANDS = ("--help", "--version", "plugins", "models", "bridges")
SCRIPT = "from ltzoo.cli import main; main()"  # what the console script runs
TORCH = "import sys; from ltzoo.cli.main import run; run([{command!r}]); sys.exit('torch' in sys.modules)"


def measure(environment: Environment, commands: dict[str, tuple[str, ...]], runs: int) -> dict[str, float]:
    """Median seconds of each command."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(runs + 1):
        for name, arguments in commands.items():
            start = time.perf_counter()
            subprocess.run([environment.python, *arguments], check=True, capture_output=True)
            if round_:  # the first round fills the caches
                times[name].append(time.perf_counter() - start)
    return {name: median(seconds) for name, seconds in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder) / "venv")
        count = "import importlib.metadata as m; print(len(m.entry_points(group='ltzoo')))"
        installed = int(environment.run("-c", count).stdout)
        environment.install(*(good_plugin(f"plugin{i}") for i in range(PLUGINS - installed)))
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
