"""`ImageScale`: resize a batch, optionally cut to the target's shape first.

Not here: the resizing before an encoder (`llmseg.encoder`).
Source: ComfyUI 0.8 `nodes.ImageScale` and `comfy.utils.common_upscale`, reimplemented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
CROPS = ("disabled", "center")
MAX_SIDE = 16384  # ComfyUI's MAX_RESOLUTION


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
        side = {"default": 512, "min": 0, "max": MAX_SIDE, "step": 1}
        keep = "pixels; 0 keeps the shape of the image, both 0 leave it alone."
        crop = "center cuts the edges that do not fit the target's shape; disabled stretches."
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "The images to resize."}),
                "upscale_method": (list(METHODS), {"tooltip": "How pixels are interpolated."}),
                "width": ("INT", {**side, "tooltip": f"Width in {keep}"}),
                "height": ("INT", {**side, "tooltip": f"Height in {keep}"}),
                "crop": (list(CROPS), {"tooltip": crop}),
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


def target_size(old_width: int, old_height: int, width: int, height: int) -> tuple[int, int]:
    """Fill in a side that is 0, so that the shape is kept."""
    if width == 0:
        width = max(1, round(old_width * height / old_height))
    elif height == 0:
        height = max(1, round(old_height * width / old_width))
    return width, height


def crop_to_shape(image: Tensor, width: int, height: int) -> Tensor:
    """Cut the same number of pixels from two opposite edges until the shape is width : height.

    Args:
        image: any number of channels. [B,H,W,C]
        width: of the target, only its ratio to `height` matters.
        height: of the target.

    Returns:
        A view. [B,H',W',C]
    """
    old_height, old_width = image.shape[1:3]
    old_aspect, new_aspect = old_width / old_height, width / height
    x = y = 0
    if old_aspect > new_aspect:
        x = round((old_width - old_width * (new_aspect / old_aspect)) / 2)
    elif old_aspect < new_aspect:
        y = round((old_height - old_height * (old_aspect / new_aspect)) / 2)
    # Extreme shapes would leave no pixel at all, where ComfyUI fails.
    x, y = min(x, (old_width - 1) // 2), min(y, (old_height - 1) // 2)
    return image[:, y : old_height - y, x : old_width - x]


def resize(image: Tensor, width: int, height: int, method: str) -> Tensor:
    """Interpolate without antialiasing, except lanczos, which goes through 8 bits and Pillow.

    Args:
        image: any number of channels. [B,H,W,C]
        width: in pixels, at least 1.
        height: in pixels, at least 1.
        method: a name in `METHODS`.

    Returns:
        The device and type of `image`. [B,height,width,C]
    """
    from torch.nn.functional import interpolate

    if method == "lanczos":
        return _lanczos(image, width, height)
    return interpolate(image.movedim(-1, 1), size=(height, width), mode=method).movedim(1, -1)


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
