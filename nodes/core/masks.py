"""`MaskToImage`: a mask as a grey picture.

Not here: masks of a label map (the output nodes).
Source: ComfyUI 0.8 `comfy_extras/nodes_mask.py`, reimplemented as a V1 class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class MaskToImage:
    """Show a mask as an image."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The mask in three equal channels.",)
    FUNCTION = "mask_to_image"
    CATEGORY = "mask"
    DESCRIPTION = "Turns a mask into a grey image."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The mask."""
        return {"required": {"mask": ("MASK", {"tooltip": "The mask to show."})}}

    def mask_to_image(self, mask: Tensor) -> tuple[Tensor]:
        """Repeat the mask in three channels."""
        return (grey_image(mask),)


def grey_image(mask: Tensor) -> Tensor:
    """Three equal channels, without copying.

    Args:
        mask: one mask or a batch. [H,W] or [B,H,W]

    Returns:
        A view that repeats its only channel; whoever writes to it must clone first. [B,H,W,3]
    """
    height, width = mask.shape[-2:]
    return mask.reshape(-1, height, width, 1).expand(-1, -1, -1, 3)
