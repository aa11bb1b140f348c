"""Charts as inline SVG: points and lines on two axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ltzoo.evaluation.report.placing import Box, place_labels

__all__ = ["Chart", "Line", "Mark", "Svg", "colour", "shape_of", "single_mark"]

LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 44
PALETTE = (
    "#4e79a7", "#f28e2b", "#e15759", "#3f9e98", "#59a14f",
    "#c9a516", "#b07aa1", "#e37fa0", "#8a6a52", "#7d7673",
)  # fmt: skip
SHAPES = ("circle", "triangle", "square", "diamond")
TICKS = 5
PAD = 0.06
LEADER = 6.0
"""Pixels from a mark at which a label is joined to it by a line."""


@dataclass(frozen=True)
class Svg:
    """A drawing that templates take as it is; what stands in it has been escaped."""

    markup: str

    def __html__(self) -> str:
        return self.markup


@dataclass(frozen=True)
class Mark:
    """A point: where it lies, how it looks, what stands beside it and what it says when it is pointed at."""

    x: float
    y: float
    title: str = ""
    colour: str = PALETTE[0]
    shape: str = "circle"
    size: float = 3.2
    label: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class Line:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    title: str
    colour: str = PALETTE[0]


@dataclass(frozen=True)
class Chart:
    """Points and lines on two axes.

    Attributes:
        title: What it shows, for who cannot see it.
        x: Title of the horizontal axis.
        y: Title of the vertical axis.
        marks: The points.
        lines: The lines.
        log_x: The horizontal axis is logarithmic; values must be above 0.
        log_y: So is the vertical one.
        ticks: Axes have numbers.
        width: Pixels.
        height: Pixels.
    """

    title: str
    x: str
    y: str
    marks: Sequence[Mark] = ()
    lines: Sequence[Line] = ()
    log_x: bool = False
    log_y: bool = False
    ticks: bool = True
    width: int = 380
    height: int = 300

    def svg(self) -> Svg:
        """The drawing."""
        xs = [mark.x for mark in self.marks] + [x for line in self.lines for x, _ in line.points]
        ys = [mark.y for mark in self.marks] + [y for line in self.lines for _, y in line.points]
        across = _Axis(xs, self.log_x, LEFT, self.width - RIGHT)
        up = _Axis(ys, self.log_y, self.height - BOTTOM, TOP)
        root = ElementTree.Element(
            "svg",
            {"viewBox": f"0 0 {self.width} {self.height}", "width": str(self.width), "role": "img"},
        )
        ElementTree.SubElement(root, "title").text = self.title
        self._draw_axes(root, across, up)
        for line in self.lines:
            corners = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line.points)
            drawn = ElementTree.SubElement(
                root,
                "polyline",
                {"points": corners, "fill": "none", "stroke": line.colour, "stroke-width": "1.6"},
            )
            ElementTree.SubElement(drawn, "title").text = line.title
        points = [(across(mark.x), up(mark.y)) for mark in self.marks]
        self._label(root, points)
        for mark, (x, y) in zip(self.marks, points, strict=True):
            _draw_mark(root, mark, x, y)
        return Svg(ElementTree.tostring(root, encoding="unicode"))

    def _label(self, root: ElementTree.Element, points: Sequence[tuple[float, float]]) -> None:
        """Writes the marks' labels beside them."""
        if not any(mark.label for mark in self.marks):
            return
        inside = Box(LEFT, self.width - RIGHT, TOP, self.height - BOTTOM)
        radius = max(mark.size for mark in self.marks)
        labels = [mark.label for mark in self.marks]
        boxes = place_labels(points, labels, radius=radius, inside=inside)
        for (x, y), box in zip(points, boxes, strict=True):
            end = box.nearest(x, y)
            if math.dist(end, (x, y)) > radius + LEADER:
                _line(root, f"{x:.1f}", f"{y:.1f}", f"{end[0]:.1f}", f"{end[1]:.1f}", "#9aa1a9")
        for label, box in zip(labels, boxes, strict=True):
            middle = f"{(box.left + box.right) / 2:.1f}"
            _text(root, middle, f"{box.bottom - 2.5:.1f}", label, "middle").set("class", "label")

    def _draw_axes(self, root: ElementTree.Element, across: _Axis, up: _Axis) -> None:
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        if self.ticks:
            for value in across.ticks:
                place = f"{across(value):.1f}"
                _line(root, place, str(TOP), place, str(bottom), "#e6e6e6")
                _text(root, place, str(bottom + 15), f"{value:.4g}", "middle")
            for value in up.ticks:
                place = f"{up(value):.1f}"
                _line(root, str(LEFT), place, str(right), place, "#e6e6e6")
                _text(root, str(LEFT - 6), f"{up(value) + 4:.1f}", f"{value:.4g}", "end")
        _line(root, str(LEFT), str(bottom), str(right), str(bottom), "#888888")
        _line(root, str(LEFT), str(TOP), str(LEFT), str(bottom), "#888888")
        _text(root, f"{(LEFT + right) / 2:.1f}", str(self.height - 8), self.x, "middle")
        middle = f"{(TOP + bottom) / 2:.1f}"
        title = _text(root, "13", middle, self.y, "middle")
        title.set("transform", f"rotate(-90 13 {middle})")


