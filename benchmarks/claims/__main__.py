"""Runs what has not been run yet, one file a run; then ``make docs`` writes the page."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.claims.results import COST, RESULTS, write
from benchmarks.claims.variants import SEEDS, VARIANTS, Variant, available


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__)
    names = [*(variant.name for variant in VARIANTS), "cost"]
    parser.add_argument("--only", action="append", choices=names, help="a run; can be given several times")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="separated by commas")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument(
        "--quick", action="store_true", help="a few steps and items, to try the code; needs --results"
    )
    options = parser.parse_args()
    if options.quick and options.results == RESULTS:
        parser.error("--quick would fill docs/results with figures of nothing: give --results")
    wanted = options.only or names
    seeds = [int(seed) for seed in options.seeds.split(",")]
    options.results.mkdir(parents=True, exist_ok=True)
    chosen = [variant for variant in VARIANTS if variant.name in wanted]
    for variant in chosen:
        if not available(variant):
            print(f"{variant.name}: this version of ltzoo has no such recipe; left out")
    _run([variant for variant in chosen if available(variant)], seeds, options.results, quick=options.quick)
    if "cost" in wanted:
        _cost(options.results / COST, quick=options.quick)
    return 0


def _run(variants: list[Variant], seeds: list[int], folder: Path, *, quick: bool) -> None:
    import torch

    from benchmarks.claims.runs import PROTOCOL, Runner
    from ltzoo.evaluation import Protocol

    torch.set_num_threads(1)
    protocol = Protocol(items=200, paths=10, draws=10, frechet_draws=10) if quick else PROTOCOL
    runner = Runner(folder, protocol=protocol)
    if quick:
        variants = [replace(one, changes={**one.changes, "steps": 30}) for one in variants]
    planned = [(variant, seed) for seed in seeds for variant in variants]
    for number, (variant, seed) in enumerate(planned, start=1):
        where = f"[{number}/{len(planned)}] {variant.name}, seed {seed}"
        if runner.is_done(variant, seed):
            print(f"{where}: done before", flush=True)
            continue
        start = time.monotonic()
        result = runner.run(variant, seed)
        shown = "; ".join(
            " ".join(f"{name}={value:.3g}" for name, value in list(figures.items())[:3])
            for figures in result.figures.values()
        )
        print(
            f"{where}: {time.monotonic() - start:.0f} s, of them training {result.train_seconds:.0f}: {shown}",
            flush=True,
        )


def _cost(path: Path, *, quick: bool) -> None:
    if path.exists():
        print("cost: done before")
        return
    import torch

    from benchmarks.claims import cost
    from benchmarks.claims.runs import Runner

    torch.set_num_threads(1)
    runner = Runner(path.parent)
    found = cost.measure(
        runner.sets, runner.specs, rounds=2 if quick else cost.ROUNDS, steps=20 if quick else 200
    )
    write(path, found)
    print(f"cost: base models {found.base_seconds} s, bridge {found.bridge_seconds} s: {found.ratio} times")


if __name__ == "__main__":
    sys.exit(main())
