"""`Side`: one model's part in an evaluation, with what is made of it once and used many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ltzoo.bridge.config import LabelMap
from ltzoo.bridge.labels import class_indices
from ltzoo.errors import LatentsError, UsageError
from ltzoo.evaluation.classifier import Form, LatentClassifier, train_classifier
from ltzoo.evaluation.metrics.frechet import Moments, class_moments, moments
from ltzoo.evaluation.metrics.spread import class_variances
from ltzoo.evaluation.protocol import Protocol
from ltzoo.latents import SPLITS, LatentSet
from ltzoo.model import Judge, LatentModel
from ltzoo.spec import ModelSpec

__all__ = ["Reading", "Side"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a judge says about decoded latents.

    Attributes:
        features: float32 ``(n, features)``.
        classes: int64 ``(n,)``, shared classes; -1 for a label that is in none.
    """

    features: Tensor
    classes: Tensor


class Side:
    """One model's part in an evaluation.

    Args:
        spec: The model's spec.
        model: The model; its methods are called only where a measure needs them.
        latents: Its latents, split; only the test part is scored.
        labels: Which labels of the models mean the same class.
        protocol: How much is scored.
        judge: The judge of its data; None if there is none.
        judge_labels: The labels that the judge's logits stand for.

    Raises:
        LatentsError: The latents have no test part, or are not the model's.
    """

    def __init__(
        self,
        spec: ModelSpec,
        model: LatentModel,
        latents: LatentSet,
        *,
        labels: LabelMap,
        protocol: Protocol,
        judge: Judge | None = None,
        judge_labels: tuple[str, ...] = (),
    ) -> None:
        if latents.model != spec.id:
            raise LatentsError(f"latents of {latents.model} were given for {spec.id}")
        self.spec = spec
        self.model = model
        self.latents = latents
        self.test = latents.part("test")
        self.labels = labels
        self.protocol = protocol
        self.judge = judge
        self.judge_labels = judge_labels
        self._classifiers: dict[tuple[Form, int], LatentClassifier] = {}

    @cached_property
    def train(self) -> LatentSet | None:
        """The train part, if there is one."""
        assert self.latents.split is not None
        present = bool((self.latents.split == SPLITS.index("train")).any())
        return self.latents.part("train") if present else None

    def classes_of(self, latents: LatentSet) -> Tensor | None:
        """The shared class of each item, int64 ``(n,)``; None without labels or label map."""
        if latents.labels is None or latents.model not in self.labels.models:
            return None
        return class_indices(self.labels, latents)

    def choose(self, latents: LatentSet) -> LatentSet:
        """The items with a class (all, if there are no classes), or evenly spaced ones of them."""
        classes = self.classes_of(latents)
        if classes is not None:
            latents = latents.select(classes >= 0)
        wanted = self.protocol.items
        if len(latents) > wanted:
            latents = latents.select(torch.arange(wanted) * len(latents) // wanted)
        least = max(self.protocol.neighbours, self.protocol.manifold_neighbours) + 1
        if len(latents) < least:
            raise LatentsError(
                f"{self.spec.id} has {len(latents)} held-out latents with a class; measuring takes {least}"
            )
        return latents

    @cached_property
    def held_out(self) -> LatentSet:
        """The test items that scores are measured on."""
        return self.choose(self.test)

    @cached_property
    def train_classes(self) -> Tensor | None:
        """The class of each train item; None if there are no train items, labels or classes."""
        return None if self.train is None else self.classes_of(self.train)

    def members(self, label: int) -> Tensor:
        """The train latents of one class, ``(n, *shape)``, n >= 1.

        Raises:
            LatentsError: There are none.
        """
        train, classes = self._labelled_train()
        members = train.latents[classes == label]
        if not len(members):
            raise LatentsError(f"{self.spec.id} has no train latents of class '{self.labels.classes[label]}'")
        return members

    def classifier(self, form: Form, seed: int) -> LatentClassifier:
        """The latent classifier of that form and seed, trained on the train part."""
        if (form, seed) not in self._classifiers:
            train, classes = self._labelled_train()
            count = len(self.labels.classes)
            self._classifiers[form, seed] = train_classifier(
                train.latents, classes, count=count, form=form, seed=seed, std=train.std
            )
        return self._classifiers[form, seed]

    def _labelled_train(self) -> tuple[LatentSet, Tensor]:
        train, classes = self.train, self.train_classes
        if train is None or classes is None:
            raise LatentsError(f"{self.spec.id} has no train latents with classes")
        return train, classes

    def read(self, z: Tensor) -> Reading:
        """Decodes latents and has the judge read them.

        Args:
            z: ``(n, *latent_shape)``.

        Raises:
            UsageError: There is no judge.
        """
        features, logits = self._judged(z, self._judge.features, self._judge.logits)
        return Reading(features, self._class_of(logits))

    def classes_read(self, z: Tensor) -> Tensor:
        """The classes of `read` alone, which take half the time."""
        return self._class_of(self._judged(z, self._judge.logits)[0])

    def features_read(self, z: Tensor) -> Tensor:
        """The features of `read` alone, which take half the time."""
        return self._judged(z, self._judge.features)[0]

    def belief(self, z: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """How sure the judge is of each item's class.

        Args:
            z: ``(n, *latent_shape)``.
            classes: int64 ``(n,)``, shared classes.

        Returns:
            The probability that it gives to that class, float ``(n,)``, and the class that it reads,
            int64 ``(n,)``, -1 for a label that is in none.
        """
        logits = self._judged(z, self._judge.logits)[0]
        own = self._judge_classes[None, :] == classes[:, None]
        return (logits.softmax(1) * own).sum(1), self._class_of(logits)

    @property
    def _judge(self) -> Judge:
        if self.judge is None:
            raise UsageError(f"there is no judge for the data of {self.spec.id}")
        return self.judge

    def _judged(self, z: Tensor, *answers: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What the judge answers about decoded latents, one tensor an answer."""
        found: list[list[Tensor]] = [[] for _ in answers]
        with torch.inference_mode():
            for part in z.split(self.protocol.batch):
                data = self.model.decode(part)
                for parts, answer in zip(found, answers, strict=True):
                    parts.append(answer(data).cpu())
        return [torch.cat(parts) for parts in found]

    def _class_of(self, logits: Tensor) -> Tensor:
        return self._judge_classes[logits.argmax(1)]

    @cached_property
    def _judge_classes(self) -> Tensor:
        """The shared class of each of the judge's labels."""
        names = self.labels.models.get(self.spec.id, {})
        index = {name: position for position, name in enumerate(self.labels.classes)}
        return torch.tensor([index.get(names.get(label, ""), -1) for label in self.judge_labels])

    @cached_property
    def reconstructions(self) -> Reading:
        """The judge's reading of the model's own held-out latents, decoded.

        This, not the data that the latents were made from, is what translations are compared with: the
        blur of the model's own decoder is not the bridge's fault.
        """
        return self.read(self.held_out.latents)

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the reconstructions' features."""
        return moments(self.reconstructions.features)

    @cached_property
    def class_moments(self) -> dict[int, Moments]:
        """The same, class by class, by true class."""
        classes = self.classes_of(self.held_out)
        assert classes is not None
        return class_moments(self.reconstructions.features, classes)

    @cached_property
    def class_variances(self) -> dict[int, float]:
        """Total variance of the reconstructions' features, class by class."""
        classes = self.classes_of(self.held_out)
        assert classes is not None
        return class_variances(self.reconstructions.features, classes)
