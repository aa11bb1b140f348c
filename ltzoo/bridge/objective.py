"""The terms of the objective, each a function of its own (Tian & Engel 2019, section 3; ``method.md`` 1.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ltzoo.bridge.based import BasedAutoencoder, by_class
from ltzoo.bridge.entrances import rows_of
from ltzoo.bridge.likeness import Likeness
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.randomness import normal, unit_directions
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.sharding import ShardedNetwork

__all__ = [
    "Batch",
    "Objective",
    "kl_divergence",
    "quantile_gap",
    "reconstruction_error",
    "sliced_wasserstein",
]

INFERS = BasedAutoencoder | ShardedNetwork
"""What has class inference where a term asks for it: only recipes with a base have such a term."""

SMOOTHING = 0.05
"""Of the labels that class inference learns."""


@dataclass(frozen=True)
class Batch:
    """What one step is trained on.

    Attributes:
        inputs: Normalised latents, one tensor ``(rows, size)`` a model, all of the same number of rows.
        noise: Normalised posterior standard deviations of the same latents; None for a model without.
        classes: int64 ``(rows,)``: the class of row i of every model; None without classes.
    """

    inputs: tuple[Tensor, ...]
    noise: tuple[Tensor | None, ...]
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


def quantile_gap(points: Tensor, table: Tensor) -> Tensor:
    """Mean absolute gap between sorted projections and quantiles, both ``(..., count, levels)``."""
    gap: Tensor = _SortedGap.apply(points, table)  # type: ignore[no-untyped-call]
    return gap


class Objective:
    """The terms of the objective that have a weight.

    Args:
        recipe: Which terms, and their weights.
        likenesses: What translations into each model are compared with; None where no term does that.
    """

    def __init__(self, recipe: Recipe, likenesses: Sequence[Likeness] | None = None) -> None:
        self._recipe = recipe
        self._likenesses = likenesses

    def terms(
        self,
        network: BridgeNetwork | ShardedNetwork,
        batch: Batch,
        rng: np.random.Generator,
        step: int = 0,
    ) -> dict[str, Tensor]:
        """The terms, unweighted.

        Each term draws its own sample of z' from the one posterior. Translations of a step go from every
        model to one other, which takes turns, and so do comparisons of the models' z': a step's cost
        grows with the latents in it and not with the pairs of models.

        Args:
            network: The network, whose parameters get the gradients.
            batch: What the step is trained on. For class-wise terms its rows must be in class order.
            rng: Gives the noise and the directions.
            step: Says whose turn it is.

        Returns:
            Scalars, by the names of the weights in `weigh`.
        """
        recipe, models = self._recipe, len(batch.inputs)
        shift = 1 + step % (models - 1)
        routes = [(end, (end + shift) % models) for end in range(models)]
        groups = max(network.architecture.classes, 1)
        known = recipe.class_wise
        posteriors = [network.encode(x, end, known=known) for end, x in enumerate(batch.inputs)]

        def samples() -> list[Tensor]:
            return [mean + std * normal(rng, *mean.shape).to(mean.device) for mean, std in posteriors]

        terms: dict[str, Tensor] = {}
        if recipe.reconstruction_weight:
            outputs = [network.decode(z, end, known=known) for end, z in enumerate(samples())]
            terms["reconstruction"] = reconstruction_error(outputs, batch.inputs)
        if recipe.kl_weight:
            code = network.architecture.code_dim
            terms["kl"] = _mean(kl_divergence(mean[:, :code], std[:, :code]) for mean, std in posteriors)
        if recipe.swd_weight:
            codes = [by_class(rows_of(z), groups if recipe.swd_by_class else 1) for z in samples()]
            terms["swd"] = _mean(
                sliced_wasserstein(
                    codes[a],
                    codes[b],
                    unit_directions(rng, codes[a].shape[2], recipe.projections).to(codes[a].device),
                )
                for a, b in dict.fromkeys(tuple(sorted(route)) for route in routes)
            )
        if recipe.classifier_weight and batch.classes is not None:
            classes = batch.classes
            terms["classifier"] = _mean(F.cross_entropy(network.class_logits(z), classes) for z in samples())
        if recipe.translates:
            codes = samples()
            translated = [(a, b, network.decode(codes[a], b, known=known)) for a, b in routes]
            terms.update(self._translation_terms(network, batch, translated, groups, rng))
        if recipe.inference_weight and isinstance(network, INFERS) and batch.classes is not None:
            classes = batch.classes
            terms["inference"] = _mean(
                F.cross_entropy(
                    network.inference_logits(_noised(batch, end, rng), end),
                    classes,
                    label_smoothing=SMOOTHING,
                )
                for end in range(models)
            )
        return terms

    def weigh(self, terms: dict[str, Tensor]) -> Tensor:
        """The loss: the weighted sum of the terms."""
        return torch.stack(
            [getattr(self._recipe, f"{name}_weight") * term for name, term in terms.items()]
        ).sum()

    def _translation_terms(
        self,
        network: BridgeNetwork | ShardedNetwork,
        batch: Batch,
        translated: Sequence[tuple[int, int, Tensor]],
        groups: int,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        """Terms of translations ``(source, target, latents of the target)``."""
        recipe, known = self._recipe, self._recipe.class_wise
        terms: dict[str, Tensor] = {}

        def back(source: int, target: int, x: Tensor) -> Tensor:
            mean, _ = network.encode(x, target, known=known)
            return F.mse_loss(network.decode(mean, source, known=known), batch.inputs[source])

        if recipe.translation_weight:
            assert self._likenesses is not None
            gaps = []
            for _, target, x in translated:
                directions, values = self._likenesses[target].quantiles.draw(recipe.projections, rng)
                gaps.append(quantile_gap((by_class(rows_of(x), groups) @ directions).mT, values))
            terms["translation"] = _mean(gaps)
        if recipe.nearness_weight:
            terms["nearness"] = _mean(self._excess(target, x, groups) for _, target, x in translated)
        if recipe.cycle_weight:
            terms["cycle"] = _mean(back(*each) for each in translated)
        if recipe.noisy_cycle_weight:
            noisy = [
                back(source, target, x + noise * normal(rng, *x.shape).to(x.device))
                for source, target, x in translated
                if (noise := batch.noise[target]) is not None
            ]
            if noisy:
                terms["noisy_cycle"] = _mean(noisy)
        if recipe.recognition_weight and isinstance(network, INFERS) and batch.classes is not None:
            classes = batch.classes
            terms["recognition"] = _mean(
                F.cross_entropy(network.inference_logits(x, target), classes) for _, target, x in translated
            )
        return terms

    def _excess(self, target: int, x: Tensor, groups: int) -> Tensor:
        assert self._likenesses is not None
        nearest = self._likenesses[target].nearest
        assert nearest is not None
        return nearest.excess(by_class(rows_of(x), groups))


def _noised(batch: Batch, end: int, rng: np.random.Generator) -> Tensor:
    x, noise = batch.inputs[end], batch.noise[end]
    return x if noise is None else x + noise * normal(rng, *x.shape).to(x.device)


def _mean(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
