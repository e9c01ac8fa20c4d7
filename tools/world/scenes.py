"""Compose drawings on a background into a picture with an exact label map.

A pixel belongs to the topmost drawing whose own opacity there is above one half, else to the background.

Not here: the hand-made layouts (`showcase`), files (`make_data`), captions (`tools.train`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from llmseg.errors import InputError, lookup

from .backgrounds import TILE, paint_background
from .sprites import Sprite, Sprites
from .vocabulary import BACKGROUNDS, FINE, label_ids

__all__ = [
    "BackdropPool", "Placement", "Rules", "Scene", "compose_scene", "paint_backdrop", "pose_sprite", "random_contents",
    "random_scene", "relight",
]  # fmt: skip

UNIT = 96  # pixels; `COUNT_SHARES` holds for a square of this side, larger scenes get more
COUNT_SHARES = (0.2, 0.3, 0.3, 0.2)  # of scenes with 1, 2, 3, 4 drawings
CROWDING = 0.6  # the count grows with this power of the area
TILT = 12.0  # degrees, standard deviation
UPRIGHT = 3.0  # a smaller tilt is not worth the blur of turning
CORE = 0.36  # of the side, from the centre: this part overlaps no other core and stays inside the picture
TRIES = 12  # random places looked at before a drawing is left out
OPAQUE = 127  # alpha above this makes the pixel part of the drawing
BLURRED = 0.15  # share of pictures that are out of focus, by up to one pixel
PAIRS = 10  # one in so many pairs of drawings is never seen together in training
# Background seeds of the benchmarks start here; training uses seeds far below, so no scene shows a known one.
UNSEEN_SEEDS = 2**32

Backdrop = Callable[[str, np.random.Generator, int, int], Image.Image]
TRAINED = tuple(fine.name for fine in FINE if not fine.held_out)
_NUMBERS = {fine.name: number for number, fine in enumerate(FINE)}
_ALPHA_TO_MASK = [255 if value > OPAQUE else 0 for value in range(256)]


@dataclass(frozen=True)
class Rules:
    """What may stand in a random scene.

    Args:
        names: drawings to choose from, each equally often.
        smallest, largest: side of a drawing in pixels; sizes are drawn evenly on a logarithmic scale.
        most: drawings in a square of `UNIT` pixels, 1 to 4.
        new_pairs: whether pairs of drawings that training never shows together may stand together.
    """

    names: tuple[str, ...] = TRAINED
    smallest: int = 12
    largest: int = 120
    most: int = 4
    new_pairs: bool = True


@dataclass(frozen=True)
class Placement:
    """One drawing in a scene: which, centre and side in pixels, mirrored or not, degrees anticlockwise, look."""

    name: str
    x: float
    y: float
    size: int
    mirrored: bool = False
    angle: float = 0.0
    look: int = 0


@dataclass(frozen=True)
class Scene:
    """A picture, its label map and what it was made of, back to front.

    Args:
        image: RGB picture.
        labels: ids as in `label_ids`, one per pixel. [H,W]
        instances: 0 where a background is, n for the n-th placement. [H,W]
        backgrounds: name of each background in it.
        placements: every drawing, the last one on top.
    """

    image: Image.Image
    labels: NDArray[np.uint16]
    instances: NDArray[np.uint8]
    backgrounds: tuple[str, ...]
    placements: tuple[Placement, ...]


def pose_sprite(sprite: Sprite, placement: Placement) -> tuple[Image.Image, tuple[int, int]]:
    """Mirror, scale and turn a drawing. RGBA, and its left upper corner in the scene."""
    posed = sprite.at_least(placement.size)
    if placement.mirrored:
        posed = posed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    posed = posed.resize((placement.size, placement.size), Image.Resampling.BILINEAR)
    if abs(placement.angle) > UPRIGHT:
        posed = posed.rotate(placement.angle, Image.Resampling.BILINEAR, expand=True)
    return posed, (int(placement.x - posed.width / 2), int(placement.y - posed.height / 2))


def compose_scene(
    image: Image.Image,
    labels: NDArray[np.uint16],
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
    image, instance_image = image.copy(), Image.new("L", image.size, 0)
    for number, placement in enumerate(placements, start=1):
        paste_drawing(image, placement, sprites, instance_image, number)
    instances = np.array(instance_image)
    labels = labels.copy()
    for number, placement in enumerate(placements, start=1):
        labels[instances == number] = ids[placement.name]
    return Scene(image, labels, instances, tuple(backgrounds), tuple(placements))


def paste_drawing(
    image: Image.Image, placement: Placement, sprites: Sprites, instances: Image.Image | None = None, number: int = 0
) -> None:
    """Put one drawing on a picture, and its number into the picture of instances where there is one.

    Raises:
        UnknownNameError: the placement names no drawing.
    """
    looks = lookup(sprites, placement.name, place="placement")
    posed, corner = pose_sprite(looks[placement.look % len(looks)], placement)
    alpha = posed.getchannel("A")
    image.paste(posed, corner, alpha)
    if instances is not None:
        instances.paste(number, corner, alpha.point(_ALPHA_TO_MASK))


def random_scene(
    seed: int, sprites: Sprites, width: int = UNIT, height: int = UNIT, rules: Rules | None = None
) -> Scene:
    """Drawings at random places of one background in random light; the same arguments, the same scene.

    Args:
        seed: any number from 0.
        sprites: the drawings.
        width, height: of the picture, at least half the largest drawing.
        rules: what may stand in it; by default every trained drawing, 12 to 120 pixels.

    Raises:
        InputError: a side is too short.
    """
    rules = rules or Rules()
    for place, side in (("width", width), ("height", height)):
        if side < rules.largest / 2:
            problem = f"{side!r} pixels; expected at least {rules.largest // 2}, half the side of the largest drawing."
            raise InputError(problem, place=place)
    random = np.random.default_rng(seed)
    name, placements = random_contents(random, width, height, rules)
    image = paint_backdrop(name, random, width, height)
    labels = np.full((height, width), label_ids()[name], np.uint16)
    scene = compose_scene(image, labels, [name], placements, sprites)
    return Scene(relight(scene.image, random), scene.labels, scene.instances, scene.backgrounds, scene.placements)


def random_contents(
    random: np.random.Generator, width: int, height: int, rules: Rules
) -> tuple[str, tuple[Placement, ...]]:
    """A background and where which drawings stand on it."""
    name = BACKGROUNDS[random.integers(len(BACKGROUNDS))]
    shares = np.array(COUNT_SHARES[: rules.most])
    crowd = max(1.0, (width * height / UNIT**2) ** CROWDING)
    count = round((1 + random.choice(len(shares), p=shares / shares.sum())) * crowd)
    placements: list[Placement] = []
    for _ in range(count):
        placement = _random_placement(random, width, height, placements, rules)
        if placement is not None:
            placements.append(placement)
    return name, tuple(placements)


def paint_backdrop(name: str, random: np.random.Generator, width: int, height: int) -> Image.Image:
    """A random part of a background painted afresh from a seed that training never uses. RGB"""
    seed = UNSEEN_SEEDS + int(random.integers(2**32))
    return _random_part(paint_background(name, seed, max(TILE, width), max(TILE, height)), random, width, height)


class BackdropPool:
    """Backgrounds painted once and cut again and again: what training can afford.

    Args:
        each: pictures a background.
        side: of each, in pixels; the largest scene.
        first_seed: seeds from here on, below `UNSEEN_SEEDS`.
    """

    def __init__(self, each: int = 48, side: int = 192, first_seed: int = 0) -> None:
        self._pictures = {
            name: [paint_background(name, first_seed + kind * 10_000 + copy, side, side) for copy in range(each)]
            for kind, name in enumerate(BACKGROUNDS)
        }

    def __call__(self, name: str, random: np.random.Generator, width: int, height: int) -> Image.Image:
        """A random part of one of the pictures. RGB"""
        pictures = self._pictures[name]
        return _random_part(pictures[random.integers(len(pictures))], random, width, height)


def relight(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Random brightness, tint and contrast, and now and then a lens out of focus. RGB"""
    gain = random.uniform(0.8, 1.2) * random.uniform(0.93, 1.07, 3)
    offset = random.uniform(-15, 15)
    # The light first, as one table: blurring is linear, so the order hardly matters and this one is faster.
    table = np.clip(np.arange(256)[None] * gain[:, None] + offset, 0, 255).astype(np.uint8)
    image = image.point(table.ravel().tolist())
    if random.random() < BLURRED:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.0)))
    return image


