"""Batches put together, taken apart and repeated.

Not here: batches laid over one another (`compositing`).
Source: ComfyUI 0.8 `nodes.ImageBatch`, `comfy_extras/nodes_images.py` and `nodes_post_processing.py`,
reimplemented as V1 classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmseg.errors import InputError

from ..sockets import socket
from .declaring import whole
from .limits import check_shape
from .scaling import crop_to_shape, resize

if TYPE_CHECKING:
    from torch import Tensor

MOST_MEMBERS = 50


class ImageBatch:
    """Put two batches together."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The first images, then the second ones.",)
    FUNCTION = "batch"
    CATEGORY = "image"
    DESCRIPTION = "Puts two batches together; the second gets the size of the first."
    DEPRECATED = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Two batches."""
        first = socket("IMAGE", "The first images; they give the size.")
        return {"required": {"image1": first, "image2": socket("IMAGE", "The images that follow.")}}

    def batch(self, image1: Tensor, image2: Tensor) -> tuple[Tensor]:
        """Join both."""
        return (join_batches([image1, image2]),)


class BatchImagesNode:
    """Put many batches together."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("All images, in the order of the inputs.",)
    FUNCTION = "execute"
    CATEGORY = "image"
    DESCRIPTION = "Puts batches together; all get the size of the first."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """As many batches as are linked."""
        member = {"required": {"image": socket("IMAGE", "Images of any size.")}}
        template = {"input": member, "prefix": "image", "min": 2, "max": MOST_MEMBERS}
        options = {"template": template, "tooltip": "The batches; a new input appears with each link."}
        return {"required": {"images": ("COMFY_AUTOGROW_V3", options)}}

    def execute(self, images: Mapping[str, Tensor]) -> tuple[Tensor]:
        """Join all."""
        return (join_batches(list(images.values())),)


class ImageFromBatch:
    """Take images out of a batch."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The chosen images.",)
    FUNCTION = "execute"
    CATEGORY = "image/batch"
    DESCRIPTION = "Takes one or more images out of a batch."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The batch, a first index and a number."""
        return {
            "required": {
                "image": socket("IMAGE", "The batch."),
                "batch_index": whole(
                    "Index of the first image, from 0; the last one if there are fewer.", 0, 0, 4095, step=None
                ),
                "length": whole("How many images, if there are as many.", 1, 1, 4096, step=None),
            }
        }

    def execute(self, image: Tensor, batch_index: int, length: int) -> tuple[Tensor]:
        """Copy the images."""
        first = min(len(image) - 1, batch_index)
        return (image[first : first + min(len(image) - first, length)].clone(),)


class RepeatImageBatch:
    """Repeat a batch."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The batch, again and again.",)
    FUNCTION = "execute"
    CATEGORY = "image/batch"
    DESCRIPTION = "Repeats a batch as a whole."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The batch and a number."""
        amount = whole("How often the batch occurs in the result.", 1, 1, 4096, step=None)
        return {"required": {"image": socket("IMAGE", "The batch."), "amount": amount}}

    def execute(self, image: Tensor, amount: int) -> tuple[Tensor]:
        """Copy the batch."""
        check_shape((amount * image.shape[0], *image.shape[1:]), place="amount")
        return (image.repeat(amount, 1, 1, 1),)


def join_batches(batches: Sequence[Tensor]) -> Tensor:
    """Put batches together in the size of the first.

    Args:
        batches: those of another size are cut to the shape of the first and resized bilinearly; an alpha of 1
            is added where others have one channel more. [B,H,W,C] each

    Returns:
        With the most channels of all. [B',H,W,C]

    Raises:
        InputError: no batch, channels that differ by more than one, or too large a result.
    """
    import torch
    from torch.nn.functional import pad

    if not batches:
        raise InputError("no images; expected at least 2 inputs that are linked.", place="images")
    channels = [batch.shape[-1] for batch in batches]
    most = max(channels)
    if most - min(channels) > 1:
        listed = ", ".join(map(str, channels))
        raise InputError(f"images of {listed} channels; expected as many in each, alpha aside.", place="images")
    height, width = batches[0].shape[1:3]
    check_shape((sum(map(len, batches)), height, width, most), place="images")
    joined = []
    for batch in batches:
        padded = pad(batch, (0, 1), value=1.0) if batch.shape[-1] < most else batch
        if padded.shape[1:3] != (height, width):
            padded = resize(crop_to_shape(padded, width, height), width, height, "bilinear")
        joined.append(padded)
    return torch.cat(joined)


NODES: dict[str, tuple[type, str]] = {
    "BatchImagesNode": (BatchImagesNode, "Batch Images"),
    "ImageBatch": (ImageBatch, "Batch Images"),
    "ImageFromBatch": (ImageFromBatch, "ImageFromBatch"),
    "RepeatImageBatch": (RepeatImageBatch, "RepeatImageBatch"),
}