class _Axis:
    """Places values between two pixels."""

    def __init__(self, values: Sequence[float], log: bool, first: float, last: float) -> None:
        self.log = log
        found = [self._scaled(value) for value in values] or [0.0, 1.0]
        low, high = min(found), max(found)
        pad = PAD * (high - low) or 0.5
        self.low, self.high = low - pad, high + pad
        self.first, self.last = first, last

    def __call__(self, value: float) -> float:
        share = (self._scaled(value) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    @property
    def ticks(self) -> list[float]:
        """Round values inside the axis."""
        if self.log:
            spanned = self.high - self.low
            stride = max(1, math.ceil(spanned / (TICKS + 2)))
            decades = range(stride * math.floor(self.low / stride), math.ceil(self.high) + 1, stride)
            # With few decades in sight, values between them too.
            steps = (1,) if spanned > 3 else (1, 3) if spanned > 1 else (1, 2, 3, 5, 7)
            values = [step * 10.0**decade for decade in decades for step in steps]
            return [value for value in values if self.low <= math.log10(value) <= self.high]
        raw = (self.high - self.low) / TICKS
        unit = 10.0 ** math.floor(math.log10(raw))
        step = unit * min((1, 2, 5, 10), key=lambda factor: abs(factor * unit - raw))
        first = math.ceil(self.low / step)
        return [round(index * step, 12) for index in range(first, math.floor(self.high / step) + 1)]


def _draw_mark(root: ElementTree.Element, mark: Mark, x: float, y: float) -> None:
    size = mark.size
    style = {
        "fill": "#ffffff" if mark.hollow else mark.colour,
        "stroke": mark.colour,
        "stroke-width": "1.6" if mark.hollow else "0.6",
        "fill-opacity": "0.85",
    }
    if mark.shape == "circle":
        drawn = ElementTree.SubElement(
            root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{size:.1f}", **style}
        )
    else:
        corners = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in CORNERS[mark.shape])
        drawn = ElementTree.SubElement(root, "polygon", {"points": corners, **style})
    if mark.title:
        ElementTree.SubElement(drawn, "title").text = mark.title


CORNERS = {
    "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    "square": ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
}


def _line(root: ElementTree.Element, x1: str, y1: str, x2: str, y2: str, stroke: str) -> None:
    ElementTree.SubElement(root, "line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": stroke})


def _text(root: ElementTree.Element, x: str, y: str, text: str, anchor: str) -> ElementTree.Element:
    found = ElementTree.SubElement(root, "text", {"x": x, "y": y, "text-anchor": anchor})
    found.text = text
    return found


def colour(index: int, count: int) -> str:
    """A colour for one of ``count`` things."""
    if count <= len(PALETTE):
        return PALETTE[index]
    return f"hsl({round(360 * index / count)} 60% {(42, 58)[index % 2]}%)"


def single_mark(shape: str, filled: str) -> Svg:
    """One mark alone, for a legend."""
    root = ElementTree.Element("svg", {"viewBox": "0 0 14 14", "width": "14", "height": "14"})
    _draw_mark(root, Mark(0, 0, colour=filled, shape=shape, size=5), 7, 7)
    return Svg(ElementTree.tostring(root, encoding="unicode"))


def shape_of(index: int) -> str:
    """A shape for one of some things; they repeat after four."""
    return SHAPES[index % len(SHAPES)]
