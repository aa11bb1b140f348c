"""Who speaks the digits that a bridge translates to: ``python benchmarks/speakers.py [BRIDGE] [SOURCE]``.

Translates held-out latents of SOURCE (mnist/vae) to spoken-digits/gan, and has the plugin's speaker network, which
nothing was trained or chosen with, tell the speakers. Prints how many outputs of each class each speaker has, beside
the same for held-out draws of the GAN itself. Exits with 1 if a class lacks a speaker whom the GAN's own draws of
that class have.
"""

from __future__ import annotations

import sys
from importlib import resources

import torch
from torch import Tensor

import ltzoo
from ltzoo.bridge.labels import class_indices
from ltzoo.evaluation.measuring import shipped_latents
from ltzoo.zoo import default_zoo
from ltzoo_convnets.files import load_network
from ltzoo_spoken_digits.readers import Picture, PictureShape

GAN = "spoken-digits/gan"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


def main(reference: str, source: str) -> int:
    zoo = default_zoo()
    bridge = ltzoo.load_bridge(reference)
    gan = zoo.load_model(zoo.models[GAN], device="cpu")
    file = resources.files("ltzoo_spoken_digits") / "speaker.safetensors"
    with resources.as_file(file) as path:
        network = load_network(path, Picture, PictureShape)

    def counted(z: Tensor, classes: Tensor) -> Tensor:
        """How often each speaker is told in each class, ``(classes, speakers)``."""
        with torch.no_grad():
            told = torch.cat([network(gan.decode(part)).argmax(1) for part in z.split(100)])
        return torch.stack([told[classes == label].bincount(minlength=6) for label in range(10)])

    found = {}
    for name in (source, GAN):
        part = shipped_latents(zoo.models[name], zoo).part("test")
        classes = class_indices(bridge.config.labels, part)
        assert classes is not None
        z = part.latents if name == GAN else bridge.translate(part.latents, source=source, target=GAN)
        found[name] = counted(z, classes)
    print("| class | " + " | ".join(SPEAKERS) + " |")
    print("| --- " * 7 + "|")
    for label, name in enumerate(bridge.config.labels.classes):
        cells = (f"{found[source][label, s]} / {found[GAN][label, s]}" for s in range(6))
        print(f"| {name} | " + " | ".join(cells) + " |")
    lacking = (found[source] == 0) & (found[GAN] > 0)
    print(
        f"\nof {int((found[GAN] > 0).sum())} that the GAN's own draws have, {int(lacking.sum())} are lacking"
    )
    return int(bool(lacking.any()))


if __name__ == "__main__":
    raise SystemExit(main(*(sys.argv[1:] + ["mnist-spoken-gan", "mnist/vae"][len(sys.argv) - 1 :])))
