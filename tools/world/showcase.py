"""Four larger scenes composed by hand, for the README and the quickstart.

Not here: how a scene is put together (`scenes`); the benchmark scenes, which are random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .backgrounds import paint_background
from .scenes import Placement, Scene, compose_scene
from .sprites import Sprites
from .vocabulary import label_ids

__all__ = ["LAYOUTS", "Layout", "showcase_scene"]


@dataclass(frozen=True)
class Layout:
    """A scene as a person would lay it out.

    Args:
        size: width and height in pixels.
        bands: backgrounds from top to bottom: name, seed, first row.
        placements: drawings, the nearest last.
    """

    size: tuple[int, int]
    bands: tuple[tuple[str, int, int], ...]
    placements: tuple[Placement, ...]


LAYOUTS: dict[str, Layout] = {
    "park": Layout(
        (256, 192),
        (("sky", 7, 0), ("grass", 11, 84)),
        (
            Placement("oak", 50, 66, 64),
            Placement("cottage", 196, 62, 60),
            Placement("taxi", 132, 108, 56),
            Placement("sunflower", 228, 126, 44),
            Placement("poodle", 66, 146, 60),
            Placement("football", 140, 166, 40),
        ),
    ),
    "harbour": Layout(
        (256, 192),
        (("sky", 0, 0), ("water", 2, 72)),
        (
            Placement("helicopter", 200, 34, 48),
            Placement("sailboat", 62, 64, 64),
            Placement("cruise ship", 150, 84, 56),
            Placement("duck", 216, 122, 44),
            Placement("whale", 76, 146, 62),
            Placement("speedboat", 164, 160, 56),
        ),
    ),
    "night": Layout(
        (256, 192),
        (("night", 2, 0), ("grass", 4, 146)),
        (
            Placement("rocket", 46, 40, 56),
            Placement("flying saucer", 200, 40, 52),
            Placement("castle", 124, 116, 64),
            Placement("pine", 40, 128, 60),
            Placement("owl", 196, 132, 52),
        ),
    ),
    "table": Layout(
        (256, 192),
        (("wood", 6, 0),),
        (
            Placement("coffee", 48, 50, 56),
            Placement("strawberry", 116, 42, 44),
            Placement("cupcake", 204, 54, 60),
            Placement("pizza", 122, 112, 64),
            Placement("broccoli", 48, 138, 54),
            Placement("tangerine", 202, 140, 50),
        ),
    ),
}


def showcase_scene(layout: Layout, sprites: Sprites) -> Scene:
    """Paint the bands of a layout and put its drawings on them."""
    width, height = layout.size
    ids = label_ids()
    image = Image.new("RGB", layout.size)
    labels = np.empty((height, width), np.uint16)
    for name, seed, top in layout.bands:
        image.paste(paint_background(name, seed, width, height - top), (0, top))
        labels[top:] = ids[name]
    names = [name for name, _, _ in layout.bands]
    return compose_scene(image, labels, names, layout.placements, sprites)
