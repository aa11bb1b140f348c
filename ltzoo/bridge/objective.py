"""The terms of the objective, each a function of its own (Tian & Engel 2019, section 3; ``method.md`` 1.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.bridge.randomness import normal, unit_directions
from ltzoo.bridge.recipe import Recipe

__all__ = [
    "Batch",
    "kl_divergence",
    "objective_terms",
    "reconstruction_error",
    "sliced_wasserstein",
    "weighted_sum",
]


@dataclass(frozen=True)
class Batch:
    """What one step is trained on.

    Attributes:
        inputs: Normalised latents, one tensor ``(rows, size)`` a model, all of the same number of rows.
        classes: int64 ``(rows,)``: the class of row i of every model; None without classes.
    """

    inputs: tuple[Tensor, ...]
    classes: Tensor | None


def reconstruction_error(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """Squared error averaged over rows and dimensions, then over models."""
    return torch.stack([F.mse_loss(a, b) for a, b in zip(outputs, inputs, strict=True)]).mean()


def kl_divergence(mean: Tensor, std: Tensor) -> Tensor:
    """Of N(mean, std**2) from N(0, I), each ``(n, dims)``: summed over dimensions, averaged over rows."""
    return (0.5 * (mean.square() + std.square() - 1) - std.log()).sum(dim=1).mean()


def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """Mean absolute gap between the sorted projections of two samples.

    Args:
        a: ``(..., n, dims)``: n points, or several groups of n points, compared group by group.
        b: Of the same shape.
        directions: ``(dims, count)``, columns of unit norm.

    Returns:
        The mean over points, directions and groups.
    """
    gap: Tensor = _SortedGap.apply((a @ directions).mT, (b @ directions).mT)  # type: ignore[no-untyped-call]
    return gap


class _SortedGap(torch.autograd.Function):
    """``mean(abs(sort(a) - sort(b)))`` along the last dimension.

    The gradient is the sign of each gap, put back in the place that its number had before sorting:
    cheaper than the gradients of sort and gather.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        (sorted_a, order_a), (sorted_b, order_b) = _sort(a), _sort(b)
        gap = sorted_a - sorted_b
        slope = gap.sign() / gap.numel()
        ctx.save_for_backward(
            torch.empty_like(slope).scatter_(-1, order_a, slope) if ctx.needs_input_grad[0] else None,
            torch.empty_like(slope).scatter_(-1, order_b, -slope) if ctx.needs_input_grad[1] else None,
        )
        return gap.abs().mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        slope_a, slope_b = ctx.saved_tensors
        (grad,) = grads
        return (
            None if slope_a is None else slope_a * grad,
            None if slope_b is None else slope_b * grad,
        )


def _sort(values: Tensor) -> tuple[Tensor, Tensor]:
    """Sorts along the last dimension; gives the order too."""
    if values.device.type != "cpu":
        return torch.sort(values)
    # NumPy's vectorised sort takes a fraction of torch's time on the CPU.
    order = torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1))
    return values.gather(-1, order), order


def by_class(values: Tensor, classes: int) -> Tensor:
    """Groups rows that are in class order ``0, 1, ... classes - 1, 0, 1, ...``: ``(classes, n / classes, dims)``."""
    return values.reshape(-1, classes, values.shape[1]).transpose(0, 1)


def objective_terms(
    network: SharedAutoencoder, batch: Batch, recipe: Recipe, rng: np.random.Generator
) -> dict[str, Tensor]:
    """The terms of the objective that have a weight, unweighted.

    Each term draws its own sample of z' from the one posterior.

    Args:
        network: The network, whose parameters get the gradients.
        batch: What the step is trained on. For class-wise terms its rows must be in class order.
        recipe: Which terms.
        rng: Gives the noise and the directions.

    Returns:
        Scalars, by the names of the weights in `weighted_sum`.
    """
    device = batch.inputs[0].device
    models, rows = len(batch.inputs), len(batch.inputs[0])
    groups = max(network.architecture.classes, 1)
    ends = torch.arange(models, device=device).repeat_interleave(rows)
    x = torch.cat([network.inputs[end](z) for end, z in enumerate(batch.inputs)])
    mean, std = network.encode(x, ends)

    def sample() -> Tensor:
        return mean + std * normal(rng, *mean.shape).to(device)

    def directions(dims: int) -> Tensor:
        return unit_directions(rng, dims, recipe.projections).to(device)

    outputs = network.decode(sample(), ends).chunk(models)
    terms = {
        "reconstruction": reconstruction_error(
            [network.outputs[end](y) for end, y in enumerate(outputs)], batch.inputs
        )
    }
    if recipe.kl_weight:
        terms["kl"] = kl_divergence(mean, std)
    if recipe.swd_weight:
        codes = [by_class(z, groups if recipe.swd_by_class else 1) for z in sample().chunk(models)]
        terms["swd"] = _mean_over(
            combinations(range(models), 2),
            lambda a, b: sliced_wasserstein(codes[a], codes[b], directions(recipe.shared_dim)),
        )
    if recipe.classifier_weight and network.classifier is not None:
        assert batch.classes is not None
        terms["classifier"] = F.cross_entropy(network.classifier(sample()), batch.classes.repeat(models))
    if recipe.translation_weight:
        pairs = list(permutations(range(models), 2))
        samples = sample().chunk(models)
        targets = torch.tensor([target for _, target in pairs], device=device).repeat_interleave(rows)
        translated = network.decode(torch.cat([samples[source] for source, _ in pairs]), targets).chunk(
            len(pairs)
        )
        gaps = []
        for (_, target), y in zip(pairs, translated, strict=True):
            own = batch.inputs[target]
            gaps.append(
                sliced_wasserstein(
                    by_class(network.outputs[target](y), groups),
                    by_class(own, groups),
                    directions(own.shape[1]),
                )
            )
        terms["translation"] = torch.stack(gaps).mean()
    return terms


def weighted_sum(terms: dict[str, Tensor], recipe: Recipe) -> Tensor:
    """The loss: the terms of `objective_terms` with the recipe's weights; reconstruction has weight 1."""
    weights = {
        "reconstruction": 1.0,
        "kl": recipe.kl_weight,
        "swd": recipe.swd_weight,
        "classifier": recipe.classifier_weight,
        "translation": recipe.translation_weight,
    }
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def _mean_over(pairs: Any, term: Callable[[int, int], Tensor]) -> Tensor:
    return torch.stack([term(a, b) for a, b in pairs]).mean()
