"""Masks from images, from nothing and from their own values: conversion, inversion, threshold.

Not here: shapes of masks (`mask_editing`), two masks (`compositing`), masks of a label map (the output nodes).
Source: ComfyUI 0.8 `comfy_extras/nodes_mask.py`, reimplemented as V1 classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.errors import InputError

from ..sockets import socket
from .declaring import combo, decimal, whole
from .limits import check_shape

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = ("red", "green", "blue", "alpha")


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
        return {"required": {"mask": socket("MASK", "The mask to show.")}}

    def mask_to_image(self, mask: Tensor) -> tuple[Tensor]:
        """Repeat the mask in three channels."""
        return (grey_image(mask),)


class ImageToMask:
    """Take one channel of an image as a mask."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("The values of the channel, alpha too as it is.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Takes one channel of images as masks."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images and a channel."""
        channel = combo(CHANNELS, "Which channel; alpha needs images that have one.")
        return {"required": {"image": socket("IMAGE", "The images to read."), "channel": channel}}

    def execute(self, image: Tensor, channel: str) -> tuple[Tensor]:
        """Read the channel."""
        return (read_channel(image, channel),)


class ImageColorToMask:
    """Find one colour in an image."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("1 where the image has exactly this colour, else 0.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "A mask of the pixels that have exactly one colour, in 8 bits for each channel."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images and a colour."""
        colour = whole("Red x 65536 + green x 256 + blue, each from 0 to 255.", 0, 0, 0xFFFFFF, display="number")
        return {"required": {"image": socket("IMAGE", "The images to search."), "color": colour}}

    def execute(self, image: Tensor, color: int) -> tuple[Tensor]:
        """Compare every pixel."""
        return (find_colour(image, color),)


class SolidMask:
    """A mask of one value."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("One mask, the same everywhere.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Makes a mask of one value."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Value and size."""
        return {
            "required": {
                "value": decimal("The value of every pixel.", 1.0, 0.0, 1.0),
                "width": whole("Width in pixels.", 512, 1),
                "height": whole("Height in pixels.", 512, 1),
            }
        }

    def execute(self, value: float, width: int, height: int) -> tuple[Tensor]:
        """Fill one mask."""
        return (solid_mask(value, width, height),)


class InvertMask:
    """Swap inside and outside."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("1 minus the mask.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Swaps what is inside and what is outside of a mask."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The mask."""
        return {"required": {"mask": socket("MASK", "The mask to invert.")}}

    def execute(self, mask: Tensor) -> tuple[Tensor]:
        """Invert every value."""
        return (1.0 - mask,)


class ThresholdMask:
    """Make a mask hard."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("1 where the mask is above the value, else 0.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Turns a soft mask into one of zeros and ones."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The mask and a value."""
        value = decimal("Only what is above this value is inside.", 0.5, 0.0, 1.0)
        return {"required": {"mask": socket("MASK", "The mask to make hard."), "value": value}}

    def execute(self, mask: Tensor, value: float) -> tuple[Tensor]:
        """Compare every value."""
        return ((mask > value).float(),)


def grey_image(mask: Tensor) -> Tensor:
    """Three equal channels, without copying.

    Args:
        mask: one mask or a batch. [H,W] or [B,H,W]

    Returns:
        A view that repeats its only channel; whoever writes to it must clone first. [B,H,W,3]
    """
    height, width = mask.shape[-2:]
    return mask.reshape(-1, height, width, 1).expand(-1, -1, -1, 3)


def read_channel(image: Tensor, channel: str) -> Tensor:
    """One channel of a batch.

    Args:
        image: any number of channels. [B,H,W,C]
        channel: a name in `CHANNELS`.

    Returns:
        A view. [B,H,W]

    Raises:
        InputError: another name, or images without this channel.
    """
    held = CHANNELS[: image.shape[-1]]
    if channel not in held:
        raise InputError(f"no channel {channel!r}; expected one of {', '.join(held)}.", place="channel")
    return image[..., held.index(channel)]


def find_colour(image: Tensor, colour: int) -> Tensor:
    """Where a batch has one colour, in 8 bits for each channel.

    Args:
        image: at least three channels. [B,H,W,C]
        colour: 0xRRGGBB.

    Returns:
        Zeros and ones. [B,H,W]

    Raises:
        InputError: images with fewer channels.
    """
    import torch

    if image.shape[-1] < 3:
        raise InputError(f"images with {image.shape[-1]} channels; expected at least 3.", place="image")
    red, green, blue = (image[..., :3].clamp(0, 1.0) * 255.0).round().to(torch.int).unbind(-1)
    return ((red << 16) + (green << 8) + blue == colour).float()


def solid_mask(value: float, width: int, height: int) -> Tensor:
    """One mask of one value. [1,height,width]

    Raises:
        InputError: too large.
    """
    import torch

    check_shape((1, height, width), place="width")
    return torch.full((1, height, width), value, dtype=torch.float32)


NODES: dict[str, tuple[type, str]] = {
    "ImageColorToMask": (ImageColorToMask, "ImageColorToMask"),
    "ImageToMask": (ImageToMask, "Convert Image to Mask"),
    "InvertMask": (InvertMask, "InvertMask"),
    "MaskToImage": (MaskToImage, "Convert Mask to Image"),
    "SolidMask": (SolidMask, "SolidMask"),
    "ThresholdMask": (ThresholdMask, "ThresholdMask"),
}
