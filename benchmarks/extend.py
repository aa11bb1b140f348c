"""A model that is added to a bridge, against one that was there from the start: ``python benchmarks/extend.py [SEEDS]``.

Trains a bridge between mnist/vae and fashion-mnist/vae and adds mnist/vae-b to it; and trains one bridge between all
three. Measures the directions from and to mnist/vae-b on latents held out of training (a tenth of the train part: the
test part is not touched). Prints a table; every figure is mean ± standard deviation over the seeds. Exits with 1
if the directions that were there before are no longer the same to the last bit, or the transfer accuracy of a new
one is more than 0.02 below that of the bridge between all three.
"""

from __future__ import annotations

import statistics
import sys

import torch
from ablation import cell, held_out

from ltzoo.bridge import Bridge, extend_bridge, train_bridge
from ltzoo.bridge.labels import match_labels
from ltzoo.evaluation.measuring import evaluate, make_workbench, shipped_latents
from ltzoo.evaluation.protocol import Protocol
from ltzoo.evaluation.workbench import Workbench
from ltzoo.zoo import default_zoo

OLD = ("mnist/vae", "fashion-mnist/vae")
NEW = "mnist/vae-b"
WAYS = ("from the start", "added")
BELOW = 0.02
FIGURES = (
    "transfer_accuracy",
    "clean_class_fid",
    "neighbourhood_overlap",
    "cycle_r2",
    "noisy_cycle_r2",
)


def main(seeds: list[int]) -> int:
    zoo = default_zoo()
    specs = [zoo.models[name] for name in (*OLD, NEW)]
    latents = {spec.id: held_out(shipped_latents(spec, zoo)) for spec in specs}
    sets = list(latents.values())
    labels, _ = match_labels("auto", sets)
    protocol = Protocol(items=1000, seeds=(0,), draws=10, frechet_draws=10)
    bench = make_workbench(specs, latents, labels, zoo=zoo, protocol=protocol, device="cpu")
    routes = [route for old in OLD for route in ((old, NEW), (NEW, old))]
    values: dict[tuple[str, tuple[str, str], str], list[float]] = {}
    seconds: dict[str, list[float]] = {}
    same = True
    for seed in seeds:
        whole, report = train_bridge(sets, models=specs, seed=seed)
        seconds.setdefault(WAYS[0], []).append(report.seconds)
        pair, _ = train_bridge(sets[:2], models=specs[:2], seed=seed)
        extended, report = extend_bridge(pair, sets, model=specs[2], seed=seed)
        seconds.setdefault(WAYS[1], []).append(report.seconds)
        same = same and all(
            torch.equal(translated(pair, *route, bench), translated(extended, *route, bench))
            for route in (OLD, OLD[::-1])
        )
        for way, bridge in zip(WAYS, (whole, extended), strict=True):
            for route in routes:
                result = evaluate(bridge, *route, bench, seeds=(seed,))
                for figure in FIGURES:
                    value = result.value(figure)
                    assert value is not None
                    values.setdefault((way, route, figure), []).append(value)
        lost = [values[WAYS[0], r, FIGURES[0]][-1] - values[WAYS[1], r, FIGURES[0]][-1] for r in routes]
        print(f"seed {seed}: transfer accuracy lost: {', '.join(f'{x:.4f}' for x in lost)}", file=sys.stderr)
    for way, taken in seconds.items():
        print(f"{way}: {cell(taken)} s")
    print("| direction | way | " + " | ".join(name.replace("_", " ") for name in FIGURES) + " |")
    print("| --- " * (len(FIGURES) + 2) + "|")
    worst = 0.0
    for route in routes:
        for way in WAYS:
            cells = " | ".join(cell(values[way, route, figure]) for figure in FIGURES)
            print(f"| {route[0]} → {route[1]} | {way} | {cells} |")
        means = [statistics.fmean(values[way, route, "transfer_accuracy"]) for way in WAYS]
        worst = max(worst, means[0] - means[1])
    print(f"directions between the others are the same to the last bit: {'yes' if same else 'no'}")
    print(f"transfer accuracy is at most {worst:.4f} lower than from the start")
    return int(not same or worst > BELOW)


def translated(bridge: Bridge, source: str, target: str, bench: Workbench) -> torch.Tensor:
    z = bench.side(source).held_out.latents
    return bridge.translate(z, source=source, target=target)


if __name__ == "__main__":
    sys.exit(main(list(range(int(sys.argv[1]) if len(sys.argv) > 1 else 3))))
