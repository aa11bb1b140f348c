"""How the generator is trained: against a discriminator that sees augmented spectrograms."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltzoo.files import replacing
from ltzoo_spoken_digits.gan import Discriminator, Generator, GeneratorShape

__all__ = ["GANRecipe", "augment", "settle", "train_gan"]

CHECKPOINT_SECONDS = 60.0
LOG_STEPS = 100
NORM_DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class GANRecipe:
    """How the generator is trained.

    Attributes:
        shape: The generator.
        steps: Steps of both networks.
        seed: Of initialisation, order, draws and augmentation.
        batch: Recordings, and draws, of a step.
        rate: Learning rates of generator and discriminator, falling to a twentieth over the last part.
        falling: Share of the steps over which they fall.
        penalty: Weight of the gradient penalty on recordings (R1).
        every: Steps between penalties.
        average: Decay of the running average of the generator's weights.
        reading: Weights of the cross entropy with which the discriminator learns to read digit and speaker
            from recordings.
        clarity: Weights of how surely, and how evenly over a batch, it reads them from draws: what the
            generator is rewarded for beside deceiving it.
        warmup: Steps over which clarity comes in.
    """

    shape: GeneratorShape
    steps: int
    seed: int
    batch: int = 32
    rate: tuple[float, float] = (4e-4, 6e-4)
    falling: float = 0.3
    penalty: float = 0.03
    every: int = 16
    average: float = 0.999
    reading: tuple[float, float] = (0.5, 0.25)
    clarity: tuple[float, float] = (0.2, 0.1)
    warmup: int = 2000


def train_gan(
    recipe: GANRecipe, spectrograms: Tensor, digits: Tensor, speakers: Tensor, work: Path
) -> Generator:
    """Trains a generator, going on from ``work`` if training was interrupted there.

    The digits and speakers of the recordings are seen by the discriminator alone: what a latent means is
    left to the generator.

    Args:
        recipe: Network and schedule.
        spectrograms: float32 ``(n, 1, 64, 64)`` in -1..1.
        digits: int64 ``(n,)``.
        speakers: int64 ``(n,)``.
        work: Folder of the checkpoint (``gan.pt``) and of the log (``gan.jsonl``).

    Returns:
        The generator with averaged weights, in evaluation mode.
    """
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    run = _Run(recipe, int(digits.max()) + 1, int(speakers.max()) + 1)
    if (work / "gan.pt").is_file():
        run.restore(torch.load(work / "gan.pt", weights_only=True))
    sums: dict[str, float] = {}
    started = saved = time.monotonic()
    first = run.step
    while run.step < recipe.steps:
        rows = torch.randint(len(digits), (recipe.batch,))
        for name, value in run.advance(spectrograms[rows], digits[rows], speakers[rows]).items():
            sums[name] = sums.get(name, 0.0) + value
        if run.step % LOG_STEPS == 0:
            now = time.monotonic()
            means = {name: round(value / LOG_STEPS, 4) for name, value in sums.items()}
            pace = round((now - started) / (run.step - first), 4)
            with (work / "gan.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": run.step, "pace": pace, **means}) + "\n")
            sums = {}
        if time.monotonic() - saved > CHECKPOINT_SECONDS or run.step == recipe.steps:
            with replacing(work / "gan.pt") as temporary:
                torch.save(run.state(), temporary)
            saved = time.monotonic()
    return settle(run.average)


class _Run:
    """Both networks, their optimisers and the running average, at one step."""

    def __init__(self, recipe: GANRecipe, digits: int, speakers: int) -> None:
        self.recipe = recipe
        self.step = 0
        self.generator = Generator(recipe.shape)
        self.discriminator = Discriminator(digits, speakers)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        rate_g, rate_d = recipe.rate
        self.optimizers = (
            torch.optim.Adam(self.generator.parameters(), lr=rate_g, betas=(0.0, 0.99), fused=True),
            torch.optim.Adam(self.discriminator.parameters(), lr=rate_d, betas=(0.0, 0.99), fused=True),
        )

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "networks": [n.state_dict() for n in (self.generator, self.discriminator, self.average)],
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "random": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        networks = (self.generator, self.discriminator, self.average)
        for network, values in zip(networks, state["networks"], strict=True):
            network.load_state_dict(values)
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        torch.set_rng_state(state["random"])

    def advance(self, real: Tensor, digits: Tensor, speakers: Tensor) -> dict[str, float]:
        """One step of the discriminator and one of the generator; gives what is logged."""
        recipe = self.recipe
        left = (recipe.steps - self.step) / (recipe.falling * recipe.steps)
        for optimizer, rate in zip(self.optimizers, recipe.rate, strict=True):
            optimizer.param_groups[0]["lr"] = rate * max(0.05, min(1.0, left))
        for_generator, for_discriminator = self.optimizers
        real = augment(real)
        if self.step % recipe.every == 0:
            self._penalize(real)

        with torch.autocast("cpu", torch.bfloat16):
            fake = self.generator(torch.randn(recipe.batch, recipe.shape.latent)).float()
            outputs = self.discriminator(torch.cat((real, augment(fake.detach()))))
        (logit_real, logit_fake), (digit, _), (speaker, _) = (x.float().chunk(2) for x in outputs)
        reading = recipe.reading[0] * F.cross_entropy(digit, digits, label_smoothing=0.1)
        reading = reading + recipe.reading[1] * F.cross_entropy(speaker, speakers, label_smoothing=0.1)
        loss_d = F.softplus(-logit_real).mean() + F.softplus(logit_fake).mean()
        for_discriminator.zero_grad(set_to_none=True)
        (loss_d + reading).backward()
        for_discriminator.step()

        # Its own gradients are of no use here, and cost a tenth of the step.
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            logit, *readings = (x.float() for x in self.discriminator(augment(fake)))
        loss_g = F.softplus(-logit).mean()
        known = [_information(x) for x in readings]
        share = min(1.0, self.step / recipe.warmup)
        clarity = sum(weight * value for weight, value in zip(recipe.clarity, known, strict=True))
        for_generator.zero_grad(set_to_none=True)
        (loss_g - share * clarity).backward()
        for_generator.step()
        self.discriminator.requires_grad_(True)

        self.step += 1
        decay = min(recipe.average, self.step / (self.step + 10))
        for old, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            old.lerp_(new.detach(), 1 - decay)
        return {
            "d": loss_d.item(),
            "g": loss_g.item(),
            "real": logit_real.mean().item(),
            "fake": logit_fake.mean().item(),
            "right": (digit.argmax(1) == digits).float().mean().item(),
            "digit_nats": known[0].item(),
            "speaker_nats": known[1].item(),
        }

    def _penalize(self, real: Tensor) -> None:
        """A step of the discriminator on the squared gradient of its logit, in full precision."""
        real = real.requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(real)[0].sum(), real, create_graph=True)
        penalty = gradient.square().sum((1, 2, 3)).mean()
        self.optimizers[1].zero_grad(set_to_none=True)
        (self.recipe.penalty / 2 * self.recipe.every * penalty).backward()
        self.optimizers[1].step()
        real.requires_grad_(False)


def _information(logits: Tensor) -> Tensor:
    """Nats that a reading tells of a draw: entropy of the mean reading less mean entropy."""
    each = logits.log_softmax(1)
    mean = each.exp().mean(0)
    return -(mean * mean.clamp(min=1e-8).log()).sum() + (each.exp() * each).sum(1).mean()


@torch.no_grad()
def settle(average: Generator) -> Generator:
    """Gives averaged weights the normalisation statistics that belong to them, and freezes them."""
    network = copy.deepcopy(average).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    generator = torch.Generator().manual_seed(0)
    for z in torch.randn(NORM_DRAWS, network.shape.latent, generator=generator).split(200):
        network(z)
    return network.eval()


def augment(x: Tensor) -> Tensor:
    """Spectrograms ``(n, 1, mels, frames)``, each moved, made louder or softer and masked at random.

    Differentiable. What comes in from outside is silence.
    """
    n, _, mels, frames = x.shape
    level = torch.empty(n, 1, 1, 1).uniform_(0.925, 1.075)
    padded = F.pad((x + 1) * level, (4, 4, 1, 1))
    rows, columns = torch.randint(3, (n,)).tolist(), torch.randint(9, (n,)).tolist()
    moved = torch.stack(
        [
            item[:, row : row + mels, column : column + frames]
            for item, row, column in zip(padded.unbind(), rows, columns, strict=True)
        ]
    )
    keep = _mask(n, mels, 10)[:, None, :, None] & _mask(n, frames, 6)[:, None, None, :]
    return moved * keep - 1


def _mask(n: int, size: int, longest: int) -> Tensor:
    """False in a stretch of at most ``longest`` of ``size`` in three rows of ten: ``(n, size)``."""
    length = torch.randint(longest + 1, (n, 1)) * (torch.rand(n, 1) < 0.3)
    start = torch.randint(size, (n, 1))
    place = torch.arange(size)
    return (place < start) | (place >= start + length)
