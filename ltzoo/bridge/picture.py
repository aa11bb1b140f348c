"""A bridge in one picture: what it joins, and how good each direction is. Torch-free."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from ltzoo.bridge.explanation import Explained, ExplainedDirection, ExplainedModel
from ltzoo.bridge.wording import accuracy_words, explanation_lines, size_words, summary
from ltzoo.drawing import Drawing

__all__ = ["draw_bridge"]

WIDTH, EDGE, GAP = 960, 40, 24
BOX = 270, 168
SMALL_BOX = 278, 120
ROW, MOST_ROWS = 34, 20
INK, GREY, LIGHT, PALE = "#24292f", "#57606a", "#d0d7de", "#f6f8fa"
BLUE, TRACK, MARK = "#3b6ea8", "#e6ebf1", "#d1242f"


@dataclass(frozen=True)
class Column:
    """One measure in the table: its heading, the figures that it may be taken from, and what is below."""

    heading: str
    below: str
    names: tuple[str, ...]

    def value(self, direction: ExplainedDirection) -> float | None:
        """The first of its figures that was measured."""
        return next((direction.figures[name] for name in self.names if name in direction.figures), None)


COLUMNS = (
    Column("right class", "of translations", ("transfer_accuracy",)),
    Column("there and back", "keep the class", ("cycle_accuracy",)),
    Column("comes back", "of the differences", ("noisy_cycle_r2", "cycle_r2")),
    Column("neighbours kept", "of the nearest ten", ("neighbourhood_overlap",)),
    Column("foretold", "of true counterparts", ("paired_r2",)),
    Column("counterpart first", "among all", ("top1_retrieval",)),
)
MOST_COLUMNS = 4


def draw_bridge(explained: Explained) -> Drawing:
    """Draws a bridge.

    Two models stand face to face, with how many of a hundred arrive in the right class between them; more
    stand side by side. Below are the figures of each direction, and what is needed to use it.
    """
    models, pair = explained.models, len(explained.models) == 2
    per_row = 3
    rows = 1 if pair else math.ceil(len(models) / per_row)
    height_of_boxes = BOX[1] if pair else rows * (SMALL_BOX[1] + 16) - 16
    shown = explained.directions[:MOST_ROWS]
    columns = [c for c in COLUMNS if any(c.value(d) is not None for d in shown)][:MOST_COLUMNS]
    table = 62 + ROW * len(shown) if columns else 40
    height = 92 + height_of_boxes + GAP + table + GAP + 96
    drawing = Drawing(WIDTH, height, summary(explained), "\n".join(explanation_lines(explained)))
    drawing.text(EDGE, 44, explained.reference, size=24, fit=WIDTH - 2 * EDGE)
    facts = [f"recipe {explained.recipe}", explained.date, size_words(explained.size)]
    facts += [explained.license] if explained.license else []
    drawing.text(EDGE, 68, "A bridge  ·  " + "  ·  ".join(facts), fill=GREY, fit=WIDTH - 2 * EDGE)
    top = 92
    if pair:
        _draw_pair(drawing, explained, top)
    else:
        for place, model in enumerate(models):
            x = EDGE + place % per_row * (SMALL_BOX[0] + (WIDTH - 2 * EDGE - 3 * SMALL_BOX[0]) / 2)
            _draw_model(drawing, model, x, top + place // per_row * (SMALL_BOX[1] + 16), SMALL_BOX)
    top += height_of_boxes + GAP
    if columns:
        _draw_table(drawing, explained, shown, columns, top)
    else:
        drawing.text(
            EDGE, top + 24, f"Nobody has measured it yet: ltzoo eval {explained.reference}", fill=GREY
        )
    _draw_use(drawing, explained, top + table + GAP)
    return drawing


def _draw_pair(drawing: Drawing, explained: Explained, top: float) -> None:
    """Two models, and an arrow each way."""
    left, right = explained.models
    _draw_model(drawing, left, EDGE, top, BOX)
    _draw_model(drawing, right, WIDTH - EDGE - BOX[0], top, BOX)
    start, end = EDGE + BOX[0] + 14.0, WIDTH - EDGE - BOX[0] - 14.0
    for direction, y in zip(explained.directions, (top + 58, top + 142), strict=True):
        forward = direction.source == left.id
        usable = direction.command is not None
        _draw_arrow(drawing, *((start, end) if forward else (end, start)), y, BLUE if usable else LIGHT)
        middle = (start + end) / 2
        accuracy = direction.figures.get("transfer_accuracy")
        if accuracy is not None:
            right_ones, total = accuracy_words(accuracy)
            drawing.text(middle, y - 12, f"{right_ones} of {total}", size=22, anchor="middle")
            source, target = explained.model(direction.source), explained.model(direction.target)
            said = f"{source.items} become the right {target.items}"
        else:
            said = "not measured"
        if not usable:
            said += "; from latents only"
        drawing.text(middle, y + 20, said, size=12, fill=GREY, anchor="middle", fit=end - start)


def _draw_arrow(drawing: Drawing, start: float, end: float, y: float, colour: str) -> None:
    back = math.copysign(11, start - end)
    drawing.line([(start, y), (end + back, y)], stroke=colour, width=2.5)
    drawing.polygon([(end, y), (end + back, y - 6), (end + back, y + 6)], fill=colour)


def _draw_model(drawing: Drawing, model: ExplainedModel, x: float, y: float, size: tuple[int, int]) -> None:
    """A box with what is known of a model."""
    width, height = size
    drawing.box(x, y, width, height, fill=PALE, stroke=LIGHT, radius=10)
    ICONS.get(model.modality or "", _draw_unknown)(drawing, x + 14, y + 14)
    inside = width - 28
    drawing.text(x + 62, y + 32, model.id, size=16, fit=width - 74)
    drawing.text(x + 62, y + 50, model.modality or "not known here", size=12, fill=GREY, fit=width - 74)
    lines = textwrap.wrap(model.title or "", 38)[: 2 if height == BOX[1] else 1]
    for number, line in enumerate(lines):
        drawing.text(x + 14, y + 80 + 17 * number, line, size=12, fit=inside)
    small = [f"latents: {model.latent}" if model.latent else "", model.license or ""]
    if height == BOX[1]:
        for number, text in enumerate(small):
            drawing.text(x + 14, y + height - 32 + 17 * number, text, size=12, fill=GREY, fit=inside)
    else:
        drawing.text(
            x + 14, y + height - 15, "  ·  ".join(filter(None, small)), size=12, fill=GREY, fit=inside
        )


def _draw_table(
    drawing: Drawing,
    explained: Explained,
    shown: tuple[ExplainedDirection, ...],
    columns: list[Column],
    top: float,
) -> None:
    """The figures as bars, a row a direction."""
    first = EDGE + 300
    each = (WIDTH - EDGE - first) / len(columns)
    for number, column in enumerate(columns):
        drawing.text(first + number * each, top + 14, column.heading, size=13, fit=each - 8)
        drawing.text(first + number * each, top + 31, column.below, size=11, fill=GREY, fit=each - 8)
    for row, direction in enumerate(shown):
        y = top + 62 + row * ROW
        _draw_ends(drawing, direction, y)
        for number, column in enumerate(columns):
            if (value := column.value(direction)) is not None:
                ceiling = _ceiling(direction) if number == 0 else None
                _draw_bar(drawing, first + number * each, y, each - 62, value, ceiling)
    if columns[0].names == ("transfer_accuracy",) and any(_ceiling(d) is not None for d in shown):
        text = "red: what the judge reads of the target's own"
        drawing.text(EDGE, top + 14, text, size=11, fill=GREY, fit=290)
    if more := len(explained.directions) - len(shown):
        drawing.text(EDGE, top + 31, f"and {more} more directions", size=11, fill=GREY)


def _draw_ends(drawing: Drawing, direction: ExplainedDirection, y: float) -> None:
    """From which model to which."""
    drawing.text(EDGE, y, direction.source, size=12, fit=126)
    _draw_arrow(drawing, EDGE + 132, EDGE + 154, y - 4, GREY)
    drawing.text(EDGE + 162, y, direction.target, size=12, fit=130)


def _ceiling(direction: ExplainedDirection) -> float | None:
    """How much the judge reads right of the target's own latents, if that was measured."""
    accuracy, share = (direction.figures.get(n) for n in ("transfer_accuracy", "transfer_accuracy_share"))
    return min(1.0, accuracy / share) if accuracy is not None and share else None


