"""Ten procedural backgrounds: value noise and a colour ramp each, of any size, from a seed.

Textures keep their scale when the picture grows: the noise lattice follows the size in pixels.

Not here: which scene gets which background (`scenes`, `showcase`).
Source of the noise: sums of resized random lattices (value noise, Perlin's fractal sum).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llmseg.errors import lookup

__all__ = ["PAINTERS", "TILE", "paint_background"]

Field = NDArray[np.floating]  # [H,W], about 0..1
Picture = NDArray[np.floating]  # [H,W,3], 0..255
Colour = tuple[int, int, int]

TILE = 160  # pixels; the size in which the model saw backgrounds, so the unit of texture scale
GRAIN = 4.0  # standard deviation of the last noise, so that no area is perfectly flat


@dataclass(frozen=True)
class Canvas:
    """Size and source of randomness of one background; every method draws from the same stream."""

    width: int
    height: int
    random: np.random.Generator

    def noise(self, octaves: int = 5, stretch: tuple[float, float] = (1, 1), persistence: float = 0.7) -> Field:
        """Fractal noise in 0..1. [H,W]

        Args:
            octaves: lattices summed, each twice as fine as the one before.
            stretch: lattice density along x and y; unequal values make streaks.
            persistence: weight of an octave relative to the one before.
        """
        total = np.zeros((self.height, self.width), np.float32)
        weight, weights = 1.0, 0.0
        for octave in range(octaves):
            columns = max(2, int(3 * 2**octave * stretch[0] * self.width / TILE))
            rows = max(2, int(3 * 2**octave * stretch[1] * self.height / TILE))
            lattice = Image.fromarray(self.random.random((rows, columns), dtype=np.float32))
            smooth = lattice.resize((self.width, self.height), Image.Resampling.BICUBIC)
            total += np.float32(weight) * np.asarray(smooth)
            weights += weight
            weight *= persistence
        mean: Field = total / np.float32(weights)
        return mean

    def vary(self, colour: Colour, spread: float = 18) -> Field:
        """A colour near the given one. [3]"""
        near = np.asarray(colour) + self.random.normal(0, spread, 3)
        return np.clip(near, 0, 255).astype(np.float32)

    def ramp(self, dark: Colour, light: Colour, spread: tuple[float, float] = (18, 18)) -> tuple[Field, Field]:
        """The two ends of a colour ramp, each varied. [3], [3]"""
        return self.vary(dark, spread[0]), self.vary(light, spread[1])

    def rows(self) -> Field:
        """Distance from the upper edge, 0..1. [H,W]"""
        column = np.linspace(0, 1, self.height, dtype=np.float32)[:, None]
        return np.repeat(column, self.width, axis=1)


def _blend(ends: tuple[Field, Field], amount: Field) -> Picture:
    weight = np.clip(amount, 0, 1)[..., None].astype(np.float32)
    return ends[0] * (1 - weight) + ends[1] * weight


def _grass(canvas: Canvas, _: Field) -> Picture:
    ends = canvas.ramp((40, 110, 30), (120, 180, 60))
    return _blend(ends, canvas.noise(5, (3, 1), 0.9) * 1.6 - 0.3)


def _sand(canvas: Canvas, _: Field) -> Picture:
    ends = canvas.ramp((200, 170, 110), (240, 215, 160))
    return _blend(ends, canvas.noise(5, (1, 4), 0.8))


def _water(canvas: Canvas, clouds: Field) -> Picture:
    ends = canvas.ramp((20, 80, 140), (110, 190, 220))
    # Waves of about 17 px, whatever the height of the picture.
    phase = canvas.rows() * (60 * canvas.height / TILE) + 8 * canvas.noise(3, (1, 2), 0.5)
    return _blend(ends, (0.5 + 0.5 * np.sin(phase)) * 0.6 + clouds * 0.4)


def _sky(canvas: Canvas, _: Field) -> Picture:
    picture = _blend(canvas.ramp((90, 160, 235), (190, 220, 250)), canvas.rows())
    cloud = np.clip(canvas.noise(4, (0.7, 1.4), 0.5) * 3 - 1.6, 0, 1)[..., None]
    clouded: Picture = picture * (1 - cloud) + 250 * cloud
    return clouded


def _snow(canvas: Canvas, clouds: Field) -> Picture:
    return _blend(canvas.ramp((215, 225, 240), (250, 252, 255), (8, 4)), clouds)


def _brick(canvas: Canvas, clouds: Field) -> Picture:
    course = int(canvas.random.integers(10, 18))  # height of one row of bricks
    length = 2 * course
    y, x = np.mgrid[: canvas.height, : canvas.width]
    row = y // course
    shifted = x + (row % 2) * course
    mortar = ((y % course) < 2) | ((shifted % length) < 2)
    tones = canvas.random.random((canvas.height // course + 2, canvas.width // length + 3))
    tone = tones[row, shifted // length].astype(np.float32)
    picture = _blend(canvas.ramp((140, 50, 35), (190, 90, 65)), tone * 0.7 + clouds * 0.3)
    picture[mortar] = canvas.vary((190, 180, 170))
    return picture


def _wood(canvas: Canvas, _: Field) -> Picture:
    ends = canvas.ramp((110, 70, 35), (190, 135, 80))
    rings = 0.5 + 0.5 * np.sin(14 * np.pi * canvas.noise(3, (0.5, 4), 0.5))
    picture = _blend(ends, rings)
    picture[np.arange(canvas.height) % 40 < 2] *= 0.5  # the gap between two boards
    return picture


def _night(canvas: Canvas, _: Field) -> Picture:
    picture = _blend(canvas.ramp((8, 10, 35), (35, 30, 80), (5, 8)), canvas.rows())
    picture[canvas.random.random((canvas.height, canvas.width)) < 0.008] = 255  # stars
    return picture


def _rock(canvas: Canvas, clouds: Field) -> Picture:
    return _blend(canvas.ramp((70, 70, 75), (165, 160, 155), (10, 10)), clouds * 2 - 0.5)


def _dirt(canvas: Canvas, _: Field) -> Picture:
    return _blend(canvas.ramp((80, 50, 30), (140, 100, 65), (10, 10)), canvas.noise(5, (1, 1), 0.95))


# The second argument is a cloud of noise that is drawn before any colour, for the painters that want it.
PAINTERS: dict[str, Callable[[Canvas, Field], Picture]] = {
    "grass": _grass,
    "sand": _sand,
    "water": _water,
    "sky": _sky,
    "snow": _snow,
    "brick": _brick,
    "wood": _wood,
    "night": _night,
    "rock": _rock,
    "dirt": _dirt,
}


def paint_background(name: str, seed: int, width: int = TILE, height: int = TILE) -> Image.Image:
    """Paint one background; the same arguments give the same picture. RGB

    Raises:
        UnknownNameError: `name` is not in `PAINTERS`.
    """
    painter = lookup(PAINTERS, name, place="background")
    canvas = Canvas(width, height, np.random.default_rng(seed))
    picture = painter(canvas, canvas.noise())
    picture = picture + canvas.random.normal(0, GRAIN, picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
