"""Compose drawings on a background into a picture with an exact label map.

A pixel belongs to the topmost drawing whose own opacity there is above one half, else to the background.

Not here: the hand-made layouts (`showcase`), files (`make_data`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llmseg.errors import InputError, lookup

from .backgrounds import TILE, paint_background
from .sprites import SPRITE_SIZE
from .vocabulary import BACKGROUNDS, FINE, label_ids

__all__ = ["Placement", "Scene", "Sprites", "compose_scene", "pose_sprite", "random_scene"]

Sprites = Mapping[str, Image.Image]  # fine name -> square RGBA drawing

SMALLEST, LARGEST = 28, 64  # pixels, side of a drawing before it is turned
COUNT_SHARES = (0.2, 0.3, 0.3, 0.2)  # of scenes with 1, 2, 3, 4 drawings
TILT = 12.0  # degrees, standard deviation
UPRIGHT = 3.0  # a smaller tilt is not worth the blur of turning
CORE = 0.42  # of the side, from the centre: this part overlaps no other and stays inside the picture
TRIES = 12  # random places looked at before a drawing is left out
OPAQUE = 127  # alpha above this makes the pixel part of the drawing
# Background seeds start here; the model was trained on seeds far below, so no scene shows a known one.
UNSEEN_SEEDS = 2**32


@dataclass(frozen=True)
class Placement:
    """One drawing in a scene: which, centre and side in pixels, mirrored or not, degrees anticlockwise."""

    name: str
    x: float
    y: float
    size: int
    mirrored: bool = False
    angle: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A picture, its label map and what it was made of, back to front.

    Args:
        image: RGB picture.
        labels: ids as in `label_ids`, one per pixel. [H,W]
        background: name of each background in it.
        placements: every drawing, the last one on top.
    """

    image: Image.Image
    labels: NDArray[np.uint8]
    backgrounds: tuple[str, ...]
    placements: tuple[Placement, ...]


def pose_sprite(sprite: Image.Image, placement: Placement) -> tuple[Image.Image, tuple[int, int]]:
    """Mirror, scale and turn a drawing. RGBA, and its left upper corner in the scene."""
    if placement.size <= SPRITE_SIZE // 2:
        # Bilinear scaling below one half would skip pixels; an exact half first avoids that.
        sprite = sprite.resize((SPRITE_SIZE // 2, SPRITE_SIZE // 2), Image.Resampling.LANCZOS)
    if placement.mirrored:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    posed = sprite.resize((placement.size, placement.size), Image.Resampling.BILINEAR)
    if abs(placement.angle) > UPRIGHT:
        posed = posed.rotate(placement.angle, Image.Resampling.BILINEAR, expand=True)
    return posed, (int(placement.x - posed.width / 2), int(placement.y - posed.height / 2))


def compose_scene(
    image: Image.Image,
    labels: NDArray[np.uint8],
    backgrounds: Sequence[str],
    placements: Sequence[Placement],
    sprites: Sprites,
) -> Scene:
    """Put drawings on a painted background, in the given order.

    Args:
        image: the background. RGB
        labels: its ids. [H,W]
        backgrounds: its names.
        placements: what goes on it, the last one on top.
        sprites: the drawings.

    Raises:
        UnknownNameError: a placement names no drawing.
    """
    ids = label_ids()
    image, label_image = image.copy(), Image.fromarray(labels)
    for placement in placements:
        sprite = lookup(sprites, placement.name, place="placement")
        posed, corner = pose_sprite(sprite, placement)
        alpha = posed.getchannel("A")
        image.paste(posed, corner, posed)
        inside = alpha.point([255 if value > OPAQUE else 0 for value in range(256)])
        label_image.paste(ids[placement.name], corner, inside)
    return Scene(image, np.array(label_image), tuple(backgrounds), tuple(placements))


def random_scene(seed: int, sprites: Sprites, width: int = 96, height: int = 96) -> Scene:
    """One to four drawings at random places of one background; the same arguments, the same scene.

    Args:
        seed: any number from 0.
        sprites: the drawings; every fine name is drawn equally often.
        width: of the picture, at least the largest drawing.
        height: the same.

    Raises:
        InputError: a side is shorter than the largest drawing.
    """
    for place, side in (("width", width), ("height", height)):
        if side < LARGEST:
            problem = f"{side!r} pixels; expected at least {LARGEST}, the side of the largest drawing."
            raise InputError(problem, place=place)
    random = np.random.default_rng(seed)
    name = BACKGROUNDS[random.integers(len(BACKGROUNDS))]
    image = _random_background(name, random, width, height)
    labels = np.full((height, width), label_ids()[name], np.uint8)
    placements: list[Placement] = []
    for _ in range(1 + random.choice(len(COUNT_SHARES), p=COUNT_SHARES)):
        placement = _random_placement(random, width, height, placements)
        if placement is not None:
            placements.append(placement)
    return compose_scene(image, labels, [name], placements, sprites)


def _random_background(name: str, random: np.random.Generator, width: int, height: int) -> Image.Image:
    """A random part of a fresh background, mirrored half of the time. RGB"""
    seed = UNSEEN_SEEDS + int(random.integers(2**32))
    whole = paint_background(name, seed, max(TILE, width), max(TILE, height))
    left = int(random.integers(whole.width - width + 1))
    top = int(random.integers(whole.height - height + 1))
    part = whole.crop((left, top, left + width, top + height))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else part


def _random_placement(
    random: np.random.Generator, width: int, height: int, others: Sequence[Placement]
) -> Placement | None:
    """A place that leaves the core of every other drawing free; None when none was found."""
    for _ in range(TRIES):
        size = int(random.integers(SMALLEST, LARGEST + 1))
        margin = size * CORE
        x = float(random.uniform(margin, width - margin))
        y = float(random.uniform(margin, height - margin))
        free = (max(abs(x - o.x), abs(y - o.y)) > (size + o.size) * CORE for o in others)
        if all(free):
            name = FINE[random.integers(len(FINE))].name
            mirrored = bool(random.random() < 0.5)
            return Placement(name, x, y, size, mirrored, float(random.normal(0, TILT)))
    return None
