"""What pairs are worth: ``python benchmarks/paired.py mnist.npz [test|validation] [SEEDS] [PAIRS ...]``.

Trains bridges between two models of the same images on few and more pairs, without labels, and measures decoded
translations of images that nothing was trained on: ``test`` by default; choices are made on ``validation``. Prints a
table of mean squared errors of pixels in 0..1, times 1,000: against what the target model makes of its own latent of the same
image, and against the image itself. Figures are mean ± standard deviation over the seeds, which draw the pairs too,
both directions divided by a slash. ``mnist.npz`` has ``x_train`` and ``x_test``.
"""

from __future__ import annotations

import statistics
import sys

import numpy as np
import torch
from torch import Tensor

from ltzoo.bridge import Bridge, train_bridge, validation_part
from ltzoo.evaluation.measuring import shipped_latents
from ltzoo.latents import LatentSet
from ltzoo.model import LatentModel
from ltzoo.zoo import default_zoo

MODELS = ("mnist/vae", "mnist/vae-b")
FIRST_TEST_KEY = 100_000
WAYS = ("procrustes", "ridge", "default")


def main(images: str, part: str, seeds: int, counts: list[int]) -> None:
    zoo = default_zoo()
    specs = [zoo.models[name] for name in MODELS]
    latents = [shipped_latents(spec, zoo) for spec in specs]
    parts = [one.part("test") if part == "test" else validation_part(one) for one in latents]
    models = [zoo.load_model(spec, device="cpu") for spec in specs]
    own = [decoded(model, one.latents) for model, one in zip(models, parts, strict=True)]
    truth = true_images(images, parts[0])
    assert parts[0].keys is not None
    assert parts[1].keys is not None
    assert torch.equal(parts[0].keys, parts[1].keys)
    print(f"| pairs | recipe | seconds | to the target's image ({part}) | to the true image |")
    print("| --- | --- | --- | --- | --- |")
    ceiling = " / ".join(f"{error(images, truth):.3g}" for images in own[::-1])
    print(f"| | the target itself | | 0 / 0 | {ceiling} |")
    for count in counts:
        for recipe in WAYS:
            found: dict[tuple[int, str], list[float]] = {}
            seconds = []
            for seed in range(seeds):
                bridge, report = train_bridge(
                    latents, models=specs, recipe=recipe, labels="none", seed=seed, pairs=count
                )
                seconds.append(report.seconds)
                for source, target in ((0, 1), (1, 0)):
                    there = translated(bridge, parts[source], models[target])
                    found.setdefault((source, "own"), []).append(error(there, own[target]))
                    found.setdefault((source, "truth"), []).append(error(there, truth))
            cells = [" / ".join(cell(found[source, what]) for source in (0, 1)) for what in ("own", "truth")]
            print(
                f"| {count:,} | `{recipe}` | {statistics.fmean(seconds):.0f} | {cells[0]} | {cells[1]} |",
                flush=True,
            )


def translated(bridge: Bridge, latents: LatentSet, target: LatentModel) -> Tensor:
    """Images of the target made of latents of the source."""
    return decoded(target, bridge.translate(latents.latents, source=latents.model, target=target.spec.id))


def decoded(model: LatentModel, z: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model.decode(part) for part in z.split(500)])


def true_images(path: str, latents: LatentSet) -> Tensor:
    """The images that the latents were made from, by their keys, in 0..1."""
    with np.load(path) as arrays:
        train, test = arrays["x_train"], arrays["x_test"]
    assert latents.keys is not None
    rows = [
        test[key - FIRST_TEST_KEY] if key >= FIRST_TEST_KEY else train[key] for key in latents.keys.tolist()
    ]
    return torch.from_numpy(np.stack(rows))[:, None].float() / 255


def error(a: Tensor, b: Tensor) -> float:
    return 1000 * float((a - b).square().mean())


def cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3g}{spread}"


if __name__ == "__main__":
    main(
        sys.argv[1],
        sys.argv[2] if len(sys.argv) > 2 else "test",
        int(sys.argv[3]) if len(sys.argv) > 3 else 3,
        [int(text) for text in sys.argv[4:]] or [200, 2000],
    )
