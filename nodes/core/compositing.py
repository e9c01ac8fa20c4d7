"""Two pictures or masks as one: `ImageCompositeMasked` and `MaskComposite`.

Not here: batches (`batching`), alpha (`alpha`).
Source: ComfyUI 0.8 `comfy_extras/nodes_mask.py`, reimplemented as V1 classes. What
lies outside the destination changes nothing, and images without alpha can be laid over images that have it, as in
later versions; 0.8 fails at either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llmseg.errors import InputError, lookup

from ..sockets import socket
from .declaring import combo, whole
from .mask_editing import as_batch

if TYPE_CHECKING:
    from torch import Tensor

X = whole("Left edge of the source in the destination, in pixels.", 0, 0)
Y = whole("Upper edge of the source in the destination, in pixels.", 0, 0)


class ImageCompositeMasked:
    """Lay one image over another."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The destination with the source on it.",)
    FUNCTION = "execute"
    CATEGORY = "image"
    DESCRIPTION = "Lays images over others, where a mask says so."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Two images, a place, and a mask of the source."""
        resized = "Whether the source first gets the size of the destination."
        mask = socket("MASK", "1 where the source shows, in the shape of the source; everywhere if not linked.")
        return {
            "required": {
                "destination": socket("IMAGE", "The images below."),
                "source": socket("IMAGE", "The images above."),
                "x": X,
                "y": Y,
                "resize_source": ("BOOLEAN", {"default": False, "tooltip": resized}),
            },
            "optional": {"mask": mask},
        }

    def execute(
        self, destination: Tensor, source: Tensor, x: int, y: int, resize_source: bool, mask: Tensor | None = None
    ) -> tuple[Tensor]:
        """Blend the batches."""
        return (composite(destination, source, x, y, resized=resize_source, mask=mask),)


class MaskComposite:
    """Combine two masks."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("The destination, changed where the source lies.",)
    FUNCTION = "execute"
    CATEGORY = "mask"
    DESCRIPTION = "Combines two masks by arithmetic or logic."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Two masks, a place and an operation."""
        return {
            "required": {
                "destination": socket("MASK", "The mask that is changed."),
                "source": socket("MASK", "The mask that changes it."),
                "x": X,
                "y": Y,
                "operation": combo(tuple(OPERATIONS), "and, or, xor work on the nearest of 0 and 1."),
            }
        }

    def execute(self, destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> tuple[Tensor]:
        """Combine the batches."""
        return (combine(destination, source, x, y, operation),)


def match_channels(destination: Tensor, source: Tensor) -> Tensor:
    """The source with as many channels as the destination: an alpha of 1 more, or without its last ones.

    Raises:
        InputError: more than one channel is missing.
    """
    from torch.nn.functional import pad

    missing = destination.shape[-1] - source.shape[-1]
    if missing > 1:
        raise InputError(
            f"a source of {source.shape[-1]} channels over {destination.shape[-1]}; expected as many.", place="source"
        )
    return pad(source, (0, 1), value=1.0) if missing == 1 else source[..., : destination.shape[-1]]


def composite(
    destination: Tensor, source: Tensor, x: int, y: int, *, resized: bool = False, mask: Tensor | None = None
) -> Tensor:
    """Lay one batch over another.

    Args:
        destination: below. [B,H,W,C]
        source: above; images that are missing are repeated from the first on, more than B are left out. [N,h,w,C']
        x: left edge of the source; what lies outside the destination is left out.
        y: upper edge of the source.
        resized: whether the source first gets the size of the destination.
        mask: 1 where the source shows, resized to the source; repeated like it. [h,w] or [M,h,w]

    Returns:
        A copy. [B,H,W,C]

    Raises:
        InputError: channels or a negative place that do not fit.
    """
    from torch.nn.functional import interpolate

    canvas = destination.clone().movedim(-1, 1)
    count, _, height, width = canvas.shape
    source = match_channels(destination, source).to(destination.device).movedim(-1, 1)[:count]
    if resized:
        source = interpolate(source, size=(height, width), mode="bilinear")
    size = source.shape[-2:]
    x, y = max(-size[1], min(x, width)), max(-size[0], min(y, height))
    seen = (..., slice(None, height - y + min(0, y)), slice(None, width - x + min(0, x)))
    place = (..., slice(y, y + size[0]), slice(x, x + size[1]))
    above = repeat_batch(source, count)[seen]
    if mask is None:
        weight = above.new_ones(1)
    else:
        masks = as_batch(mask.to(canvas.device)).unsqueeze(1)[:count]
        weight = repeat_batch(interpolate(masks, size=size, mode="bilinear"), count)[seen]
    try:
        canvas[place] = weight * above + (1.0 - weight) * canvas[place]
    except RuntimeError as error:
        raise _misplaced(size, x, y) from error
    return canvas.movedim(1, -1)


def repeat_batch(batch: Tensor, count: int) -> Tensor:
    """The first `count` of a batch that starts anew where it ends. [N,...] -> [count,...]"""
    times = math.ceil(count / max(len(batch), 1))
    return (batch.repeat(times, *[1] * (batch.ndim - 1)) if times > 1 else batch)[:count]


def combine(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """Combine two batches of masks where they overlap.

    Args:
        destination: is copied. [H,W] or [B,H,W]
        source: one, or as many as there are destinations. [h,w], [1,h,w] or [B,h,w]
        x: left edge of the source; what lies outside the destination is left out.
        y: upper edge of the source.
        operation: a key of `OPERATIONS`.

    Returns:
        In 0..1. [B,H,W]

    Raises:
        InputError: another operation, numbers of masks or a negative place that do not fit.
    """
    combined, source = as_batch(destination).clone(), as_batch(source)
    (height, width), size = combined.shape[-2:], source.shape[-2:]
    operate = lookup(OPERATIONS, operation, place="operation")
    if x < width and y < height:
        right, bottom = min(x + size[1], width), min(y + size[0], height)
        place = (slice(None), slice(y, bottom), slice(x, right))
        try:
            combined[place] = operate(combined[place], source[:, : bottom - y, : right - x])
        except RuntimeError as error:
            raise _misplaced(source.shape, x, y) from error
    return combined.clamp(0.0, 1.0)


def _misplaced(shape: tuple[int, ...], x: int, y: int) -> InputError:
    return InputError(
        f"a source of {' x '.join(map(str, shape))} does not fit the destination at ({x}, {y}); "
        "expected x and y of 0 or more, and as many masks as there are destinations.",
        place="source",
    )


def _hard(mask: Tensor) -> Tensor:
    return mask.round().bool()


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiply": lambda below, above: below * above,
    "add": lambda below, above: below + above,
    "subtract": lambda below, above: below - above,
    "and": lambda below, above: (_hard(below) & _hard(above)).float(),
    "or": lambda below, above: (_hard(below) | _hard(above)).float(),
    "xor": lambda below, above: (_hard(below) ^ _hard(above)).float(),
}


NODES: dict[str, tuple[type, str]] = {
    "ImageCompositeMasked": (ImageCompositeMasked, "ImageCompositeMasked"),
    "MaskComposite": (MaskComposite, "MaskComposite"),
}
