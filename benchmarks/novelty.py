"""How well novelty tells foreign inputs from a model's own: ``python benchmarks/novelty.py [BRIDGE] [MODEL=FILE.npz ...]``.

A model's own are held-out latents of its data. Foreign are pictures of the other model of the bridge, and
noise, both encoded by the first. The pictures are what models make of held-out latents; where a data set is
given for a model, its test part is taken instead. Prints the area under the ROC curve (1 = told apart without
fail, 0.5 = not at all) and how many of each `ltzoo translate` would warn of.
"""

from __future__ import annotations

import sys

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ltzoo.bridge import Bridge, load_bridge
from ltzoo.bridge.novelty import UNUSUAL
from ltzoo.evaluation.measuring import shipped_latents
from ltzoo.latents import SPLITS
from ltzoo.media import open_items
from ltzoo.model import LatentModel
from ltzoo.zoo import default_zoo

COUNT = 1000
BATCH = 1000


def main(reference: str, files: dict[str, str]) -> None:
    bridge, zoo = load_bridge(reference), default_zoo()
    models = {name: zoo.load_model(name) for name in bridge.models}
    with torch.inference_mode():
        pictures, own = {}, {}
        for name, model in models.items():
            if name in files:
                pictures[name] = _test_items(model, files[name])
                own[name] = _encoded(model, pictures[name])
            else:
                own[name] = shipped_latents(zoo.models[name], zoo).part("test").latents
                pictures[name] = model.decode(own[name][:COUNT])
        for source in bridge.models:
            foreign = {f"pictures of {other}": pictures[other] for other in bridge.models if other != source}
            noise = torch.rand(COUNT, *pictures[source].shape[1:], generator=torch.Generator().manual_seed(0))
            usual = _scores(bridge, own[source], source)
            print(
                f"{source}: warns of {_warned(bridge, own[source], source):.1%} of its own held-out latents"
            )
            for what, data in (foreign | {"noise": noise}).items():
                z = _encoded(models[source], data)
                truth = [0] * len(usual) + [1] * len(z)
                area = roc_auc_score(truth, torch.cat([usual, _scores(bridge, z, source)]))
                print(f"  {what}: AUROC {area:.3f}, warns of {_warned(bridge, z, source):.1%}")


def _test_items(model: LatentModel, file: str) -> Tensor:
    """Data of the test part."""
    found = []
    for batch in open_items([file], model.spec.data).batches(0, BATCH):
        assert isinstance(batch.data, Tensor)
        assert batch.split is not None
        found.append(batch.data[batch.split == SPLITS.index("test")])
    return torch.cat(found)


def _encoded(model: LatentModel, data: Tensor) -> Tensor:
    return torch.cat([model.encode(part) for part in data.split(BATCH)])


def _scores(bridge: Bridge, z: Tensor, source: str) -> Tensor:
    end = bridge.index(source)
    return bridge.network.novelty[end].score(bridge.network.normalize(z, end))


def _warned(bridge: Bridge, z: Tensor, source: str) -> float:
    return (bridge.novelty(z, source=source) > UNUSUAL).double().mean().item()


if __name__ == "__main__":
    named = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    main(next((one for one in sys.argv[1:] if "=" not in one), "mnist-fashion"), named)
