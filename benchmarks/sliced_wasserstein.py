"""The sliced Wasserstein loss against POT's: ``python benchmarks/sliced_wasserstein.py``.

Forward and backward, gradients for both samples, by ``ltzoo.bridge.objective.sliced_wasserstein`` and by
``ot.sliced_wasserstein_distance`` with p = 1 and its torch backend, on the same samples and directions. Every round
times each once, in turn, so that a machine whose speed drifts drifts for both; the figures are medians. The bars: the
same value within 1e-5, in at most a third of POT's time. Exit code 1 if one is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import ot
import torch
from torch import Tensor

from ltzoo.bridge.objective import sliced_wasserstein

SHARE = 1 / 3
TOLERANCE = 1e-5


def of_pot(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    # p = 1: no root is taken of the mean gap.
    distance: Tensor = ot.sliced_wasserstein_distance(a, b, projections=directions, p=1)
    return distance


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--projections", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    a, b = (torch.randn(options.rows, options.dims, requires_grad=True) for _ in range(2))
    directions = torch.nn.functional.normalize(torch.randn(options.dims, options.projections), dim=0)

    losses: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "ltzoo": sliced_wasserstein,
        "POT": of_pot,
    }
    times: dict[str, list[float]] = {name: [] for name in losses}
    values: dict[str, float] = {}
    gradients: dict[str, Tensor] = {}
    warm_up = 10
    for round_ in range(warm_up + options.rounds):
        for name, loss in losses.items():
            a.grad = b.grad = None
            start = time.perf_counter()
            value = loss(a, b, directions)
            value.backward()
            seconds = time.perf_counter() - start
            if round_ >= warm_up:
                times[name].append(seconds)
            values[name] = value.item()
            assert a.grad is not None
            assert b.grad is not None
            gradients[name] = torch.stack([a.grad, b.grad])

    ours, theirs = (median(times[name]) for name in losses)
    gap = abs(values["ltzoo"] - values["POT"])
    gradient_gap = float((gradients["ltzoo"] - gradients["POT"]).abs().max() / gradients["POT"].abs().max())
    print(
        f"({options.rows}, {options.dims}), {options.projections} projections, {options.threads} threads, "
        f"medians of {options.rounds} rounds"
    )
    for name in losses:
        print(f"{name:<6}{median(times[name]) * 1e3:8.2f} ms   value {values[name]:.7f}")
    print(f"ratio {ours / theirs:.3f} (at most {SHARE:.3f})")
    print(
        f"values differ by {gap:.1e} (at most {TOLERANCE:.0e}), gradients by {gradient_gap:.1e} of the largest"
    )
    return int(ours / theirs > SHARE or gap > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
