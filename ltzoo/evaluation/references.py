"""The references: what any bridge must be seen beside, each with a bridge's ``translate``.

A reference knows the target's train latents and, but for `Reencode`, infers the source's class with a latent
classifier trained on the source's train latents. Each says which measures it saturates by construction:
those where it is as good as anything can be, without having translated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ltzoo.errors import UsageError
from ltzoo.evaluation.metrics.distances import distances
from ltzoo.evaluation.side import Side
from ltzoo.evaluation.workbench import Workbench

__all__ = [
    "REFERENCES",
    "ClassPrior",
    "ClassPrototype",
    "NearestRetrieval",
    "RandomRetrieval",
    "Reencode",
    "Reference",
]


class Reference(ABC):
    """Something that answers with latents of the target without being a bridge.

    Args:
        workbench: Gives the train latents, the classifiers and the models.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    saturates: ClassVar[tuple[str, ...]]

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench

    def unavailable(self, source: str, target: str) -> str | None:
        """Why the reference does not apply to a direction; None if it does."""
        return self.workbench.direction(source, target).missing.get("train")

    def seconds(self, seed: int) -> float:
        """Time that it takes to be ready for all directions, with that seed."""
        return 0.0

    def translate(
        self, z: Tensor, *, source: str, target: str, sample: bool = False, seed: int | None = None
    ) -> Tensor:
        """Latents of ``target`` for latents of ``source``.

        Args:
            z: ``(n, *source_shape)``.
            source: Id of the model translated from.
            target: Id of the model translated to.
            sample: Of no effect: references that draw always do.
            seed: Of the classifier and of the draws; None is 0, since references only serve to measure.

        Returns:
            ``(n, *target_shape)``.

        Raises:
            UsageError: The reference does not apply to this direction.
        """
        if reason := self.unavailable(source, target):
            raise UsageError(f"the reference '{self.name}' does not apply: {reason}")
        return self._answer(z, self.workbench.side(source), self.workbench.side(target), seed or 0)

    @abstractmethod
    def _answer(self, z: Tensor, source: Side, target: Side, seed: int) -> Tensor: ...


class ByClass(Reference):
    """A reference that infers the class and then answers from the class's train latents."""

    def seconds(self, seed: int) -> float:
        return sum(side.classifier("inference", seed).seconds for side in self.workbench.sides.values())

    def _answer(self, z: Tensor, source: Side, target: Side, seed: int) -> Tensor:
        classes = source.classifier("inference", seed).predict(z)
        generator = torch.Generator().manual_seed(seed)
        out = torch.empty(len(z), *target.latents.latent_shape)
        for label in torch.unique(classes).tolist():
            of_class = classes == label
            out[of_class] = self._of_class(z[of_class], source, target, label, generator)
        return out

    @abstractmethod
    def _of_class(
        self, z: Tensor, source: Side, target: Side, label: int, generator: torch.Generator
    ) -> Tensor: ...


class ClassPrototype(ByClass):
    """One answer a class: the target's train latent that is nearest to the class's mean.

    Saturates transfer accuracy, whole or on the clean subset: a typical item is read right nearly always.
    This is the map that the original protocol gives 100 %. Precision and density are high for the same
    reason: the answer lies among real items. Its spread and recall are 0. (A latent, and not the mean
    itself, because the mean can lie where no item does.)
    """

    name = "class-prototype"
    title = "class prototype"
    saturates = (
        "transfer_accuracy",
        "transfer_accuracy_share",
        "clean_transfer_accuracy",
        "precision",
        "density",
    )

    def _of_class(
        self, z: Tensor, source: Side, target: Side, label: int, generator: torch.Generator
    ) -> Tensor:
        members = target.members(label)
        nearest = distances(members.mean(0, keepdim=True), members).argmin()
        return members[nearest].expand(len(z), *members.shape[1:])


class RandomRetrieval(ByClass):
    """A random train latent of the class: nothing but the class is translated.

    Saturates what compares distributions, because its answers are real latents of the target: transfer
    accuracy (all that the classifier and the judge allow), Fréchet distances, precision, recall, density,
    coverage and spread. It is the bar for these, and keeps nothing of the individual: neighbourhood overlap
    is at chance, and no cycle comes back.
    """

    name = "random-retrieval"
    title = "random same-class retrieval"
    saturates = (
        "transfer_accuracy",
        "transfer_accuracy_share",
        "clean_transfer_accuracy",
        "fid",
        "class_fid",
        "clean_class_fid",
        "precision",
        "recall",
        "density",
        "coverage",
        "spread",
        "clean_spread",
    )

    def _of_class(
        self, z: Tensor, source: Side, target: Side, label: int, generator: torch.Generator
    ) -> Tensor:
        members = target.members(label)
        return members[torch.randint(len(members), (len(z),), generator=generator)]


