"""`ScoreMaps` or `ClassMaps` -> sharper ones, guided by the image: the names of all refiners, and the way to them.

Not here: refiners of class maps (`class_refiners`) and of score maps (`score_refiners`), thresholds (`labels`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ..class_maps import ClassMaps
from ..errors import InputError, lookup
from ..options import AUTO
from ..scores import ScoreMaps
from .class_refiners import REFINERS, refine_bilaterally
from .guides import Guide, take_regions
from .score_refiners import SCORE_REFINERS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "EARLY_REFINERS",
    "REFINERS",
    "SCORE_REFINERS",
    "refine",
    "refine_bilaterally",
    "refine_maps",
    "refine_scores",
]

EARLY_REFINERS = frozenset({"pamr", "lposs"})  # as published, before phrases are merged


def refine_maps(
    maps: ClassMaps,
    images: Tensor,
    refiner: str = AUTO,
    *,
    regions: Tensor | Sequence[Tensor] | None = None,
    backbone: Any | None = None,
) -> ClassMaps:
    """Refine class maps with the images they were made from.

    Args:
        maps: one map per class. maps [B,C,h,w]
        images: RGB in 0..1. [B,3,H,W]
        refiner: a name in `REFINERS`, or "auto".
        regions: masks for refiner "regions", as in `guides.take_regions`. [N,H,W], or B of them
        backbone: another image encoder, for refiners that look at one.

    Raises:
        UnknownNameError: no such refiner.
        InputError: a refiner of score maps, other images than those of the maps, maps too large, regions that are
            missing or do not fit, or a package that is not installed.
    """
    _check_images(images, len(maps), maps.size)
    if refiner == AUTO:  # a refiner that makes maps finer has nothing to do at pixels
        refiner = "none" if maps.grid == maps.size else maps.refiner
    if refiner not in REFINERS and refiner in SCORE_REFINERS:
        what = "score maps, these are class maps"
        raise _misplaced(refiner, what, REFINERS, "Move it before Assemble Classes.")
    chosen = lookup(REFINERS, refiner, place="refiner")
    return chosen(maps, Guide(images, _take(regions, maps, refiner), backbone))


def refine_scores(scores: ScoreMaps, images: Tensor, refiner: str = AUTO, *, backbone: Any | None = None) -> ScoreMaps:
    """Refine score maps, before phrases are merged into classes.

    Args:
        scores: B images against K phrases; refined at the pixels, they live there afterwards.
        images: RGB in 0..1, of any size. [B,3,H,W]
        refiner: a name in `SCORE_REFINERS`; "auto" is none.
        backbone: another image encoder, for refiners that look at one.

    Raises:
        InputError: a refiner of class maps, another number of images, or scores too large.
        UnknownNameError: no such refiner.
    """
    refiner = "none" if refiner == AUTO else refiner
    if refiner in REFINERS and refiner not in SCORE_REFINERS:
        what = "class maps, these are score maps"
        raise _misplaced(refiner, what, SCORE_REFINERS, "Move it behind Assemble Classes.")
    if len(images) != len(scores):
        raise InputError(f"{len(images)} images; expected the {len(scores)} of the maps.", place="image")
    return lookup(SCORE_REFINERS, refiner, place="refiner")(scores, Guide(images, None, backbone))


def refine(
    maps: ScoreMaps | ClassMaps,
    images: Tensor,
    refiner: str = AUTO,
    *,
    regions: Tensor | Sequence[Tensor] | None = None,
    backbone: Any | None = None,
) -> ScoreMaps | ClassMaps:
    """`refine_scores` or `refine_maps`, by what is given."""
    if isinstance(maps, ScoreMaps):
        return refine_scores(maps, images, refiner, backbone=backbone)
    return refine_maps(maps, images, refiner, regions=regions, backbone=backbone)


def _take(regions: Any, maps: ClassMaps, refiner: str) -> tuple[Tensor, ...] | None:
    """The regions where the refiner looks at them."""
    return None if regions is None or refiner != "regions" else take_regions(regions, len(maps), maps.size)


def _misplaced(refiner: str, what: str, choices: Collection[str], remedy: str) -> InputError:
    return InputError(f"{refiner!r} refines {what}; expected one of {', '.join(choices)}. {remedy}", place="refiner")


def _check_images(images: Tensor, count: int, size: tuple[int, int]) -> None:
    if len(images) != count:
        raise InputError(f"{len(images)} images; expected the {count} of the maps.", place="image")
    if tuple(images.shape[-2:]) != tuple(size):
        given, wanted = (f"{height} x {width}" for height, width in (images.shape[-2:], size))
        raise InputError(f"{given} pixels; expected the {wanted} of the maps.", place="image")
