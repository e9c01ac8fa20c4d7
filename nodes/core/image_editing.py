"""Images made, cut, padded, inverted and measured.

Not here: other sizes (`scaling`, `resizing`), batches (`batching`), two images (`compositing`).
Source: ComfyUI 0.8 `nodes` and `comfy_extras/nodes_images.py`, reimplemented as V1 classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.errors import InputError

from ..sockets import socket
from .declaring import whole
from .limits import check_shape

if TYPE_CHECKING:
    from torch import Tensor


class EmptyImage:
    """Images of one colour."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("Equal images of one colour.",)
    FUNCTION = "generate"
    CATEGORY = "image"
    DESCRIPTION = "Makes images of one colour."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Size, number and colour."""
        colour = "Red x 65536 + green x 256 + blue, each from 0 to 255."
        return {
            "required": {
                "width": whole("Width in pixels.", 512, 1),
                "height": whole("Height in pixels.", 512, 1),
                "batch_size": whole("How many images.", 1, 1, 4096, step=None),
                "color": whole(colour, 0, 0, 0xFFFFFF, display="color"),
            }
        }

    def generate(self, width: int, height: int, batch_size: int = 1, color: int = 0) -> tuple[Tensor]:
        """Fill the batch."""
        return (solid_images(width, height, batch_size, color),)


class GetImageSize:
    """Measure a batch."""

    RETURN_TYPES = ("INT", "INT", "INT")
    RETURN_NAMES = ("width", "height", "batch_size")
    OUTPUT_TOOLTIPS = ("Width in pixels.", "Height in pixels.", "How many images.")
    FUNCTION = "execute"
    CATEGORY = "image"
    DESCRIPTION = "Tells width, height and number of images."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The images; ComfyUI writes their size below the node that this id names."""
        return {
            "required": {"image": socket("IMAGE", "The images to measure.")},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def execute(self, image: Tensor, unique_id: object = None) -> tuple[int, int, int]:
        """Read the shape."""
        return image.shape[2], image.shape[1], image.shape[0]


class ImageCrop:
    """Cut a rectangle out of images."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The part inside the rectangle.",)
    FUNCTION = "execute"
    CATEGORY = "image/transform"
    DESCRIPTION = "Cuts a rectangle out of images."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images and a rectangle."""
        return {
            "required": {
                "image": socket("IMAGE", "The images to cut."),
                "width": whole("Width in pixels.", 512, 1),
                "height": whole("Height in pixels.", 512, 1),
                "x": whole("Left edge in pixels; at most the last column.", 0, 0),
                "y": whole("Upper edge in pixels; at most the last row.", 0, 0),
            }
        }

    def execute(self, image: Tensor, width: int, height: int, x: int, y: int) -> tuple[Tensor]:
        """Cut the batch."""
        x, y = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
        return (image[:, y : y + height, x : x + width],)


class ImageInvert:
    """Swap dark and bright."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("1 minus the images.",)
    FUNCTION = "invert"
    CATEGORY = "image"
    DESCRIPTION = "Makes negatives; alpha is inverted too."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images."""
        return {"required": {"image": socket("IMAGE", "The images to invert.")}}

    def invert(self, image: Tensor) -> tuple[Tensor]:
        """Invert every value."""
        return (1.0 - image,)


class ImagePadForOutpaint:
    """Add grey borders, and a mask of them."""

    RETURN_TYPES = ("IMAGE", "MASK")
    OUTPUT_TOOLTIPS = ("The images with grey borders.", "1 on the borders, fading into the images.")
    FUNCTION = "expand_image"
    CATEGORY = "image"
    DESCRIPTION = "Adds grey borders to images, and a mask that shows where they are."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images, the width of each border and of the fading."""
        edges = {
            edge: whole(f"Pixels added at the {edge}.", 0, 0, step=8) for edge in ("left", "top", "right", "bottom")
        }
        feathering = "Pixels of the image over which the mask fades; none in images less than twice as large."
        return {
            "required": {
                "image": socket("IMAGE", "The images to enlarge."),
                **edges,
                "feathering": whole(feathering, 40, 0),
            }
        }

    def expand_image(
        self, image: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
    ) -> tuple[Tensor, Tensor]:
        """Pad the batch and draw its mask."""
        borders = (left, top, right, bottom)
        return pad_images(image, borders), border_mask(image.shape[1], image.shape[2], borders, feathering)


Borders = tuple[int, int, int, int]  # left, top, right, bottom


def solid_images(width: int, height: int, count: int, colour: int) -> Tensor:
    """Images of one colour, 0xRRGGBB. [count,height,width,3]

    Raises:
        InputError: too large.
    """
    import torch

    check_shape((count, height, width, 3), place="batch_size")
    channels = [(colour >> shift & 0xFF) / 0xFF for shift in (16, 8, 0)]
    return torch.tensor(channels).expand(count, height, width, 3).contiguous()


def pad_images(image: Tensor, borders: Borders) -> Tensor:
    """Add grey borders. [B,H,W,C] -> [B,top+H+bottom,left+W+right,C]

    Raises:
        InputError: a negative border, or too large.
    """
    import torch

    if min(borders) < 0:
        raise InputError(f"borders of {borders} pixels; expected 0 or more at each side.", place="image")
    left, top, right, bottom = borders
    count, height, width, channels = image.shape
    shape = (count, top + height + bottom, left + width + right, channels)
    check_shape(shape, place="image")
    padded = torch.full(shape, 0.5)
    padded[:, top : top + height, left : left + width] = image
    return padded


def border_mask(height: int, width: int, borders: Borders, feathering: int) -> Tensor:
    """1 on the borders, and inside the square of how near the nearest border is.

    Args:
        height: of the image without borders.
        width: of the image without borders.
        borders: in pixels; an edge without a border has no fading.
        feathering: pixels that fade; none if the image has not more than twice as many.

    Returns:
        One mask for the whole batch. [1,top+height+bottom,left+width+right]
    """
    import torch

    left, top, right, bottom = borders
    mask = torch.ones(1, top + height + bottom, left + width + right)
    inside = mask[:, top : top + height, left : left + width]
    inside.zero_()
    if 0 < feathering * 2 < min(height, width):
        rows, columns = _edge_distance(height, top, bottom), _edge_distance(width, left, right)
        distance = torch.minimum(rows[:, None], columns)
        inside.copy_(((feathering - distance).clamp(min=0).double() / feathering).square())
    return mask


def _edge_distance(length: int, before: int, after: int) -> Tensor:
    """Pixels to the nearer end that has a border; as far as the whole length where none has one. [length]"""
    import torch

    places = torch.arange(length)
    near = places if before else torch.full_like(places, length)
    return torch.minimum(near, length - places if after else torch.full_like(places, length))


NODES: dict[str, tuple[type, str]] = {
    "EmptyImage": (EmptyImage, "EmptyImage"),
    "GetImageSize": (GetImageSize, "Get Image Size"),
    "ImageCrop": (ImageCrop, "Image Crop"),
    "ImageInvert": (ImageInvert, "Invert Image"),
    "ImagePadForOutpaint": (ImagePadForOutpaint, "Pad Image for Outpainting"),
}
