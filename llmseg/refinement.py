"""`ClassMaps` -> sharper `ClassMaps`, guided by the image.

Not here: resizing and thresholds (`labels`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from .errors import lookup
from .types import ClassMaps

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["REFINERS", "refine_maps"]


def _none(maps: ClassMaps, images: Tensor) -> ClassMaps:
    return maps


REFINERS: Mapping[str, Callable[[ClassMaps, Tensor], ClassMaps]] = MappingProxyType({"none": _none})


def refine_maps(maps: ClassMaps, images: Tensor, refiner: str = "none") -> ClassMaps:
    """Refine class maps with the images they were made from.

    Args:
        maps: on the patch grid. maps [B,C,h,w]
        images: RGB in 0..1. [B,3,H,W]
        refiner: a name in `REFINERS`.

    Raises:
        UnknownNameError: no such refiner.
    """
    return lookup(REFINERS, refiner, place="refiner")(maps, images)
