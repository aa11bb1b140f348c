"""What each part of the `default` recipe is worth: ``python benchmarks/ablation.py [SEEDS]``.

Trains `default` with one part changed at a time on the shipped latents of two models, and measures on latents
held out of training (a tenth of the train part: choices are made here, so the test part is not touched).
Prints a table; every figure is mean ± standard deviation over the seeds, both directions divided by a slash.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import replace

import torch

from ltzoo.bridge import get_recipe, train_bridge, training_part, validation_part
from ltzoo.bridge.labels import match_labels
from ltzoo.evaluation.measuring import evaluate, make_workbench, shipped_latents
from ltzoo.evaluation.protocol import Protocol
from ltzoo.latents import SPLITS, LatentSet
from ltzoo.zoo import default_zoo

MODELS = ("mnist/vae", "fashion-mnist/vae")
FIGURES = (
    "transfer_accuracy_share",
    "clean_class_fid",
    "neighbourhood_overlap",
    "cycle_r2",
    "noisy_cycle_r2",
)
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "`default`": ("default", {}),
    "base alone (`class-axes`)": ("class-axes", {}),
    "base `class-gaussian`": ("default", {"base": "class-gaussian"}),
    "base's maps fixed": ("default", {"base_rate": 0.0}),
    "`noise_gain` 0": ("default", {"noise_gain": 0.0}),
    "one network infers the class": ("default", {"inference_members": 1}),
    "softer classes (`temperature` 1)": ("default", {"temperature": 1.0}),
    "without `translation`": ("default", {"translation_weight": 0.0}),
    "without `nearness`": ("default", {"nearness_weight": 0.0}),
    "without `noisy_cycle`": ("default", {"noisy_cycle_weight": 0.0}),
    "without both cycles": ("default", {"cycle_weight": 0.0, "noisy_cycle_weight": 0.0}),
    "without `recognition`": ("default", {"recognition_weight": 0.0}),
    "without `kl` and `swd`": ("default", {"kl_weight": 0.0, "swd_weight": 0.0}),
    "inputs drawn from posteriors": ("default", {"posterior_noise": True}),
}


def main(seeds: list[int]) -> None:
    zoo = default_zoo()
    specs = [zoo.models[name] for name in MODELS]
    latents = {spec.id: held_out(shipped_latents(spec, zoo)) for spec in specs}
    labels, _ = match_labels("auto", list(latents.values()))
    protocol = Protocol(items=1000, seeds=(0,), draws=10, frechet_draws=10)
    bench = make_workbench(specs, latents, labels, zoo=zoo, protocol=protocol, device="cpu")
    print("| variant | seconds | " + " | ".join(name.replace("_", " ") for name in FIGURES) + " |")
    print("| --- " * (len(FIGURES) + 2) + "|")
    for title, (name, changes) in VARIANTS.items():
        seconds: list[float] = []
        values: dict[tuple[str, str], list[float]] = {}
        for seed in seeds:
            bridge, report = train_bridge(
                list(latents.values()), models=specs, recipe=get_recipe(name, **changes), seed=seed
            )
            seconds.append(report.seconds)
            for source, target in (MODELS, MODELS[::-1]):
                result = evaluate(bridge, source, target, bench, seeds=(seed,))
                for figure in FIGURES:
                    value = result.value(figure)
                    assert value is not None
                    values.setdefault((figure, source), []).append(value)
        cells = [" / ".join(cell(values[figure, source]) for source in MODELS) for figure in FIGURES]
        print(f"| {title} | {statistics.fmean(seconds):.0f} | " + " | ".join(cells) + " |", flush=True)


def held_out(latents: LatentSet) -> LatentSet:
    """What a bridge is trained on as ``train``, and what it holds out as ``test``."""
    parts = training_part(latents), validation_part(latents)
    marks = [
        torch.full((len(part),), SPLITS.index(name), dtype=torch.uint8)
        for part, name in zip(parts, ("train", "test"), strict=True)
    ]
    joined = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name in ("latents", "std", "labels", "keys")
    }
    return replace(latents, **joined, split=torch.cat(marks))


def cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3g}{spread}"


if __name__ == "__main__":
    main(list(range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
