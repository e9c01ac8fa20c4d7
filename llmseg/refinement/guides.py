"""What guides a refiner, in one record: the pictures, and what a person may connect beside them.

Not here: refiners (`class_refiners`, `score_refiners`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .region_vote import own_pixels

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Guide", "take_regions"]


@dataclass(frozen=True)
class Guide:
    """What a refiner may look at.

    Args:
        images: RGB in 0..1. [B,3,H,W]
        owners: number of the region that each pixel belongs to, one map an image, as made by `take_regions`; None
            where nobody gave any. B of int64 [H,W]
        backbone: another image encoder whose patches say what belongs together; None where nobody gave one.
    """

    images: Tensor
    owners: tuple[Tensor, ...] | None = None
    backbone: Any | None = None


def take_regions(regions: Tensor | Sequence[Tensor], count: int, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Masks of regions, from whichever node or model, as one map an image.

    Regions may overlap: of those over a pixel the smallest has it, of equal ones the last. They need not cover
    everything.

    Args:
        regions: masks of one image, above 0.5 inside [N,H,W]; or such masks for each image.
        count: images.
        size: pixels of each image. (H, W)

    Returns:
        Number of a region, -1 where there is none. B of int64 [H,W]

    Raises:
        InputError: masks that are not said to be of one image, or of another size.
    """
    import torch

    if isinstance(regions, torch.Tensor):
        if count != 1:
            raise InputError(
                f"{len(regions)} masks for {count} images; expected one image, whose masks they are. "
                "Refine images with regions one by one.",
                place="regions",
            )
        regions = [regions]
    if len(regions) != count:
        raise InputError(f"{len(regions)} sets of masks; expected one for each of the {count} images.", place="regions")
    for masks in regions:
        if masks.ndim != 3 or tuple(masks.shape[1:]) != tuple(size):
            raise InputError(
                f"shape {list(masks.shape)}; expected masks of the image's size [N,{size[0]},{size[1]}].",
                place="regions",
            )
    return tuple(own_pixels(masks) for masks in regions)
