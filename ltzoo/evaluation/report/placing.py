"""Placing labels beside points so that they cover neither each other nor points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Box", "place_labels"]

LETTER, LINE = 6.0, 12.0
"""Pixels that a letter is wide and a line is high, in the size that charts have."""

GAPS = (3.0, 10.0, 20.0, 32.0, 46.0)
"""Pixels between a point and its label, the farther ones where it is crowded."""

ANGLES = 16
ROUNDS = 4
FARNESS = 0.4
"""What a pixel of distance counts, in covered pixels: a near label that touches is worse than a far one."""


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)

    @property
    def area(self) -> float:
        """The area that it covers."""
        return (self.right - self.left) * (self.bottom - self.top)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of it that is nearest to another one."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


def place_labels(
    points: Sequence[tuple[float, float]], labels: Sequence[str], *, radius: float, inside: Box
) -> list[Box]:
    """A place for each label: of those around its point the one that covers least.

    Args:
        points: Centres, in pixels.
        labels: Their labels.
        radius: Of the points.
        inside: What labels should not leave.
    """
    dots = [Box(x - radius, x + radius, y - radius, y + radius) for x, y in points]
    choices = [
        list(_around(x, y, LETTER * len(label), radius)) for (x, y), label in zip(points, labels, strict=True)
    ]
    placed: dict[int, Box] = {}
    # Later rounds see where the labels after it have gone.
    for _ in range(ROUNDS):
        for index, (point, boxes) in enumerate(zip(points, choices, strict=True)):
            taken = dots + [box for other, box in placed.items() if other != index]
            costs = [_cost(box, point, taken, inside) for box in boxes]
            placed[index] = boxes[costs.index(min(costs))]
    return list(placed.values())


def _cost(box: Box, point: tuple[float, float], taken: Sequence[Box], inside: Box) -> float:
    covered = sum(box.overlap(other) for other in taken) + 2 * (box.area - box.overlap(inside))
    return covered + FARNESS * math.dist(box.nearest(*point), point)


def _around(x: float, y: float, width: float, radius: float) -> Iterator[Box]:
    """Boxes around a point, first to the right of it, then all around, then farther away."""
    for gap in GAPS:
        for step in range(ANGLES):
            angle = 2 * math.pi * step / ANGLES
            # The box touches a circle around the point in that direction.
            across, down = math.cos(angle), math.sin(angle)
            middle_x = x + (radius + gap) * across + width / 2 * _side(across)
            middle_y = y + (radius + gap) * down + LINE / 2 * down
            yield Box(middle_x - width / 2, middle_x + width / 2, middle_y - LINE / 2, middle_y + LINE / 2)


def _side(across: float) -> float:
    """How far a box lies to one side: all of it but straight above and below, where it is centred."""
    return 0.0 if abs(across) < 0.1 else math.copysign(1.0, across)
