"""Refiners of class maps: one function each, from maps and what guides them to finer maps.

    bilateral    a finer grid, values of the patches around, by place and colour
    pamr         the pixels, values flow between neighbours of like colour
    guided       the pixels, edges as in the picture
    superpixels  the pixels, pieces of like colour take one label
    regions      the pixels, masks that somebody connected take one label
    crf          the pixels, every pixel asks every other one; `crf_deeplab` with farther reach
    simseg       the pixels, a mask of every class that is present, painted

All but the first two and the last work on the probabilities of the classes that win something. `guided`,
`superpixels` and `regions` look at few pixels around each, so they start from the maps of `bilateral` where
patches are coarse.

Not here: the arithmetic (`bilateral`, `pamr`, `guided`, `region_vote`, `mean_field`, `painting`), cutting pictures
into blocks (`blocks`), which refiner is called (`refining`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..class_maps import MOST_NUMBERS, ClassMaps, HeldMaps
from ..crf import CRF_PRESETS
from ..errors import InputError
from ..painting import mask_classes, present_classes
from ..pamr import DILATIONS, STEPS, pamr
from ..sampling import Box, tile_boxes
from .bilateral import COLOUR, DISTANCE, FINER, upsample_bilaterally
from .blocks import ChosenMaps, read_pixels, refine_in_blocks
from .guided import RADIUS, filter_guided
from .guides import Guide
from .mean_field import sharpen_by_crf
from .region_vote import count_pixels, count_regions, share_regions, sum_regions
from .superpixels import SIDE, cut_superpixels

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["REFINERS", "refine_bilaterally"]

COARSE = 2  # pixels between points of a grid, from which on it is made finer first
CRF_MARGIN = 80  # pixels: once the reach of the farthest preset


def _keep(maps: ClassMaps, guide: Guide) -> ClassMaps:
    return maps


def refine_bilaterally(
    maps: ClassMaps, images: Tensor, colour: float = COLOUR, distance: float = DISTANCE
) -> ClassMaps:
    """Joint bilateral upsampling of class maps; see `bilateral`. maps [B,C,h,w] -> [B,C,4h,4w]

    Raises:
        InputError: maps too large to be made finer.
    """
    import torch

    grid = (maps.grid[0] * FINER, maps.grid[1] * FINER)
    _refuse_too_many(math.prod(maps.source.shape[:2]), maps, grid)
    refined = [upsample_bilaterally(*each, colour, distance) for each in zip(maps.maps, images, strict=True)]
    return replace(maps, source=HeldMaps(torch.stack(refined)))


def _bilateral(maps: ClassMaps, guide: Guide) -> ClassMaps:
    return refine_bilaterally(maps, guide.images)


def _make_finer(maps: ClassMaps, guide: Guide) -> ClassMaps:
    """Bilaterally, where the grid is coarse."""
    coarse = all(points * COARSE <= pixels for points, pixels in zip(maps.grid, maps.size, strict=True))
    return refine_bilaterally(maps, guide.images) if coarse else maps


def _pamr(maps: ClassMaps, guide: Guide) -> ClassMaps:
    def flow(values: Tensor, picture: Tensor, image: int, place: Box) -> Tensor:
        return pamr(values, picture)

    return refine_in_blocks(maps, guide.images, flow, STEPS * max(DILATIONS), scores=True)


def _guided(maps: ClassMaps, guide: Guide) -> ClassMaps:
    def smooth(values: Tensor, picture: Tensor, image: int, place: Box) -> Tensor:
        return filter_guided(values, picture).clamp(0, 1)

    return refine_in_blocks(_make_finer(maps, guide), guide.images, smooth, 2 * RADIUS)


def _superpixels(maps: ClassMaps, guide: Guide) -> ClassMaps:
    def vote(values: Tensor, picture: Tensor, image: int, place: Box) -> Tensor:
        pieces = cut_superpixels(picture)
        votes = _votes(values)
        count = count_regions(pieces)
        shares = sum_regions(votes, pieces, count) / count_pixels(pieces, count).clamp(min=1)[:, None]
        return share_regions(votes, pieces, shares)

    return refine_in_blocks(_make_finer(maps, guide), guide.images, vote, 2 * SIDE)


def _regions(maps: ClassMaps, guide: Guide) -> ClassMaps:
    owners = guide.owners
    if owners is None:
        raise InputError(
            "none were given; expected masks for refiner 'regions'. Connect regions, or choose another.",
            place="regions",
        )
    finer = _make_finer(maps, guide)
    shares = [_region_shares(finer, image, owner) for image, owner in enumerate(owners)]

    def vote(values: Tensor, picture: Tensor, image: int, place: Box) -> Tensor:
        owner = owners[image][place.rows, place.columns].to(values.device)
        return share_regions(values, owner, shares[image].to(values))  # which may rest elsewhere by now

    return refine_in_blocks(finer, guide.images, vote, 0)


def _region_shares(maps: ClassMaps, image: int, owner: Tensor) -> Tensor:
    """Share of each region's pixels that would have chosen each class. [N,c]"""
    pixels = read_pixels(maps)
    count, chosen = count_regions(owner), len(pixels.chosen[image])
    total = None
    for box in tile_boxes(maps.size, max(1, chosen)):
        votes = _votes(pixels.read(image, box))
        part = sum_regions(votes, owner[box.rows, box.columns].to(votes.device), count)
        total = part if total is None else total + part
    assert total is not None
    return total / count_pixels(owner, count).clamp(min=1)[:, None].to(total)


