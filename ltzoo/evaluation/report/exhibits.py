"""Exhibits: which items of a direction a report shows, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ltzoo.evaluation.metrics.cycle import r2_parts
from ltzoo.evaluation.metrics.smoothness import same_class_pairs
from ltzoo.evaluation.report.names import labels_of
from ltzoo.evaluation.report.pictures import Picture, pictures_of
from ltzoo.evaluation.side import Side
from ltzoo.evaluation.translation import Translation, Translator
from ltzoo.evaluation.workbench import Workbench

__all__ = ["Column", "Confusion", "Exhibit", "Grid", "Path", "exhibit"]

STEPS = 8
BY_JUDGE = "the probability that the target's judge gives to the source's true class"
BY_PAIRS = "the squared error from the target's own latent of the same item"


@dataclass(frozen=True)
class Column:
    """An input above its output.

    Attributes:
        above: The input.
        below: The output.
        caption: The class, and what the target calls it.
        misread: The judge reads another class, which the caption names.
    """

    above: Picture
    below: Picture
    caption: str
    misread: bool = False


@dataclass(frozen=True)
class Grid:
    """Some items, and the rule that they were chosen by."""

    title: str
    rule: str
    columns: list[Column]


@dataclass(frozen=True)
class Path:
    """An interpolation inside a class: its steps in the source above the translations of the same latents."""

    caption: str
    above: list[Picture]
    below: list[Picture]


@dataclass(frozen=True)
class Confusion:
    """How many items of each class the judge read as which.

    Attributes:
        columns: Classes read, as the target calls them, ``other`` last if it occurs.
        rows: True class, as the source calls it, and for each column the number of items and its share of
            the row.
    """

    columns: list[str]
    rows: list[tuple[str, list[tuple[int, float]]]]


@dataclass(frozen=True)
class Exhibit:
    """What a report shows of one direction."""

    source: str
    target: str
    grids: list[Grid] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    confusion: Confusion | None = None
    missing: str | None = None


def exhibit(
    translator: Translator,
    source: str,
    target: str,
    workbench: Workbench,
    *,
    columns: int,
    sounds: bool = True,
) -> Exhibit:
    """Translates the held-out items of a direction and chooses what to show.

    Args:
        translator: What translates.
        source: Id of the model translated from.
        target: Id of the model translated to.
        workbench: Models, latents and judges.
        columns: Items a grid.
        sounds: Whether sounds can be played.
    """
    direction = workbench.direction(source, target)
    if not direction.target.spec.can("decode"):
        return Exhibit(source, target, missing=f"{target} cannot decode, so there is nothing to see")
    translation = Translation(translator, direction, workbench, workbench.protocol.seeds[0])
    judged = "judge" not in direction.missing and direction.classes is not None
    worth, read, rule = None, None, ""
    if judged:
        assert direction.classes is not None
        worth, read = direction.target.belief(translation.z, direction.classes)
        rule = BY_JUDGE
    elif direction.truth is not None:
        worth, rule = -r2_parts(direction.truth, translation.z)[0], BY_PAIRS
    names, read_names = (labels_of(workbench.labels, model) for model in (source, target))
    shower = _Shower(translation, names, read_names, read, sounds)
    grids = [
        shower.grid(
            "Typical",
            "the first held-out items, the classes in turn",
            _in_turn(direction.classes, len(translation.z), columns),
        )
    ]
    if worth is not None:
        order = torch.sort(worth, descending=True, stable=True).indices
        edge = "largest" if judged else "smallest"
        other = "smallest" if judged else "largest"
        size = min(columns, max(1, len(order) // 2))
        grids.append(shower.grid("Best", f"chosen by {rule}: the {size} {edge}", order[:size]))
        grids.append(
            shower.grid(
                "Worst", f"chosen by {rule}: the {size} {other}, the worst first", order.flip(0)[:size]
            )
        )
    confusion = None
    if read is not None and direction.classes is not None:
        confusion = _confusion(direction.classes, read, names, read_names)
    paths = [] if direction.classes is None else shower.paths(direction.classes, columns)
    return Exhibit(source, target, grids=grids, paths=paths, confusion=confusion)


class _Shower:
    """Makes pictures of items and their translations."""

    def __init__(
        self,
        translation: Translation,
        names: Sequence[str],
        read_names: Sequence[str],
        read: Tensor | None,
        sounds: bool,
    ) -> None:
        self.translation = translation
        self.direction = translation.direction
        self.names = names
        self.read_names = read_names
        self.read = read
        self.sounds = sounds

    def grid(self, title: str, rule: str, index: Tensor) -> Grid:
        said = [self._caption(int(row)) for row in index]
        captions = [caption for caption, _ in said]
        above = self._pictures(self.direction.source, self.direction.items.latents[index], captions)
        below = self._pictures(self.direction.target, self.translation.z[index], captions)
        columns = [
            Column(one, other, caption, misread)
            for one, other, (caption, misread) in zip(above, below, said, strict=True)
        ]
        return Grid(title, rule, columns)

    def paths(self, classes: Tensor, count: int) -> list[Path]:
        """One interpolation a class, of the first ``count`` classes."""
        found = []
        z = self.direction.items.latents
        pairs = same_class_pairs(classes, min(count, len(torch.unique(classes))), self.translation.seed)
        for first, last in pairs.tolist():
            steps = torch.stack([torch.lerp(z[first], z[last], step / STEPS) for step in range(STEPS + 1)])
            name = self.names[int(classes[first])]
            alts = [f"{name}, step {step} of {STEPS}" for step in range(STEPS + 1)]
            found.append(
                Path(
                    name,
                    self._pictures(self.direction.source, steps, alts, sounds=False),
                    self._pictures(self.direction.target, self.translation(steps), alts, sounds=False),
                )
            )
        return found

    def _pictures(self, side: Side, z: Tensor, alts: Sequence[str], *, sounds: bool = True) -> list[Picture]:
        if not side.spec.can("decode"):
            return [Picture(text=alt, alt=alt) for alt in alts]
        with torch.inference_mode():
            items = side.model.decode(z)
        return pictures_of(items, side.spec.data, alts, sounds=sounds and self.sounds)

    def _caption(self, row: int) -> tuple[str, bool]:
        """The true class and what the judge reads, one word if they are the same; and whether it is wrong."""
        if self.direction.classes is None:
            return f"item {row}", False
        label = int(self.direction.classes[row])
        read = label if self.read is None else int(self.read[row])
        name, answer = self.names[label], self.read_names[read] if read >= 0 else "other"
        return (name if name == answer else f"{name} → {answer}"), read != label


def _in_turn(classes: Tensor | None, n: int, count: int) -> Tensor:
    """The first items, the classes in turn."""
    if classes is None:
        return torch.arange(min(n, count))
    members = [(classes == label).nonzero()[:, 0].tolist() for label in torch.unique(classes).tolist()]
    rounds = range(max(len(of) for of in members))
    turns = [of[turn] for turn in rounds for of in members if turn < len(of)]
    return torch.tensor(turns[:count])


def _confusion(classes: Tensor, read: Tensor, names: Sequence[str], read_names: Sequence[str]) -> Confusion:
    others = bool((read < 0).any())
    columns = [*read_names, "other"] if others else list(read_names)
    rows = []
    for label, name in enumerate(names):
        own = read[classes == label]
        if not len(own):
            continue
        counts = [int((own == column).sum()) for column in [*range(len(names)), *([-1] if others else [])]]
        rows.append((name, [(count, count / len(own)) for count in counts]))
    return Confusion(columns, rows)
