"""`ScoreMaps` or `ClassMaps` -> sharper ones, guided by the image.

`pamr` refines the maps of phrases before they are merged, as published, or those of classes. `bilateral` makes class
maps finer. `simseg` makes a mask of every class that is present, and paints them.

Not here: the arithmetic (`pamr`, `bilateral`, `painting`), resizing and thresholds (`labels`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .bilateral import COLOUR, DISTANCE, FINER, upsample_bilaterally
from .class_maps import MOST_NUMBERS, ClassMaps, HeldMaps
from .errors import InputError, lookup
from .options import AUTO
from .painting import mask_classes, present_classes
from .pamr import DILATIONS, pamr
from .sampling import Box, Sampler, enlarge_axis
from .scores import Layer, ScoreMaps

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "REFINERS",
    "SCORE_REFINERS",
    "refine",
    "refine_bilaterally",
    "refine_maps",
    "refine_scores",
]


NEIGHBOURS = 8 * len(DILATIONS)  # of a pixel in PAMR, which holds a weight for each


def _keep(maps: ClassMaps, images: Tensor) -> ClassMaps:
    return maps


def refine_bilaterally(
    maps: ClassMaps, images: Tensor, colour: float = COLOUR, distance: float = DISTANCE
) -> ClassMaps:
    """Joint bilateral upsampling of class maps; see `bilateral`. maps [B,C,h,w] -> [B,C,4h,4w]

    Raises:
        InputError: maps too large to be made finer.
    """
    import torch

    _refuse_too_many(maps, (maps.grid[0] * FINER, maps.grid[1] * FINER))
    refined = [upsample_bilaterally(*each, colour, distance) for each in zip(maps.maps, images, strict=True)]
    return replace(maps, source=HeldMaps(torch.stack(refined)))


def _refuse_too_many(maps: ClassMaps, grid: tuple[int, int], more: int = 0) -> None:
    """Refuse maps on a grid, and as many more, that memory does not hold."""
    images, classes = maps.source.shape[:2]
    if (images * classes + more) * grid[0] * grid[1] > MOST_NUMBERS:
        raise InputError(
            f"{classes} classes on {grid[0]} x {grid[1]} points are too many to refine; "
            "expected fewer classes, a smaller picture or refiner 'none'.",
            place="refiner",
        )


def _refine_class_maps(maps: ClassMaps, images: Tensor) -> ClassMaps:
    """PAMR on class maps, at the original's pixels."""
    import torch
    from torch.nn.functional import interpolate

    _refuse_too_many(maps, maps.size, NEIGHBOURS)
    values = interpolate(maps.maps, size=maps.size, mode="bilinear", align_corners=False)
    refined = [pamr(each, image.to(each)) for each, image in zip(values, images, strict=True)]
    return replace(maps, source=HeldMaps(torch.stack(refined)))


def _paint(maps: ClassMaps, images: Tensor) -> ClassMaps:
    """A mask per present class times its name's score; no other class, and no pixel outside all masks, has any."""
    import torch

    _refuse_too_many(maps, maps.size)
    values, scores = maps.maps, maps.scores
    if scores is None:
        raise InputError("maps without scores; expected those of Assemble Classes.", place="class_maps")
    painted = []
    for image, picture in enumerate(images):
        score = scores.class_score[image]
        given = None if maps.present is None else maps.present[image]
        present = present_classes(score, maps.classes.background) if given is None else given
        masks = mask_classes(values[image], present, picture.to(values))
        painted.append(masks * score.clamp(min=0)[:, None, None])
    return replace(maps, source=HeldMaps(torch.stack(painted)), probabilities=True)


REFINERS: Mapping[str, Callable[[ClassMaps, Tensor], ClassMaps]] = MappingProxyType(
    {"none": _keep, "bilateral": refine_bilaterally, "pamr": _refine_class_maps, "simseg": _paint}
)


