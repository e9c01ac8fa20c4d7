"""Which colour a class has: by position, the same every time.

Not here: drawing (`rendering`).
"""

from __future__ import annotations

import colorsys

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
GOLDEN_RATIO = 0.61803398875


def make_palette(count: int) -> tuple[Colour, ...]:
    """`count` colours, the same ones in the same order every time."""
    palette = list(PICKED[:count])
    for number in range(len(PICKED), count):
        hue = number * GOLDEN_RATIO % 1
        value = (0.95, 0.75, 0.55)[number % 3]
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, value))
        palette.append((red, green, blue))
    return tuple(palette)
