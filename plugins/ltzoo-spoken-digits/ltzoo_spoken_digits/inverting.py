"""How well the GAN is inverted: ``python -m ltzoo_spoken_digits.inverting --data spoken_digits.npz``.

Prints a line of JSON for 100 of the GAN's own draws, and one for the test recordings.
"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo.latents import Inversion
from ltzoo.zoo import load_judge, load_model
from ltzoo_convnets.adapters import Reader
from ltzoo_spoken_digits.data import read_recordings

DRAWS = 100
AT_ONCE = 100


@torch.no_grad()
def measure_inversion(
    inversion: Inversion, judge: Reader, clips: Tensor, digits: Tensor, latents: Tensor | None = None
) -> dict[str, float]:
    """What the judge makes of inverted clips ``(n, 1, 8000)`` of those digits, and the errors that are left.

    Args:
        inversion: The search.
        judge: Hears the decodes of what it finds.
        clips: What is inverted.
        digits: What is said in them, int64 ``(n,)``.
        latents: Those that the clips were decoded from, where they are known, for the cosine to them.
    """
    found = [inversion.encode(x) for x in clips.split(AT_ONCE)]
    pairs = [inversion.errors(z, x).compared for z, x in zip(found, clips.split(AT_ONCE), strict=True)]
    read = torch.cat([judge.logits(inversion.decode(z)).argmax(1) for z in found])
    figures = {
        "items": len(clips),
        "judge_agrees": (read == digits).float().mean().item(),
        "error": torch.cat([own for own, _ in pairs]).mean().item(),
        "error_of_nearest_draw": torch.cat([drawn for _, drawn in pairs]).mean().item(),
    }
    if latents is not None:
        figures["cosine"] = F.cosine_similarity(latents, torch.cat(found)).mean().item()
    return figures


@torch.no_grad()
def measure_draws(inversion: Inversion, judge: Reader, n: int = DRAWS, seed: int = 1) -> dict[str, float]:
    """The same of the GAN's own draws, with the digit that the judge hears in each."""
    z = inversion.sample(n, seed)
    clips = inversion.decode(z)
    return measure_inversion(inversion, judge, clips, judge.logits(clips).argmax(1), z)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
def main(data: Path) -> None:
    """Measures the inversion of the GAN."""
    inversion, judge = Inversion(load_model("spoken-digits/gan")), load_judge("spoken-digits/recordings")
    assert isinstance(judge, Reader)
    test = read_recordings(data)[1]
    for name, figures in (
        ("draws", measure_draws(inversion, judge)),
        ("recordings", measure_inversion(inversion, judge, test.clips, test.digits)),
    ):
        click.echo(msgspec.json.encode({name: figures}))


if __name__ == "__main__":
    main()
