"""What training costs: processor seconds of a step of the bridge, and of the base models, in turn.

A step's time does not depend on what the images show, so none are needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from benchmarks.claims.results import BaseCost, Cost, rounded_all
from benchmarks.claims.variants import MODELS, laptop_recipe
from ltzoo.bridge import train_bridge
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec
from ltzoo_convnets.starter import VALIDATION
from ltzoo_convnets.training import BATCH, VAERecipe, train_vae
from ltzoo_fashion_mnist.train import ZOO as FASHION_MNIST
from ltzoo_mnist.train import ZOO as MNIST

TRAIN_IMAGES = 60_000 - VALIDATION
BASES = dict(zip(MODELS, (MNIST.vaes["vae"], FASHION_MNIST.vaes["vae"]), strict=True))
ROUNDS = 3


def measure(
    sets: Sequence[LatentSet], specs: Sequence[ModelSpec], *, rounds: int = ROUNDS, steps: int = 100
) -> Cost:
    """Measures all three in turn, several times.

    Args:
        sets: Latents of the two models.
        specs: The models.
        rounds: How many times.
        steps: Steps of the bridge in each; the base models do a fifth of that.
    """

    def bridge(count: int) -> None:
        train_bridge(sets, models=specs, recipe=laptop_recipe(steps=count))

    def base(recipe: VAERecipe) -> Callable[[int], None]:
        images = torch.randint(0, 256, (few * BATCH, 1, 28, 28), dtype=torch.uint8)

        def run(count: int) -> None:
            # More passes over the same images: what is done once at the end stays the same.
            train_vae(replace(recipe, epochs=count // few), images)

        return run

    few = max(1, steps // 10)
    times: dict[str, list[float]] = {"bridge": [], **{model: [] for model in BASES}}
    for _ in range(rounds):
        times["bridge"].append(_step_seconds(bridge, few, few + steps))
        for model, recipe in BASES.items():
            times[model].append(_step_seconds(base(recipe), few, 3 * few))
    return Cost(
        bridge_step_seconds=rounded_all(times["bridge"]),
        bridge_steps=laptop_recipe().steps,
        bases=tuple(
            BaseCost(
                model=model,
                step_seconds=rounded_all(times[model]),
                steps=recipe.epochs * (TRAIN_IMAGES // BATCH),
            )
            for model, recipe in BASES.items()
        ),
        command="python -m benchmarks.claims --only cost",
        torch=str(torch.__version__),
    )


def _step_seconds(run: Callable[[int], None], few: int, many: int) -> float:
    """Processor seconds of one step: what more steps take more, so that set-up does not count."""
    seconds = []
    for count in (few, many):
        start = time.process_time()
        run(count)
        seconds.append(time.process_time() - start)
    return (seconds[1] - seconds[0]) / (many - few)
