"""One bridge over many models, against a bridge for each pair.

``python benchmarks/hub.py MODEL MODEL... [--seeds N] [--first N ...]`` trains both on the shipped latents, and measures
on held-out ones (the ``test`` part): how often the target's judge reads the source's class in a decoded translation,
every direction. ``--first 4 5`` trains one bridge over the first four of the models and one over the first five;
without it there is one over all. Prints a table, and what training took against the mean over the pairs of the same
run. Figures are mean ± standard deviation over the seeds. Exits with 1 if the mean accuracy of a bridge over its
directions is more than 0.01 (0.02 for five models) below that of the pairs' bridges, or four models take more than
twice a pair's time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from itertools import combinations, permutations

import torch

from ltzoo.bridge import Bridge, train_bridge
from ltzoo.bridge.labels import class_indices, match_labels
from ltzoo.evaluation.measuring import make_workbench, shipped_latents
from ltzoo.evaluation.protocol import Protocol
from ltzoo.evaluation.workbench import Workbench
from ltzoo.zoo import default_zoo

ITEMS = 1000
BELOW = {4: 0.01, 5: 0.02}
TIMES = {4: 2.0}
"""The bars, by number of models."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, nargs="+")
    options = parser.parse_args()
    names, zoo = options.models, default_zoo()
    sizes = options.first or [len(names)]
    specs = {name: zoo.models[name] for name in names}
    latents = {name: shipped_latents(spec, zoo) for name, spec in specs.items()}
    labels, _ = match_labels("auto", list(latents.values()))
    protocol = Protocol(items=ITEMS, seeds=(0,), draws=10, frechet_draws=10)
    bench = make_workbench(list(specs.values()), latents, labels, zoo=zoo, protocol=protocol, device="cpu")
    found: dict[tuple[int, str, str], list[float]] = {}
    ratios: dict[int, list[float]] = {size: [] for size in sizes}

    def measured(group: tuple[str, ...], seed: int) -> float:
        """Trains a bridge and measures its directions; gives the seconds that training took."""
        bridge, report = train_bridge(
            [latents[name] for name in group], models=[specs[name] for name in group], seed=seed
        )
        routes = list(permutations(group, 2))
        right = [accuracy(bridge, *route, bench) for route in routes]
        for route, share in zip(routes, right, strict=True):
            found.setdefault((len(group), *route), []).append(share)
        line = f"seed {seed}, {', '.join(group)}: {report.seconds:.0f} s, {', '.join(f'{one:.4f}' for one in right)}"
        print(line, file=sys.stderr, flush=True)
        return report.seconds

    for seed in range(options.seeds):
        seconds = {pair: measured(pair, seed) for pair in combinations(names, 2)}
        for size in sizes:
            pairs = statistics.fmean(seconds[pair] for pair in combinations(names[:size], 2))
            ratios[size].append(measured(tuple(names[:size]), seed) / pairs)

    print("| direction | bridge of the pair |" + "".join(f" one bridge for {size} |" for size in sizes))
    print("| --- " * (len(sizes) + 2) + "|")
    for route in permutations(names, 2):
        cells = (cell(found[size, *route]) if (size, *route) in found else "" for size in (2, *sizes))
        print(f"| {route[0]} → {route[1]} | {' | '.join(cells)} |")
    missed = False
    for size in sizes:
        routes = list(permutations(names[:size], 2))
        pairs, whole = (
            [statistics.fmean(at) for at in zip(*(found[way, *route] for route in routes), strict=True)]
            for way in (2, size)
        )
        below, ratio = statistics.fmean(pairs) - statistics.fmean(whole), statistics.fmean(ratios[size])
        print(
            f"\n{size} models, mean over {len(routes)} directions: {cell(pairs)} by pairs, {cell(whole)} by one "
            f"bridge; training took {cell(ratios[size])} times what a pair takes."
        )
        missed |= below > BELOW.get(size, 0.01) or ratio > TIMES.get(size, ratio)
    return int(missed)


def accuracy(bridge: Bridge, source: str, target: str, bench: Workbench) -> float:
    """How often the judge reads the source's class in a translation."""
    items = bench.direction(source, target).items
    classes = class_indices(bench.labels, items)
    assert classes is not None
    z = bridge.translate(items.latents, source=source, target=target)
    read: torch.Tensor = bench.side(target).read(z).classes
    return float((read == classes).double().mean())


def cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3g}{spread}"


if __name__ == "__main__":
    raise SystemExit(main())
