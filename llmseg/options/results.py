"""Options of what is shown and handed on.

Not here: drawing and writing (`llmseg.rendering`, `llmseg.regions`).
"""

from __future__ import annotations

from .kinds import AUTO_NUMBER, Choice, Number, table

__all__ = [
    "BBOX_LAYOUT",
    "CONTOUR",
    "CROP_FACTOR",
    "MASKS",
    "MEASURES",
    "OPACITY",
    "REGION",
    "REGION_AREA",
    "REGION_COUNT",
    "SCENE",
    "TABLE",
]

SCENE = Choice(
    table(
        park="oak, cottage, taxi, poodle and more on grass",
        harbour="boats, a whale and a duck on water",
        night="castle, owl and rocket under stars",
        table="food on a wooden table",
    ),
    default="park",
    tooltip="Which packaged scene.",
)

REGION = Choice(
    table(
        component="every connected piece of a class; pixels touch by an edge or a corner",
        **{"class": "everything of a class"},
    ),
    default="component",
    tooltip="What counts as one region.",
)

MASKS = Choice(
    table(
        each="one mask for each class and image, class after class, in step with Repeat Image Batch",
        union="one mask for each image, white where any of the classes is",
    ),
    default="each",
    tooltip="Which masks the batch holds.",
)

BBOX_LAYOUT = Choice(
    table(
        xywh="(x, y, width, height), those of all images in one list: KJNodes",
        xyxy="(left, top, right, bottom), one list for each image: SAM 2 nodes",
    ),
    default="xywh",
    tooltip="What the BBOX output holds; packs disagree.",
)

TABLE = Choice(
    table(
        text="the classes found, largest first, in columns",
        csv="every class, in the order of the labels, for spreadsheets",
        json="the same for programs",
    ),
    default="text",
    tooltip="How the table is written.",
)
MEASURES = Choice(
    table(
        text="means, then the classes that are there, largest first, in columns",
        csv="every class of the truth, for spreadsheets",
        json="the same for programs",
        markdown="the same as a table for notes and papers",
    ),
    default="text",
    tooltip="How the measures are written.",
)

REGION_AREA = Number(0.001, 0, 1, 0.0005, "Regions covering less than this share of their image are left out.")
REGION_COUNT = Number(100, 1, 1000, 1, "Most regions of an image; the largest are kept.")
CROP_FACTOR = Number(3.0, 1, 100, 0.1, "Sides of the crop around a region over those of its box; 1 cuts tightly.")
OPACITY = Number(0.55, 0, 1, 0.05, "How strongly the class colours cover the picture.")

CONTOUR = Number(
    AUTO_NUMBER, -1, 32, 1, "Width of the outlines in pixels, in the class's colour. -1: a thin dark line; 0: none."
)
