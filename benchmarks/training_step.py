"""How much of a training step, and of translating, is the matrix products in it: ``python benchmarks/training_step.py``.

Records the matrix products of one step of the `default` recipe (64-d latents, ten classes, random data), then
times whole steps and those products alone, in turn. The same for translating 100,000 latents. A share of 1
would mean that nothing but matrix products takes time. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ltzoo.bridge import Bridge, get_recipe, train_bridge, trainer
from ltzoo.latents import LatentSet
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec

SIZE, CLASSES, ITEMS = 64, 10, 5000
ROUNDS = 30
TRANSLATED = 100_000
STEP_BAR, TRANSLATION_BAR = 0.70, 0.60
PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default}


class Recorder(TorchDispatchMode):
    """Keeps the matrix products that run while it is active, with inputs laid out as theirs were."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[[], Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in PRODUCTS:
            a, b = (x.detach() for x in args[-2:])
            product = torch.bmm if a.ndim == 3 else torch.mm
            self.calls.append(lambda: product(a, b))
        return func(*args, **(kwargs or {}))


def main() -> int:
    specs = [spec(name) for name in "ab"]
    bridge, _ = train_bridge(
        [latents(one, seed) for seed, one in enumerate(specs)], models=specs, recipe=get_recipe(steps=1)
    )
    failed = False
    for what, run, bar in (
        ("training step", step(specs), STEP_BAR),
        (f"translating {TRANSLATED} latents", translation(bridge), TRANSLATION_BAR),
    ):
        run()
        with Recorder() as recorder, torch.no_grad() if "translating" in what else torch.enable_grad():
            run()
        whole, products = timed(run, recorder.calls)
        share = products / whole
        failed |= share < bar
        print(
            f"{what}: {1000 * whole:.1f} ms, its {len(recorder.calls)} matrix products alone {1000 * products:.1f} ms, "
            f"share {share:.2f} (at least {bar:.2f})"
        )
    return int(failed)


def step(specs: list[ModelSpec]) -> Callable[[], None]:
    """One step of a run whose state is built as training builds it."""
    captured: list[Any] = []
    original = trainer.take_steps

    def capture(run: Any, *others: Any) -> None:
        captured.append(run)

    trainer.take_steps = capture  # type: ignore[assignment]
    try:
        train_bridge(
            [latents(one, seed) for seed, one in enumerate(specs)], models=specs, recipe=get_recipe()
        )
    finally:
        trainer.take_steps = original
    run = captured[0]

    def advance() -> None:
        with torch.enable_grad():
            for parameter in run._trained.values():
                parameter.requires_grad_(True)
            run.advance()

    return advance


def translation(bridge: Bridge) -> Callable[[], None]:
    z = torch.randn(TRANSLATED, SIZE, generator=torch.Generator().manual_seed(0))

    def translate() -> None:
        bridge.translate(z, source="bench/a", target="bench/b")

    return translate


def timed(run: Callable[[], None], products: list[Callable[[], Tensor]]) -> tuple[float, float]:
    """Medians of seconds, in turn, so that what else the machine does hits both alike."""
    wholes, parts = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        middle = time.perf_counter()
        for product in products:
            product()
        wholes.append(middle - start)
        parts.append(time.perf_counter() - middle)
    return statistics.median(wholes), statistics.median(parts)


def spec(name: str) -> ModelSpec:
    return ModelSpec(
        id=f"bench/{name}",
        title=name,
        data=DataSpec(modality="array"),
        latent=LatentSpec(shape=(SIZE,), stochastic=True),
        capabilities=frozenset({"encode", "decode"}),
        license="MIT",
        loader="bench:load",
    )


def latents(of: ModelSpec, seed: int) -> LatentSet:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(ITEMS) % CLASSES
    return LatentSet(
        model=of.id,
        fingerprint=of.fingerprint,
        latents=torch.randn(CLASSES, SIZE, generator=rng)[labels] + torch.randn(ITEMS, SIZE, generator=rng),
        std=torch.full((ITEMS, SIZE), 0.1),
        labels=labels,
        label_names=tuple(map(str, range(CLASSES))),
    )


if __name__ == "__main__":
    sys.exit(main())