class NearestRetrieval(ByClass):
    """The train latent of the class that lies where the source does, each class standardised on its own.

    Saturates transfer accuracy, precision and density, because its answers are real latents of the target.
    It does not saturate the rest: some latents are nearest to many sources and most to none, so variety
    is lost. Applies to latents of equal size only, since it compares dimension with dimension.
    """

    name = "nearest-retrieval"
    title = "nearest same-class retrieval"
    saturates = (
        "transfer_accuracy",
        "transfer_accuracy_share",
        "clean_transfer_accuracy",
        "precision",
        "density",
    )

    def unavailable(self, source: str, target: str) -> str | None:
        sizes = [side.latents.latents[0].numel() for side in map(self.workbench.side, (source, target))]
        if sizes[0] != sizes[1]:
            return f"latents of {source} and {target} differ in size ({sizes[0]} and {sizes[1]})"
        return super().unavailable(source, target)

    def _of_class(
        self, z: Tensor, source: Side, target: Side, label: int, generator: torch.Generator
    ) -> Tensor:
        own, members = source.members(label), target.members(label)
        gaps = distances(_standardised(z, own), _standardised(members, members))
        return members[gaps.argmin(1)]


class ClassPrior(ByClass):
    """A draw from the Gaussian with the mean and covariance of the class's train latents.

    Saturates transfer accuracy and spread nearly, as far as a class is Gaussian in the latent space: it
    is what a class-conditional prior would give, and knows nothing of the individual.
    """

    name = "class-prior"
    title = "class-conditional prior sample"
    saturates = (
        "transfer_accuracy",
        "transfer_accuracy_share",
        "clean_transfer_accuracy",
        "spread",
        "clean_spread",
    )

    def _of_class(
        self, z: Tensor, source: Side, target: Side, label: int, generator: torch.Generator
    ) -> Tensor:
        members = target.members(label).flatten(1)
        mean = members.mean(0)
        # Mixing the centred items with normal weights has their covariance, which at the size of an
        # image latent could not even be stored.
        weights = torch.randn(len(z), len(members), generator=generator) / max(1, len(members) - 1) ** 0.5
        drawn: Tensor = mean + weights @ (members - mean)
        return drawn.view(len(z), *target.latents.latent_shape)


class Reencode(Reference):
    """Decodes with the source model and encodes with the target model.

    Saturates what asks for the individual (neighbourhood overlap, cycles, paired figures): between two
    models of the same data it is the true translation, up to the models' own losses. Between models of
    different data (digits, garments) it answers with a digit's latent in the garments' space, which no
    measure of class or distribution forgives. Needs no class.
    """

    name = "re-encode"
    title = "decode and re-encode"
    saturates = (
        "neighbourhood_overlap",
        "cycle_accuracy",
        "cycle_r2",
        "noisy_cycle_accuracy",
        "noisy_cycle_r2",
        "paired_r2",
        "paired_cosine",
        "top1_retrieval",
        "mean_rank",
        "psnr",
        "ssim",
        "log_spectral_distance",
    )

    def unavailable(self, source: str, target: str) -> str | None:
        first, second = (self.workbench.side(model).spec for model in (source, target))
        for spec in (first, second):
            for capability in ("encode", "decode"):
                if capability not in spec.capabilities:
                    return f"{spec.id} cannot {capability}"
        kinds = [(spec.data.modality, spec.data.shape, spec.data.sample_rate) for spec in (first, second)]
        return (
            None if kinds[0] == kinds[1] else f"{source} and {target} are models of different kinds of data"
        )

    def _answer(self, z: Tensor, source: Side, target: Side, seed: int) -> Tensor:
        with torch.no_grad():
            parts = z.split(self.workbench.protocol.batch)
            return torch.cat([target.model.encode(source.model.decode(part)).cpu() for part in parts])


def _standardised(z: Tensor, members: Tensor) -> Tensor:
    members = members.flatten(1)
    scale = members.std(0, correction=0).clamp_min(1e-6)
    standardised: Tensor = (z.flatten(1) - members.mean(0)) / scale
    return standardised


REFERENCES: tuple[type[Reference], ...] = (
    ClassPrototype,
    RandomRetrieval,
    NearestRetrieval,
    ClassPrior,
    Reencode,
)
"""All references, in the order of listings."""
