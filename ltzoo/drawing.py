"""A drawing of boxes, lines and texts, as SVG or as PNG. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape, quoteattr

from ltzoo.errors import MediaError
from ltzoo.files import replacing

if TYPE_CHECKING:
    from PIL import ImageFont

__all__ = ["FORMATS", "Drawing"]

FORMATS = (".svg", ".png")
FONT = "Aileron, Helvetica, Arial, sans-serif"
"""The first is the one that Pillow has, which widths are measured with."""

WIDEST = 1.12
"""Other fonts need so many times the room, and a text that fits must fit in them too."""

SCALE = 2
"""Pixels of a PNG for one of the drawing."""

SMOOTHED = 3
"""Pillow draws lines and corners with steps: so many times as large, then reduced."""

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]


@dataclass(frozen=True)
class _Polygon:
    points: Sequence[Point]
    fill: str | None
    stroke: str | None
    width: float
    closed: bool


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str | None
    radius: float


@dataclass(frozen=True)
class _Text:
    x: float
    y: float
    text: str
    size: float
    fill: str
    anchor: Anchor


@dataclass
class Drawing:
    """Shapes in the order in which they are drawn, on white. Lengths are pixels; y grows downwards.

    Attributes:
        width: Of the drawing.
        height: Of the drawing.
        title: What it shows, for those who cannot see it.
        description: The same in full.
    """

    width: int
    height: int
    title: str
    description: str = ""
    _shapes: list[_Polygon | _Box | _Text] = field(default_factory=list)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str,
        stroke: str | None = None,
        radius: float = 0.0,
    ) -> None:
        """A rectangle by its upper left corner; colours are ``#rrggbb``."""
        self._shapes.append(_Box(x, y, width, height, fill, stroke, radius))

    def line(self, points: Sequence[Point], *, stroke: str, width: float = 1.5) -> None:
        """A line through points."""
        self._shapes.append(_Polygon(points, None, stroke, width, closed=False))

    def polygon(self, points: Sequence[Point], *, fill: str) -> None:
        """A filled shape."""
        self._shapes.append(_Polygon(points, fill, None, 0.0, closed=True))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13.0,
        fill: str = "#24292f",
        anchor: Anchor = "start",
        fit: float | None = None,
    ) -> None:
        """One line of text.

        Args:
            x: Where it starts, has its middle or ends, by ``anchor``.
            y: Its baseline.
            text: What it says; whatever cannot be seen in it is left out.
            size: Of the font.
            fill: Its colour.
            anchor: What ``x`` is.
            fit: What is longer is cut, and ends with an ellipsis.
        """
        text = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
        room = None if fit is None else fit / WIDEST
        if room is not None and text_width(text, size) > room:
            while text and text_width(f"{text}…", size) > room:
                text = text[:-1]
            text = f"{text.rstrip()}…"
        self._shapes.append(_Text(x, y, text, size, fill, anchor))

    def save(self, path: Path) -> None:
        """Writes the drawing, by the suffix of the file.

        Raises:
            MediaError: The suffix is none of `FORMATS`.
            OSError: The file cannot be written.
        """
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise MediaError(f"{path}: a drawing is written as {' or '.join(FORMATS)}", hint="-o bridge.svg")
        with replacing(path) as temporary:
            if suffix == ".svg":
                temporary.write_text(self.svg(), encoding="utf-8")
            else:
                temporary.write_bytes(self.png())

    def svg(self) -> str:
        """The drawing as SVG; nothing in it is fetched or run."""
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" font-family={quoteattr(FONT)}>',
            f"<title>{escape(_plain(self.title))}</title>",
            f"<desc>{escape(_plain(self.description))}</desc>",
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>',
            *(_svg_shape(shape) for shape in self._shapes),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def png(self) -> bytes:
        """The drawing as a PNG file of twice its size."""
        import io

        from PIL import Image, ImageDraw

        size = (self.width * SCALE, self.height * SCALE)
        large = Image.new("RGB", (size[0] * SMOOTHED, size[1] * SMOOTHED), "#ffffff")
        draw, s = ImageDraw.Draw(large), SCALE * SMOOTHED
        for shape in self._shapes:
            if isinstance(shape, _Box):
                corners = (
                    shape.x * s,
                    shape.y * s,
                    (shape.x + shape.width) * s,
                    (shape.y + shape.height) * s,
                )
                draw.rounded_rectangle(corners, shape.radius * s, shape.fill, shape.stroke, s)
            elif isinstance(shape, _Polygon):
                points = [(x * s, y * s) for x, y in shape.points]
                if shape.closed:
                    draw.polygon(points, fill=shape.fill)
                else:
                    draw.line(points, fill=shape.stroke, width=round(shape.width * s), joint="curve")
            else:
                anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
                font = _font(shape.size * s)
                draw.text((shape.x * s, shape.y * s), shape.text, shape.fill, font, anchor)
        buffer = io.BytesIO()
        large.resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def text_width(text: str, size: float) -> float:
    """Pixels that a text takes."""
    return float(_font(size).getlength(text))


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _plain(text: str) -> str:
    """The text without characters that XML does not allow."""
    return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _svg_shape(shape: _Polygon | _Box | _Text) -> str:
    if isinstance(shape, _Box):
        stroke = f' stroke="{shape.stroke}"' if shape.stroke else ""
        return (
            f'<rect x="{shape.x:g}" y="{shape.y:g}" width="{shape.width:g}" height="{shape.height:g}" '
            f'rx="{shape.radius:g}" fill="{shape.fill}"{stroke}/>'
        )
    if isinstance(shape, _Polygon):
        points = " ".join(f"{x:g},{y:g}" for x, y in shape.points)
        if shape.closed:
            return f'<polygon points="{points}" fill="{shape.fill}"/>'
        return (
            f'<polyline points="{points}" fill="none" stroke="{shape.stroke}" stroke-width="{shape.width:g}" '
            'stroke-linejoin="round" stroke-linecap="round"/>'
        )
    return (
        f'<text x="{shape.x:g}" y="{shape.y:g}" font-size="{shape.size:g}" fill="{shape.fill}" '
        f'text-anchor="{shape.anchor}">{escape(_plain(shape.text))}</text>'
    )
