"""`CropMask`, `FeatherMask` and `GrowMask`: the shape of a mask.

Not here: the values of a mask (`masks`), two masks (`compositing`).
Source: ComfyUI 0.8 `comfy_extras/nodes_mask.py`, reimplemented as V1 classes. `FeatherMask` fades the right and
the lower edge, as later versions do; 0.8 counts their pixels from the wrong end by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..sockets import socket
from .declaring import MAX_SIDE, whole

if TYPE_CHECKING:
    from torch import Tensor


class CropMask:
    """Cut a rectangle out of a mask."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("The part inside the rectangle.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Cuts a rectangle out of a mask."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The mask and a rectangle."""
        return {
            "required": {
                "mask": socket("MASK", "The mask to cut."),
                "x": whole("Left edge in pixels.", 0, 0),
                "y": whole("Upper edge in pixels.", 0, 0),
                "width": whole("Width in pixels.", 512, 1),
                "height": whole("Height in pixels.", 512, 1),
            }
        }

    def execute(self, mask: Tensor, x: int, y: int, width: int, height: int) -> tuple[Tensor]:
        """Cut the batch."""
        return (as_batch(mask)[:, y : y + height, x : x + width],)


class FeatherMask:
    """Fade a mask out towards its edges."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("The mask, fainter towards the chosen edges.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Fades a mask out towards the edges of the picture."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The mask and the width of each edge."""
        edges = {edge: whole(f"Pixels that fade at the {edge}.", 0, 0) for edge in ("left", "top", "right", "bottom")}
        return {"required": {"mask": socket("MASK", "The mask to fade."), **edges}}

    def execute(self, mask: Tensor, left: int, top: int, right: int, bottom: int) -> tuple[Tensor]:
        """Fade the batch."""
        return (feather(mask, left, top, right, bottom),)


class GrowMask:
    """Grow or shrink a mask."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("The grown mask.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Grows a mask by a number of pixels, or shrinks it."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The mask, a number of pixels and the shape of corners."""
        tapered = "Cuts corners as it grows; else rectangles stay rectangles."
        return {
            "required": {
                "mask": socket("MASK", "The mask to grow."),
                "expand": whole("Pixels in each direction; below 0 the mask shrinks.", 0, -MAX_SIDE),
                "tapered_corners": ("BOOLEAN", {"default": True, "tooltip": tapered}),
            }
        }

    def execute(self, mask: Tensor, expand: int, tapered_corners: bool) -> tuple[Tensor]:
        """Grow the batch."""
        return (grow(mask, expand, tapered_corners),)


def as_batch(mask: Tensor) -> Tensor:
    """One mask or a batch as a batch. [B,H,W]"""
    return mask.reshape(-1, *mask.shape[-2:])


def feather(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """Multiply the pixels near each edge by 1/n, 2/n, ... 1, counted from the edge.

    Args:
        mask: one mask or a batch. [H,W] or [B,H,W]
        left, top, right, bottom: n for each edge; at most the whole mask fades.

    Returns:
        A copy. [B,H,W]
    """
    faded = as_batch(mask).clone()
    for axis, from_start, from_end in ((2, left, right), (1, top, bottom)):
        length = faded.shape[axis]
        near, far = (max(0, min(pixels, length)) for pixels in (from_start, from_end))
        # One by one and in this order, as each product is rounded.
        faded.narrow(axis, 0, near).mul_(_ramp(near, axis).to(faded))
        faded.narrow(axis, length - far, far).mul_(_ramp(far, axis).flip(axis).to(faded))
    return faded


def _ramp(pixels: int, axis: int) -> Tensor:
    """1/n, 2/n, ... 1 along one axis of three."""
    import torch

    shape = [1, 1, 1]
    shape[axis] = pixels
    return (torch.arange(1, pixels + 1, dtype=torch.float64) / max(pixels, 1)).view(shape)


def grow(mask: Tensor, pixels: int, tapered: bool) -> Tensor:
    """Replace each pixel by the largest around it, or by the smallest, again and again.

    Args:
        mask: one mask or a batch. [H,W] or [B,H,W]
        pixels: how often; negative for the smallest.
        tapered: whether the four neighbours count, or all eight.

    Returns:
        A copy. [B,H,W]
    """
    import torch

    choose = torch.maximum if pixels > 0 else torch.minimum
    grown = as_batch(mask).clone()
    # By then every pixel has reached every other one.
    for _ in range(min(abs(pixels), sum(grown.shape[1:]))):
        before = grown
        grown = _reach_neighbours(before, before, axis=1, choose=choose)
        grown = _reach_neighbours(grown, before if tapered else grown, axis=2, choose=choose)
        if torch.equal(grown, before):
            break
    return grown


def _reach_neighbours(mask: Tensor, source: Tensor, *, axis: int, choose: Any) -> Tensor:
    """Choose between each pixel and its two neighbours in `source` along an axis; nothing lies outside."""
    reached, rest = mask.clone(), mask.shape[axis] - 1
    if rest > 0:
        for to, from_ in ((0, 1), (1, 0)):
            target = reached.narrow(axis, to, rest)
            target.copy_(choose(target, source.narrow(axis, from_, rest)))
    return reached


NODES: dict[str, tuple[type, str]] = {
    "CropMask": (CropMask, "CropMask"),
    "FeatherMask": (FeatherMask, "FeatherMask"),
    "GrowMask": (GrowMask, "Grow Mask"),
}