def refine_maps(maps: ClassMaps, images: Tensor, refiner: str = AUTO) -> ClassMaps:
    """Refine class maps with the images they were made from.

    Args:
        maps: one map per class. maps [B,C,h,w]
        images: RGB in 0..1. [B,3,H,W]
        refiner: a name in `REFINERS`, or "auto".

    Raises:
        UnknownNameError: no such refiner.
        InputError: other images than those of the maps, or maps too large.
    """
    _check_images(images, len(maps), maps.size)
    if refiner == AUTO:  # a refiner that makes maps finer has nothing to do at pixels
        refiner = "none" if maps.grid == maps.size else maps.refiner
    return lookup(REFINERS, refiner, place="refiner")(maps, images)


def _keep_scores(scores: ScoreMaps, images: Tensor) -> ScoreMaps:
    return scores


def _refine_score_maps(scores: ScoreMaps, images: Tensor) -> ScoreMaps:
    """PAMR before the merge, on whichever are fewer: phrases, or the features that their scores are linear in."""
    import torch
    from torch.nn.functional import interpolate

    sampler = None if scores.exact else Sampler(*map(enlarge_axis, scores.size, scores.grid))
    few = min(len(scores.queries), scores.queries.shape[1])
    if (len(images) * few + NEIGHBOURS) * scores.size[0] * scores.size[1] > MOST_NUMBERS:
        raise InputError(
            f"{few} channels on {scores.size[0]} x {scores.size[1]} pixels are too many to refine; expected a smaller "
            "picture or refiner 'none'.",
            place="refiner",
        )
    if not scores.aligned:  # as published: guided by what the encoder saw
        images = interpolate(images, size=scores.seen, mode="bilinear", align_corners=False)
    images = interpolate(images, size=scores.size, mode="bilinear", align_corners=False)
    refined = []
    for image, picture in enumerate(images):
        channels = scores.channels(image)
        if sampler is not None:
            whole = Box(slice(0, scores.size[0]), slice(0, scores.size[1]))
            cells = sampler.cells(whole)
            channels = sampler.sample(channels[:, cells.rows, cells.columns].movedim(0, 1), whole).movedim(1, 0)
        refined.append(pamr(channels, picture.to(channels)))
    layer = Layer(torch.stack(refined).movedim(1, -1), Sampler())
    return replace(scores, layers=(layer,), grid=scores.size, scored=few == len(scores.queries))


SCORE_REFINERS: Mapping[str, Callable[[ScoreMaps, Tensor], ScoreMaps]] = MappingProxyType(
    {"none": _keep_scores, "pamr": _refine_score_maps}
)


def refine_scores(scores: ScoreMaps, images: Tensor, refiner: str = AUTO) -> ScoreMaps:
    """Refine score maps, before phrases are merged into classes.

    Args:
        scores: B images against K phrases; afterwards they live at the original's pixels.
        images: RGB in 0..1, of any size. [B,3,H,W]
        refiner: a name in `SCORE_REFINERS`; "auto" is none.

    Raises:
        InputError: a refiner of class maps, another number of images, or scores too large.
        UnknownNameError: no such refiner.
    """
    refiner = "none" if refiner == AUTO else refiner
    if refiner in REFINERS and refiner not in SCORE_REFINERS:
        raise InputError(
            f"{refiner!r} refines class maps, these are score maps; expected one of "
            f"{', '.join(SCORE_REFINERS)}. Move it behind Assemble Classes.",
            place="refiner",
        )
    if len(images) != len(scores):
        raise InputError(f"{len(images)} images; expected the {len(scores)} of the maps.", place="image")
    return lookup(SCORE_REFINERS, refiner, place="refiner")(scores, images)


def refine(maps: ScoreMaps | ClassMaps, images: Tensor, refiner: str = AUTO) -> ScoreMaps | ClassMaps:
    """`refine_scores` or `refine_maps`, by what is given."""
    return refine_scores(maps, images, refiner) if isinstance(maps, ScoreMaps) else refine_maps(maps, images, refiner)


def _check_images(images: Tensor, count: int, size: tuple[int, int]) -> None:
    if len(images) != count:
        raise InputError(f"{len(images)} images; expected the {count} of the maps.", place="image")
    if tuple(images.shape[-2:]) != tuple(size):
        given, wanted = (f"{height} x {width}" for height, width in (images.shape[-2:], size))
        raise InputError(f"{given} pixels; expected the {wanted} of the maps.", place="image")
