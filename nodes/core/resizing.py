"""`ResizeImageMaskNode`: resize images or masks to a size that is chosen in one of many ways.

Not here: the resizing itself (`scaling`).
Source: ComfyUI 0.8 `comfy_extras/nodes_post_processing.py`, reimplemented as a V1 class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from llmseg.errors import lookup

from ..sockets import Input, socket
from .declaring import CROP_TOOLTIP, CROPS, METHOD_TOOLTIP, METHODS, combo, decimal, whole
from .scaling import MEGAPIXEL, area_factor, crop_to_shape, resize, scaled_size, target_size

if TYPE_CHECKING:
    from torch import Tensor

Chosen = Mapping[str, Any]
KEEP = "0 keeps the shape, or leaves all alone where no other side is given."
CROP = combo(CROPS, CROP_TOOLTIP, default="center")


class ResizeImageMaskNode:
    """Resize images or masks."""

    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    RETURN_NAMES = ("resized",)
    OUTPUT_TOOLTIPS = ("The same kind as the input.",)
    FUNCTION = "execute"
    CATEGORY = "transform"
    DESCRIPTION = "Resizes images or masks to a size, by a factor, to an area, or to the size of another one."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What to resize, the kind of size with its own inputs, and the method."""
        template = {"template_id": "input_type", "allowed_types": "IMAGE,MASK"}
        options = [{"key": key, "inputs": {"required": inputs}} for key, (inputs, _) in SIZES.items()]
        kinds = {"options": options, "tooltip": "How the new size is given."}
        return {
            "required": {
                "input": ("COMFY_MATCHTYPE_V3", {"template": template, "tooltip": "Images or masks."}),
                "resize_type": ("COMFY_DYNAMICCOMBO_V3", kinds),
                "scale_method": combo(METHODS, METHOD_TOOLTIP, default="area"),
            }
        }

    def execute(self, input: Tensor, resize_type: Chosen, scale_method: str) -> tuple[Tensor]:
        """Resize the batch."""
        return (resize_as(input, resize_type, scale_method),)


def resize_as(value: Tensor, chosen: Chosen, method: str) -> Tensor:
    """Resize images or masks.

    Args:
        value: images or masks. [B,H,W,C], [B,H,W] or [H,W]
        chosen: a key of `SIZES` under `resize_type`, and the inputs of that kind.
        method: a name in `METHODS`.

    Returns:
        `value` itself where it is to be left alone. [B,H',W',C] or [B,H',W']

    Raises:
        InputError: another kind, or a size that cannot be made.
    """
    if value.ndim < 4:
        value = value.reshape(-1, *value.shape[-2:])
    _, sized = lookup(SIZES, chosen["resize_type"], place="resize_type")
    size = sized(value.shape[2], value.shape[1], chosen)
    if size is None:
        return value
    if chosen.get("crop") == "center":
        value = crop_to_shape(value, *size)
    return resize(value, *size, method)


Sized = Callable[[int, int, Chosen], "tuple[int, int] | None"]  # width, height, inputs -> width, height; None: leave it


def _by_multiplier(width: int, height: int, chosen: Chosen) -> tuple[int, int]:
    return scaled_size(width, height, chosen["multiplier"])


def _to_sides(width: int, height: int, chosen: Chosen) -> tuple[int, int] | None:
    wanted = (chosen.get("width", 0), chosen.get("height", 0))
    return target_size(width, height, *wanted) if any(wanted) else None


def _to_longer(width: int, height: int, chosen: Chosen) -> tuple[int, int]:
    longer = chosen["longer_size"]
    if height > width:
        return round((width / height) * longer), longer
    return longer, longer if width == height else round((height / width) * longer)


def _to_shorter(width: int, height: int, chosen: Chosen) -> tuple[int, int]:
    shorter = chosen["shorter_size"]
    # ComfyUI 0.8 makes squares of upright pictures, and so does a workflow that was made with it.
    return (round((width / height) * shorter) if height < width else shorter), shorter


def _to_area(width: int, height: int, chosen: Chosen) -> tuple[int, int]:
    pixels = chosen["megapixels"] * MEGAPIXEL // 1  # whole pixels here, but not in ImageScaleToTotalPixels
    return scaled_size(width, height, area_factor(width, height, pixels))


def _to_match(width: int, height: int, chosen: Chosen) -> tuple[int, int]:
    shape = chosen["match"].shape
    height, width = shape[1:3] if len(shape) == 4 else shape[-2:]
    return width, height


def _side(name: str) -> Input:
    return whole(f"{name} in pixels.", 512, 0)


SIZES: dict[str, tuple[dict[str, Input], Sized]] = {
    "scale by multiplier": (
        {"multiplier": decimal("What width and height are multiplied by.", 1.0, 0.01, 8.0)},
        _by_multiplier,
    ),
    "scale dimensions": (
        {
            "width": whole(f"Width in pixels; {KEEP}", 512, 0),
            "height": whole(f"Height in pixels; {KEEP}", 512, 0),
            "crop": CROP,
        },
        _to_sides,
    ),
    "scale longer dimension": ({"longer_size": _side("Longer side")}, _to_longer),
    "scale shorter dimension": ({"shorter_size": _side("Shorter side of a wide picture")}, _to_shorter),
    "scale width": ({"width": _side("Width")}, _to_sides),
    "scale height": ({"height": _side("Height")}, _to_sides),
    "scale total pixels": (
        {"megapixels": decimal("Area in units of 1024 x 1024 pixels.", 1.0, 0.01, 16.0)},
        _to_area,
    ),
    "match size": ({"match": socket("IMAGE,MASK", "Has the size to take."), "crop": CROP}, _to_match),
}

NODES: dict[str, tuple[type, str]] = {
    "ResizeImageMaskNode": (ResizeImageMaskNode, "Resize Image/Mask"),
}
