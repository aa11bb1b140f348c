"""How well novelty tells foreign inputs from a model's own: ``python benchmarks/novelty.py [BRIDGE]``.

A model's own are held-out latents of its data. Foreign are pictures of the other model of the bridge, and
noise, both encoded by the first. Prints the area under the ROC curve (1 = told apart without fail, 0.5 = not
at all) and how many of each `ltzoo translate` would warn of.
"""

from __future__ import annotations

import sys

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ltzoo.bridge import Bridge, load_bridge
from ltzoo.bridge.novelty import UNUSUAL
from ltzoo.evaluation.measuring import shipped_latents
from ltzoo.zoo import default_zoo

COUNT = 1000


def main(reference: str) -> None:
    bridge, zoo = load_bridge(reference), default_zoo()
    latents = {name: shipped_latents(zoo.models[name], zoo).part("test").latents for name in bridge.models}
    models = {name: zoo.load_model(name) for name in bridge.models}
    for source in bridge.models:
        own = latents[source]
        with torch.inference_mode():
            pictures = {
                f"pictures of {other}": models[other].decode(latents[other][:COUNT])
                for other in bridge.models
                if other != source
            }
            shape = next(iter(pictures.values())).shape
            pictures["noise"] = torch.rand(shape, generator=torch.Generator().manual_seed(0))
            usual = bridge.network.novelty[bridge.index(source)].score(_normal(bridge, own, source))
            print(f"{source}: warns of {_warned(bridge, own, source):.1%} of its own held-out latents")
            for what, data in pictures.items():
                foreign = models[source].encode(data)
                scores = bridge.network.novelty[bridge.index(source)].score(_normal(bridge, foreign, source))
                truth = [0] * len(usual) + [1] * len(scores)
                area = roc_auc_score(truth, torch.cat([usual, scores]))
                print(f"  {what}: AUROC {area:.3f}, warns of {_warned(bridge, foreign, source):.1%}")


def _normal(bridge: Bridge, z: Tensor, source: str) -> Tensor:
    return bridge.network.normalize(z, bridge.index(source))


def _warned(bridge: Bridge, z: Tensor, source: str) -> float:
    return (bridge.novelty(z, source=source) > UNUSUAL).double().mean().item()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "mnist-fashion")
