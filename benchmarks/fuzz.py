"""Coverage-guided fuzzing of everything that ltzoo reads from others: ``python benchmarks/fuzz.py [--seconds N]``.

Needs atheris (``pip install atheris``). Each kind of file of ``tests/fuzzing.py`` gets a process of its own and an equal
share of the time: config, weights, latents, golden outputs, registry, card. atheris changes the files so that they
reach code that none has reached before; half of its changes are those of the tests, which keep a document one. An
input that raises anything but an `LtzooError`, takes more than 2 s or more than 500 MB stops its kind, and is kept.
Prints a table. Exits with 1 if a kind was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("config", "weights", "latents", "golden", "registry", "card")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=600, help="of all kinds together")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "ltzoo-fuzz"))
    options, rest = parser.parse_known_args()
    if options.kind:
        fuzz(options.kind, options.folder, rest)
        return 0
    print("| kind | files tried | reached | peak memory | stopped by |")
    print("| --- | --- | --- | --- | --- |")
    stopped = False
    for kind in KINDS:
        folder = options.folder / kind
        (folder / "corpus").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--kind", kind, "--folder", folder]
        limits = [
            f"-max_total_time={options.seconds // len(KINDS)}",
            "-timeout=2",
            "-rss_limit_mb=500",
            "-max_len=300000",
            "-print_final_stats=1",
            f"-artifact_prefix={folder}/",
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [*command, *limits, folder / "corpus"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        (folder / "log.txt").write_text(done.stdout + done.stderr)
        cell = found(done.stderr)
        fault = "" if done.returncode == 0 else f"exit {done.returncode}: {folder}/log.txt"
        stopped |= bool(fault)
        print(f"| {kind} | {cell['tried']} | {cell['reached']} | {cell['memory']} MB | {fault} |", flush=True)
    return int(stopped)


def found(log: str) -> dict[str, str]:
    """What libFuzzer says at its end."""

    def last(pattern: str) -> str:
        matches = re.findall(pattern, log)
        return matches[-1] if matches else "?"

    return {
        "tried": f"{int(last(r'number_of_executed_units: *([0-9]+)').replace('?', '0')):,}",
        "reached": last(r"cov: ([0-9]+)"),
        "memory": last(r"peak_rss_mb: *([0-9]+)"),
    }


def fuzz(kind: str, folder: Path, arguments: list[str]) -> None:
    """Fuzzes one kind until its time is over."""
    import atheris

    with atheris.instrument_imports(include=["ltzoo"]):
        import fuzzing

        from ltzoo.errors import LtzooError

        target = fuzzing.targets(folder)[kind]
    (folder / "corpus" / "seed").write_bytes(target.seed)

    def read(content: bytes) -> None:
        with contextlib.suppress(LtzooError):
            target.read(content)

    def change(data: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(data, longest))
        return target.spoil(target.seed, rng)[:longest]

    atheris.Setup([sys.argv[0], *arguments], read, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