def _random_part(whole: Image.Image, random: np.random.Generator, width: int, height: int) -> Image.Image:
    """A random part, mirrored half of the time. RGB"""
    left = int(random.integers(whole.width - width + 1))
    top = int(random.integers(whole.height - height + 1))
    part = whole.crop((left, top, left + width, top + height))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else part


def _random_placement(
    random: np.random.Generator, width: int, height: int, others: Sequence[Placement], rules: Rules
) -> Placement | None:
    """A place that leaves the core of every other drawing free; None when none was found."""
    for _ in range(TRIES):
        size = round(rules.smallest * (rules.largest / rules.smallest) ** random.random())
        margin_x, margin_y = min(size * CORE, width / 2), min(size * CORE, height / 2)
        x = margin_x + random.random() * (width - 2 * margin_x)
        y = margin_y + random.random() * (height - 2 * margin_y)
        name = rules.names[random.integers(len(rules.names))]
        free = all(max(abs(x - o.x), abs(y - o.y)) > (size + o.size) * CORE for o in others)
        if free and (rules.new_pairs or not any(_is_new_pair(name, o.name) for o in others)):
            mirrored, angle = bool(random.random() < 0.5), float(random.normal(0, TILT))
            return Placement(name, x, y, size, mirrored, angle, int(random.integers(2**16)))
    return None


def _is_new_pair(one: str, other: str) -> bool:
    """Whether training never shows these two together."""
    return (_NUMBERS[one] + _NUMBERS[other]) % PAIRS == 0