def _draw_bar(
    drawing: Drawing, x: float, y: float, width: float, value: float, ceiling: float | None
) -> None:
    share = min(1.0, max(0.0, value))
    drawing.box(x, y - 11, width, 13, fill=TRACK, radius=3)
    if share * width >= 1:
        drawing.box(x, y - 11, share * width, 13, fill=BLUE, radius=3)
    if ceiling is not None:
        place = x + ceiling * width
        drawing.line([(place, y - 14), (place, y + 5)], stroke=MARK, width=2)
    right, total = accuracy_words(value)
    drawing.text(x + width + 8, y, f"{100 * right / total:g} %", size=12)


def _draw_use(drawing: Drawing, explained: Explained, top: float) -> None:
    """What is needed, and the command."""
    drawing.box(EDGE, top, WIDTH - 2 * EDGE, 72, fill=INK, radius=8)
    missing = [need for need in explained.needs if need.status != "ok"]
    names = ", ".join(need.package or f"the plugin of {need.serves}" for need in explained.needs)
    said = f"needs {names}" + ("" if missing else " (installed)")
    drawing.text(EDGE + 18, top + 28, said, size=12, fill="#c9d1d9", fit=WIDTH - 2 * EDGE - 36)
    command = next((d.command for d in explained.directions if d.command), None)
    text = command or "its latents can be translated in Python: ltzoo.bridge.load_bridge"
    drawing.text(EDGE + 18, top + 53, text, size=13, fill="#ffffff", fit=WIDTH - 2 * EDGE - 36)


