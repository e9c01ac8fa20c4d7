"""`ImageScale`, `ImageScaleBy` and `ImageScaleToTotalPixels`: resize a batch of images.

Not here: sizes chosen in other ways, and masks (`resizing`); the resizing before an encoder (`llmseg.encoder`).
Source: ComfyUI 0.8 `nodes`, `comfy_extras/nodes_post_processing.py`, `comfy.utils.common_upscale`, reimplemented.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from llmseg.errors import InputError

from ..sockets import socket
from .declaring import CROP_TOOLTIP, CROPS, METHOD_TOOLTIP, METHODS, combo, decimal, whole
from .limits import check_shape

if TYPE_CHECKING:
    from torch import Tensor

IMAGE = socket("IMAGE", "The images to resize.")
METHOD = (list(METHODS), {"tooltip": METHOD_TOOLTIP})
MEGAPIXEL = 1024 * 1024


class ImageScale:
    """Resize images to a width and a height."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The resized images.",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes images, larger or smaller."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images, method and target size."""
        keep = "pixels; 0 keeps the shape of the image, both 0 leave it alone."
        return {
            "required": {
                "image": IMAGE,
                "upscale_method": METHOD,
                "width": whole(f"Width in {keep}", 512, 0),
                "height": whole(f"Height in {keep}", 512, 0),
                "crop": (list(CROPS), {"tooltip": CROP_TOOLTIP}),
            }
        }

    def upscale(self, image: Tensor, upscale_method: str, width: int, height: int, crop: str) -> tuple[Tensor]:
        """Resize the batch."""
        if width == 0 and height == 0:
            return (image,)
        width, height = target_size(image.shape[2], image.shape[1], width, height)
        if crop == "center":
            image = crop_to_shape(image, width, height)
        return (resize(image, width, height, upscale_method),)


class ImageScaleBy:
    """Resize images by a factor."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The resized images.",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes images by a factor, the same for width and height."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images, method and factor."""
        factor = decimal("What width and height are multiplied by.", 1.0, 0.01, 8.0)
        return {"required": {"image": IMAGE, "upscale_method": METHOD, "scale_by": factor}}

    def upscale(self, image: Tensor, upscale_method: str, scale_by: float) -> tuple[Tensor]:
        """Resize the batch."""
        width, height = scaled_size(image.shape[2], image.shape[1], scale_by)
        return (resize(image, width, height, upscale_method),)


class ImageScaleToTotalPixels:
    """Resize images to an area."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The resized images.",)
    FUNCTION = "execute"
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes images to a number of pixels and keeps their shape."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images, method and area."""
        steps = "Width and height become multiples of this number."
        return {
            "required": {
                "image": IMAGE,
                "upscale_method": combo(METHODS, METHOD_TOOLTIP),
                "megapixels": decimal("Area in units of 1024 x 1024 pixels.", 1.0, 0.01, 16.0),
                "resolution_steps": whole(steps, 1, 1, 256, step=None),
            }
        }

    def execute(self, image: Tensor, upscale_method: str, megapixels: float, resolution_steps: int) -> tuple[Tensor]:
        """Resize the batch."""
        old = (image.shape[2], image.shape[1])
        width, height = scaled_size(*old, area_factor(*old, megapixels * MEGAPIXEL), resolution_steps)
        return (resize(image, width, height, upscale_method),)


def target_size(old_width: int, old_height: int, width: int, height: int) -> tuple[int, int]:
    """Fill in a side that is 0, so that the shape is kept."""
    if width == 0:
        width = max(1, round(old_width * height / old_height))
    elif height == 0:
        height = max(1, round(old_height * width / old_width))
    return width, height


def area_factor(width: int, height: int, pixels: float) -> float:
    """What both sides are multiplied by, so that there are `pixels` in all; not a number if there cannot be."""
    return math.sqrt(pixels / (width * height)) if pixels >= 0 else math.nan


def scaled_size(width: int, height: int, factor: float, steps: int = 1) -> tuple[int, int]:
    """Both sides times a factor, as the nearest multiples of `steps`.

    Raises:
        InputError: no such size, as with a factor that a link brought.
    """
    try:
        return round(width * factor / steps) * steps, round(height * factor / steps) * steps
    except (ValueError, ArithmeticError) as error:
        raise InputError(
            f"{width} x {height} pixels cannot be multiplied by {factor} in steps of {steps}; "
            "expected a finite factor and steps of 1 or more.",
            place="image",
        ) from error


def crop_to_shape(image: Tensor, width: int, height: int) -> Tensor:
    """Cut the same number of pixels from two opposite edges until the shape is width : height.

    Args:
        image: any number of channels, or masks. [B,H,W,C] or [B,H,W]
        width: of the target, only its ratio to `height` matters.
        height: of the target.

    Returns:
        A view. [B,H',W',C] or [B,H',W']

    Raises:
        InputError: a target without pixels.
    """
    _check_size(width, height)
    old_height, old_width = image.shape[1:3]
    old_aspect, new_aspect = old_width / old_height, width / height
    x = y = 0
    if old_aspect > new_aspect:
        x = round((old_width - old_width * (new_aspect / old_aspect)) / 2)
    elif old_aspect < new_aspect:
        y = round((old_height - old_height * (old_aspect / new_aspect)) / 2)
    # Extreme shapes would leave no pixel at all, where ComfyUI fails, or paints black by lanczos.
    x, y = min(x, (old_width - 1) // 2), min(y, (old_height - 1) // 2)
    return image[:, y : old_height - y, x : old_width - x]


def resize(image: Tensor, width: int, height: int, method: str) -> Tensor:
    """Interpolate without antialiasing, except lanczos, which goes through 8 bits and Pillow.

    Args:
        image: any number of channels, or masks. [B,H,W,C] or [B,H,W]
        width: in pixels, at least 1.
        height: in pixels, at least 1.
        method: a name in `METHODS`.

    Returns:
        The device and type of `image`. [B,height,width,C] or [B,height,width]

    Raises:
        InputError: a size without pixels, or too large.
    """
    from torch.nn.functional import interpolate

    _check_size(width, height)
    check_shape((image.shape[0], height, width, *image.shape[3:]), place="image")
    if method == "lanczos":
        return _lanczos(image, width, height)
    if image.ndim == 3:
        return interpolate(image.unsqueeze(1), size=(height, width), mode=method).squeeze(1)
    return interpolate(image.movedim(-1, 1), size=(height, width), mode=method).movedim(1, -1)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"a size of {width} x {height} pixels; expected at least 1 x 1.", place="image")


def _lanczos(image: Tensor, width: int, height: int) -> Tensor:
    import numpy as np
    import torch
    from PIL import Image

    resized = []
    for one in image:
        pixels = np.clip(255.0 * one.cpu().numpy(), 0, 255).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
        resized.append(torch.from_numpy(np.array(picture).astype(np.float32) / 255.0))
    return torch.stack(resized).to(image.device, image.dtype)


NODES: dict[str, tuple[type, str]] = {
    "ImageScale": (ImageScale, "Upscale Image"),
    "ImageScaleBy": (ImageScaleBy, "Upscale Image By"),
    "ImageScaleToTotalPixels": (ImageScaleToTotalPixels, "ImageScaleToTotalPixels"),
}
