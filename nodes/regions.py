"""Nodes that find regions without names, for Refine Class Maps to vote in.

Not here: regions of a label map (`interchange`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.options import COMPACTNESS, SUPERPIXELS
from llmseg.refinement.superpixels import mask_superpixels

from .sockets import decimal, integer, socket, to_images, to_mask

if TYPE_CHECKING:
    from torch import Tensor


class LLMSegSuperpixels:
    """Cuts a picture into pieces of like colour."""

    DESCRIPTION = "Cuts one picture into pieces of like colour, a mask each: regions for Refine Class Maps (SLIC)."
    CATEGORY = "llmseg/maps"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("regions",)
    OUTPUT_TOOLTIPS = ("One mask per piece; every pixel is in exactly one.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": socket("IMAGE", "One picture. Needs scikit-image."),
                "count": integer(SUPERPIXELS),
                "compactness": decimal(COMPACTNESS),
            }
        }

    def execute(self, image: Tensor, count: int, compactness: float) -> tuple[Tensor]:
        return (to_mask(mask_superpixels(to_images(image), count, compactness)),)


NODES = {"LLMSegSuperpixels": (LLMSegSuperpixels, "Superpixels")}
