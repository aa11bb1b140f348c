"""Loading a bridge from the Hub's cache, against loading it from a folder: ``python benchmarks/cached_load.py [--runs N]``.

Puts a bundled bridge on a Hub of this machine (that of the tests), downloads it, stops the Hub, and then loads it in
fresh processes, in turn from its folder and from the cache, by its commit. Prints the medians, and what the cache takes
more. Then asks for a bridge that is not cached. Exits with 1 if the cache takes more than 0.2 s longer, or the failure
more than 5 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from testhub import TestHub  # noqa: E402

BRIDGE = ROOT / "bridges" / "mnist-fashion"
LOAD = "import sys, time; t = time.perf_counter(); from ltzoo.bridge import Bridge; Bridge.from_pretrained(sys.argv[1]); "
CODE = LOAD + "print(time.perf_counter() - t)"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, TestHub() as hub:
        commit = hub.add("org/bridge", {path.name: path.read_bytes() for path in BRIDGE.iterdir()})
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": home,
            "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_XET": "1",
            "OMP_NUM_THREADS": "1",
        }

        def load(reference: str) -> float:
            words = [sys.executable, "-c", CODE, reference]
            return float(
                subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
            )

        cached = f"hf:org/bridge@{commit}"
        load(cached)
        hub.stop()
        seconds: dict[str, list[float]] = {"folder": [], "cache": []}
        for _ in range(options.runs):
            seconds["folder"].append(load(f"local:{BRIDGE}"))
            seconds["cache"].append(load(cached))
        started = time.perf_counter()
        words = [sys.executable, "-m", "ltzoo", "download", f"hf:org/other@{commit}"]
        failed = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
        failure = time.perf_counter() - started
    folder, cache = (statistics.median(seconds[name]) for name in ("folder", "cache"))
    more = cache - folder
    print(f"from a folder {folder:.2f} s, from the cache {cache:.2f} s: {more:+.2f} s")
    print(f"not cached and no Hub: exit {failed.returncode} after {failure:.2f} s: {failed.stderr.strip()}")
    return int(more > 0.2 or failure > 5 or failed.returncode != 4)


if __name__ == "__main__":
    raise SystemExit(main())
