"""One bridge over many models, against a bridge for each pair: ``python benchmarks/hub.py [--seeds N] MODEL MODEL...``.

Trains both on the shipped latents, and measures on held-out ones (the ``test`` part): how often the target's judge
reads the source's class in a decoded translation, every direction. Prints a table, and what training took against
the mean over the pairs of the same run. Figures are mean ± standard deviation over the seeds. Exits with 1 if the mean
accuracy over all directions is more than 0.01 (four models; 0.02 for five) below that of the pairs' bridges.
"""

from __future__ import annotations

import argparse
import statistics
from itertools import combinations, permutations

import torch

from ltzoo.bridge import Bridge, train_bridge
from ltzoo.bridge.labels import class_indices, match_labels
from ltzoo.evaluation.measuring import make_workbench, shipped_latents
from ltzoo.evaluation.protocol import Protocol
from ltzoo.evaluation.workbench import Workbench
from ltzoo.zoo import default_zoo

ITEMS = 1000


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    names, zoo = options.models, default_zoo()
    specs = {name: zoo.models[name] for name in names}
    latents = {name: shipped_latents(spec, zoo) for name, spec in specs.items()}
    labels, _ = match_labels("auto", list(latents.values()))
    protocol = Protocol(items=ITEMS, seeds=(0,), draws=10, frechet_draws=10)
    bench = make_workbench(list(specs.values()), latents, labels, zoo=zoo, protocol=protocol, device="cpu")

    def trained(group: tuple[str, ...], seed: int) -> tuple[Bridge, float]:
        bridge, report = train_bridge(
            [latents[name] for name in group], models=[specs[name] for name in group], seed=seed
        )
        return bridge, report.seconds

    found: dict[tuple[str, str, str], list[float]] = {}
    ratios = []
    for seed in range(options.seeds):
        pair_seconds = []
        for pair in combinations(names, 2):
            bridge, seconds = trained(pair, seed)
            pair_seconds.append(seconds)
            for route in permutations(pair):
                found.setdefault(("pair", *route), []).append(accuracy(bridge, *route, bench))
        whole, seconds = trained(tuple(names), seed)
        ratios.append(seconds / statistics.fmean(pair_seconds))
        for route in permutations(names, 2):
            found.setdefault(("whole", *route), []).append(accuracy(whole, *route, bench))
    print("| direction | bridge of the pair | one bridge for all |")
    print("| --- | --- | --- |")
    for source, target in permutations(names, 2):
        cells = " | ".join(cell(found[way, source, target]) for way in ("pair", "whole"))
        print(f"| {source} → {target} | {cells} |")
    means = {
        way: [statistics.fmean(at) for at in zip(*(v for k, v in found.items() if k[0] == way), strict=True)]
        for way in ("pair", "whole")
    }
    print(f"| **mean** | {cell(means['pair'])} | {cell(means['whole'])} |")
    print(f"\nTraining: {cell(ratios)} times what a pair takes.")
    below = statistics.fmean(means["pair"]) - statistics.fmean(means["whole"])
    return int(below > (0.01 if len(names) < 5 else 0.02))


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