def _votes(values: Tensor) -> Tensor:
    """One for the best class of each pixel, 0 for the others; nothing where nobody has any. [c,H,W] -> [c,H,W]"""
    import torch

    if not len(values):
        return values
    best = values.max(0, keepdim=True)
    return torch.zeros_like(values).scatter_(0, best.indices, (best.values > 0).to(values))


def _crf(preset: str) -> Callable[[ClassMaps, Guide], ClassMaps]:
    def ask(values: Tensor, picture: Tensor, image: int, place: Box) -> Tensor:
        return sharpen_by_crf(values, picture, CRF_PRESETS[preset])

    def refine(maps: ClassMaps, guide: Guide) -> ClassMaps:
        return refine_in_blocks(maps, guide.images, ask, CRF_MARGIN)

    return refine


def _paint(maps: ClassMaps, guide: Guide) -> ClassMaps:
    """A mask per present class times its name's score; no other class, and no pixel outside all masks, has any."""
    scores = maps.scores
    if scores is None:
        raise InputError("maps without scores; expected those of Assemble Classes.", place="class_maps")
    held, chosen = [], []
    for image, picture in enumerate(guide.images):
        score = scores.class_score[image]
        given = None if maps.present is None else maps.present[image]
        present = present_classes(score, maps.classes.background) if given is None else given
        labels = present.nonzero()[:, 0]
        _refuse_too_many(len(labels), maps, maps.size)
        values = maps.maps[image, labels]
        masks = mask_classes(values, present[labels], picture.to(values))
        held.append(masks * score[labels].clamp(min=0)[:, None, None])
        chosen.append(labels)
    return replace(maps, source=ChosenMaps(tuple(held), tuple(chosen), len(maps.classes.classes)), probabilities=True)


def _refuse_too_many(count: int, maps: ClassMaps, grid: tuple[int, int]) -> None:
    """Refuse so many maps on a grid as memory does not hold."""
    if count * math.prod(grid) > MOST_NUMBERS:
        raise InputError(
            f"{maps.source.shape[1]} classes on {grid[0]} x {grid[1]} points are too many to refine; "
            "expected fewer classes, a smaller picture or refiner 'none'.",
            place="refiner",
        )


REFINERS: Mapping[str, Callable[[ClassMaps, Guide], ClassMaps]] = MappingProxyType(
    {
        "none": _keep,
        "bilateral": _bilateral,
        "pamr": _pamr,
        "guided": _guided,
        "superpixels": _superpixels,
        "regions": _regions,
        "crf": _crf("simseg"),
        "crf_deeplab": _crf("deeplab"),
        "simseg": _paint,
    }
)
