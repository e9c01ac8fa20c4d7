"""`JoinImageWithAlpha` and `SplitImageWithAlpha`: colours and transparency in one image, or apart.

Not here: images laid over one another (`compositing`).
Source: ComfyUI 0.8 `comfy_extras/nodes_compositing.py`, reimplemented as V1 classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..sockets import socket
from .mask_editing import as_batch

if TYPE_CHECKING:
    from torch import Tensor


class JoinImageWithAlpha:
    """Give an image an alpha channel."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("Images with alpha, as many as there are pairs.",)
    FUNCTION = "execute"
    CATEGORY = "mask/compositing"
    DESCRIPTION = "Makes images transparent where a mask is 1."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images and masks."""
        alpha = socket("MASK", "1 where the image becomes transparent; resized to the image.")
        return {"required": {"image": socket("IMAGE", "The images."), "alpha": alpha}}

    def execute(self, image: Tensor, alpha: Tensor) -> tuple[Tensor]:
        """Add the channel."""
        return (join_alpha(image, alpha),)


class SplitImageWithAlpha:
    """Take the alpha channel off an image."""

    RETURN_TYPES = ("IMAGE", "MASK")
    OUTPUT_TOOLTIPS = ("The colours.", "1 where the image is transparent.")
    FUNCTION = "execute"
    CATEGORY = "mask/compositing"
    DESCRIPTION = "Splits images into their colours and a mask of what is transparent."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images."""
        return {"required": {"image": socket("IMAGE", "The images to split.")}}

    def execute(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Split the batch."""
        return split_alpha(image)


def join_alpha(image: Tensor, alpha: Tensor) -> Tensor:
    """Colours and 1 - mask.

    Args:
        image: its fourth channel, if any, is replaced. [B,H,W,C]
        alpha: transparency, resized to the image. [h,w] or [N,h,w]

    Returns:
        As many as both have. [min(B,N),H,W,4]
    """
    import torch
    from torch.nn.functional import interpolate

    masks = as_batch(alpha).unsqueeze(1)[: len(image)]
    opaque = 1.0 - interpolate(masks, size=image.shape[1:3], mode="bilinear").movedim(1, -1)
    return torch.cat((image[: len(opaque), ..., :3], opaque), dim=-1)


def split_alpha(image: Tensor) -> tuple[Tensor, Tensor]:
    """Colours, and 1 - alpha; zeros where there is no alpha. [B,H,W,C] -> [B,H,W,3] and [B,H,W]"""
    import torch

    colours = image[..., :3].clone(memory_format=torch.contiguous_format)
    return colours, 1.0 - image[..., 3] if image.shape[-1] > 3 else torch.zeros_like(colours[..., 0])


NODES: dict[str, tuple[type, str]] = {
    "JoinImageWithAlpha": (JoinImageWithAlpha, "Join Image with Alpha"),
    "SplitImageWithAlpha": (SplitImageWithAlpha, "Split Image with Alpha"),
}
