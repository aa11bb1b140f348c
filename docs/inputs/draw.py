"""Draws the digits of this folder: pen strokes on white paper, scanned at 280 x 280.

python docs/inputs/draw.py    writes digit-0.png ... digit-9.png beside this file

The strokes are ours; so are the pictures (Apache-2.0, as the rest of the repository).
"""

from __future__ import annotations

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIZE = 280
PEN = 20

# Control points of smooth strokes, in a box of 100 x 100 with y downwards.
STROKES = {
    0: [[(55, 8), (28, 18), (18, 52), (32, 88), (58, 92), (80, 66), (78, 28), (56, 8), (48, 10)]],
    1: [[(60, 6), (54, 36), (48, 66), (42, 95)]],
    2: [[(22, 26), (36, 8), (62, 8), (72, 26), (60, 50), (36, 74), (20, 90), (46, 86), (84, 90)]],
    3: [[(24, 14), (50, 6), (72, 18), (66, 38), (44, 46), (70, 52), (78, 74), (58, 92), (24, 88)]],
    4: [[(34, 8), (28, 30), (22, 54), (50, 56), (82, 50)], [(68, 10), (64, 40), (60, 70), (58, 96)]],
    5: [
        [(36, 10), (32, 28), (28, 46), (54, 42), (74, 56), (70, 80), (46, 92), (22, 84)],
        [(36, 10), (56, 10), (78, 8)],
    ],
    6: [[(66, 6), (44, 24), (28, 54), (32, 84), (54, 94), (74, 80), (66, 60), (44, 58), (32, 74)]],
    7: [[(20, 16), (48, 14), (80, 12), (66, 40), (52, 68), (44, 96)]],
    8: [
        [
            (70, 20),
            (50, 6),
            (30, 20),
            (40, 42),
            (64, 58),
            (72, 80),
            (50, 95),
            (28, 80),
            (40, 56),
            (62, 40),
            (70, 20),
        ]
    ],
    9: [[(72, 26), (52, 10), (32, 24), (34, 46), (56, 50), (72, 30), (72, 26), (70, 54), (62, 78), (54, 96)]],
}


def smooth(points: list[tuple[float, float]], steps: int = 24) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through the points."""
    padded = [points[0], *points, points[-1]]
    curve = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for i in range(steps):
            t = i / steps
            curve.append(
                tuple(
                    0.5
                    * (
                        2 * b
                        + (c - a) * t
                        + (2 * a - 5 * b + 4 * c - d) * t**2
                        + (3 * b - a - 3 * c + d) * t**3
                    )
                    for a, b, c, d in zip(p0, p1, p2, p3, strict=True)
                )
            )
    return [*curve, points[-1]]


def draw(digit: int) -> Image.Image:
    """One digit, with the slant, the tremor and the uneven pressure of a hand."""
    hand = random.Random(digit)
    slant, turn = hand.uniform(0.0, 0.18), hand.uniform(-0.06, 0.06)
    paper = Image.new("L", (SIZE * 2, SIZE * 2), 255)
    pen = ImageDraw.Draw(paper)
    for stroke in STROKES[digit]:
        points = [(x + hand.uniform(-2, 2), y + hand.uniform(-2, 2)) for x, y in stroke]
        for i, (x, y) in enumerate(smooth(points)):
            x, y = x - 50 - slant * (y - 50), y - 50
            x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
            x, y = SIZE + x * 3.6, SIZE + y * 3.6
            radius = PEN * (0.92 + 0.12 * math.sin(i / 17 + digit))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=24)
    return paper.filter(ImageFilter.GaussianBlur(1.5)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    for digit in STROKES:
        draw(digit).save(Path(__file__).parent / f"digit-{digit}.png", optimize=True)
