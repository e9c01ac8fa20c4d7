"""Socket names, the input declarations of V1 classes, and the step between host and library tensors.

Not here: any node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from llmseg.errors import InputError
from llmseg.options import Choice, Number

if TYPE_CHECKING:
    import torch

CLASS_NAMES = "LLMSEG_CLASS_NAMES"
EXPANSION = "LLMSEG_EXPANSION"
LLM = "LLMSEG_LLM"
ENCODER = "LLMSEG_ENCODER"
BACKBONE = "LLMSEG_BACKBONE"
TEXT_BANK = "LLMSEG_TEXT_BANK"
PATCH_FEATURES = "LLMSEG_PATCH_FEATURES"
SCORE_MAPS = "LLMSEG_SCORE_MAPS"
CLASS_MAPS = "LLMSEG_CLASS_MAPS"
LABEL_MAP = "LLMSEG_LABEL_MAP"
SEGS = "SEGS"  # of ComfyUI-Impact-Pack
BOUNDING_BOX = "BOUNDING_BOX"  # of ComfyUI itself, since 2026
BBOX = "BBOX"  # of KJNodes and SAM 2 nodes

Input = tuple[Any, dict[str, Any]]
T = TypeVar("T")


def socket(kind: str, tooltip: str) -> Input:
    """An input that is only ever linked."""
    return kind, {"tooltip": tooltip}


def choice(option: Choice, *, advanced: bool = False) -> Input:
    """A combo over a table of `llmseg.options`."""
    return option.choices, {"default": option.default, "tooltip": option.help, **_advanced(advanced)}


def integer(option: Number, *, advanced: bool = False) -> Input:
    """A whole number with the limits of `llmseg.options`."""
    limits = {"min": int(option.minimum), "max": int(option.maximum), "step": int(option.step)}
    return "INT", {"default": int(option.default), **limits, "tooltip": option.tooltip, **_advanced(advanced)}


def decimal(option: Number) -> Input:
    """A number with the limits of `llmseg.options`."""
    limits = {"min": option.minimum, "max": option.maximum, "step": option.step, "round": False}
    return "FLOAT", {"default": option.default, **limits, "tooltip": option.tooltip}


def text(default: str, tooltip: str, *, multiline: bool = False, advanced: bool = False) -> Input:
    """A line or a field of text."""
    return "STRING", {"default": default, "multiline": multiline, "tooltip": tooltip, **_advanced(advanced)}


def switch(default: bool, tooltip: str, *, advanced: bool = False) -> Input:
    """A yes or no."""
    return "BOOLEAN", {"default": default, "tooltip": tooltip, **_advanced(advanced)}


def _advanced(wanted: bool) -> dict[str, bool]:
    """What makes a frontend fold an input away."""
    return {"advanced": True} if wanted else {}


def expect(value: T, kind: type[T], place: str) -> T:
    """A record that came over a socket of several types.

    Raises:
        InputError: it is another one.
    """
    if not isinstance(value, kind):
        raise InputError(f"{type(value).__name__}; expected {kind.__name__}.", place=place)
    return value


def to_images(image: torch.Tensor) -> torch.Tensor:
    """The host's IMAGE [B,H,W,1, 3 or 4] as the library's RGB batch in 0..1; alpha is left out. [B,3,H,W]

    Resizing and sharpening overshoot, and half-precision decoders give NaN, which ComfyUI shows as black.
    """
    if image.ndim != 4 or 0 in image.shape:
        needed = ", none of them 0" if image.ndim == 4 else ""
        raise InputError(f"shape {list(image.shape)}; expected IMAGE [B,H,W,3]{needed}.", place="image")
    if not image.is_floating_point():
        raise InputError(f"numbers of type {image.dtype}; expected floats in 0..1.", place="image")
    colours = image[..., :3] if image.shape[-1] >= 3 else image[..., :1].expand(-1, -1, -1, 3)
    return colours.movedim(-1, 1).float().nan_to_num(nan=0.0).clamp(0, 1)


def to_image(images: torch.Tensor) -> torch.Tensor:
    """The library's batch [B,3,H,W] as the host's IMAGE. [B,H,W,3]"""
    return images.movedim(1, -1).cpu().contiguous()


def to_mask(masks: torch.Tensor) -> torch.Tensor:
    """Anything [B,H,W] as the host's MASK: float32 on the CPU. [B,H,W]"""
    return masks.float().cpu()
