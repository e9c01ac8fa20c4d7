"""Which colour a class has: by position, the same every time.

Not here: drawing (`rendering`).
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

__all__ = ["INK", "PAPER", "UNKNOWN_COLOUR", "Colour", "make_palette"]

Colour = tuple[int, int, int]

UNKNOWN_COLOUR: Colour = (96, 96, 96)
INK: Colour = (32, 33, 36)
PAPER: Colour = (250, 250, 250)

# The first colours are picked by hand to differ in hue and lightness; the rest walk the colour wheel.
PICKED: tuple[Colour, ...] = (
    (230, 57, 70), (38, 120, 220), (56, 168, 82), (250, 176, 5), (142, 68, 200), (14, 165, 183),
    (236, 112, 22), (214, 64, 159), (121, 85, 61), (140, 195, 30), (20, 70, 140), (250, 140, 150),
)  # fmt: skip
GOLDEN_RATIO = 0.61803398875  # steps of this share of the wheel never meet again
SHADES = ((0.85, 0.95), (0.45, 0.95), (0.85, 0.6), (0.4, 0.65), (0.9, 0.35))  # saturation and value
HUES = 24


def make_palette(count: int) -> tuple[Colour, ...]:
    """`count` colours, the same ones in the same order every time.

    As far apart as can be for the first hundred or so; beyond, merely different.
    """
    palette = list(_distinct_colours()[:count])
    for number in range(len(palette), count):
        palette.append(_colour(number * GOLDEN_RATIO % 1, 0.75, (0.95, 0.75, 0.55)[number % 3]))
    return tuple(palette)


@lru_cache(maxsize=1)
def _distinct_colours() -> tuple[Colour, ...]:
    """The picked colours, then, one by one, the candidate farthest from all before it."""
    candidates = [_colour(hue / HUES, *shade) for shade in SHADES for hue in range(HUES)]
    fixed = (*PICKED, INK, PAPER, UNKNOWN_COLOUR)
    gaps = {colour: min(_gap(colour, other) for other in fixed) for colour in candidates}
    chosen = list(PICKED)
    while gaps and max(gaps.values()) > 0:
        farthest = max(gaps, key=lambda colour: gaps[colour])
        del gaps[farthest]
        chosen.append(farthest)
        gaps = {colour: min(gap, _gap(colour, farthest)) for colour, gap in gaps.items()}
    return tuple(chosen)


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def _gap(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
