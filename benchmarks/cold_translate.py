"""What a translation from the command line costs beyond importing torch: ``python benchmarks/cold_translate.py``.

Writes a spoken digit for a written one in a new process, and imports torch in another, in turn. Prints the medians,
their difference and the highest peak of memory. Exits with 1 if the translation takes more than a second longer, or
peaks at 700 MB or more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

DIGIT = Path(__file__).resolve().parents[1] / "docs" / "inputs" / "digit-7.png"
SECONDS = 1.0
MEGABYTES = 700


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seven.wav"
        models = ("--from", "mnist/vae", "--to", "spoken-digits/gan")
        commands = {
            "import torch": ("-c", "import torch"),
            "ltzoo translate": ("-m", "ltzoo", "translate", str(DIGIT), *models, "-o", str(out)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        peak = 0.0
        for round_ in range(runs + 1):
            for name, arguments in commands.items():
                out.unlink(missing_ok=True)
                taken, memory = run(arguments)
                if round_:  # the first round fills the caches
                    seconds[name].append(taken)
                    peak = max(peak, memory)
    for name, values in seconds.items():
        print(f"{name:<18}{median(values):6.2f} s")
    longer = median(seconds["ltzoo translate"]) - median(seconds["import torch"])
    print(f"longer by {longer:.2f} s (at most {SECONDS:.1f}), peak {peak:.0f} MB (below {MEGABYTES})")
    return int(longer > SECONDS or peak >= MEGABYTES)


def run(arguments: tuple[str, ...]) -> tuple[float, float]:
    """Seconds that a new Python takes for it, and the most memory that it holds, in MB."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, *arguments],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0)
            for stream in (sys.stdout.fileno(), sys.stderr.fileno())
        ],
    )
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)}: exit code {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