# What a modality looks like, 38 x 38


def _draw_frame(drawing: Drawing, x: float, y: float) -> None:
    drawing.box(x, y, 38, 38, fill="#ffffff", stroke=LIGHT, radius=6)


def _draw_image(drawing: Drawing, x: float, y: float) -> None:
    _draw_frame(drawing, x, y)
    drawing.polygon([(x + 5, y + 32), (x + 15, y + 15), (x + 25, y + 32)], fill=BLUE)
    drawing.polygon([(x + 17, y + 32), (x + 25, y + 20), (x + 33, y + 32)], fill="#7ba3d0")
    drawing.box(x + 25, y + 7, 7, 7, fill="#e3b341", radius=3.5)


def _draw_audio(drawing: Drawing, x: float, y: float) -> None:
    _draw_frame(drawing, x, y)
    for number, half in enumerate((3, 8, 13, 6, 10, 4)):
        drawing.box(x + 5 + 5 * number, y + 19 - half, 3, 2 * half, fill=BLUE, radius=1.5)


def _draw_text(drawing: Drawing, x: float, y: float) -> None:
    _draw_frame(drawing, x, y)
    for number, length in enumerate((26, 22, 26, 14)):
        drawing.box(x + 6, y + 8 + 6 * number, length, 3, fill=BLUE, radius=1.5)


def _draw_array(drawing: Drawing, x: float, y: float) -> None:
    _draw_frame(drawing, x, y)
    for number in range(9):
        shade = BLUE if number in (0, 4, 5, 7) else "#a9c3e0"
        drawing.box(x + 6 + 9 * (number % 3), y + 6 + 9 * (number // 3), 7, 7, fill=shade, radius=1)


def _draw_unknown(drawing: Drawing, x: float, y: float) -> None:
    _draw_frame(drawing, x, y)
    drawing.text(x + 19, y + 28, "?", size=24, fill=GREY, anchor="middle")


ICONS: dict[str, Callable[[Drawing, float, float], None]] = {
    "image": _draw_image,
    "audio": _draw_audio,
    "text": _draw_text,
    "array": _draw_array,
}
