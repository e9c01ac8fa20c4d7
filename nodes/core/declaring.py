"""Inputs that many core nodes declare, in ComfyUI's forms.

Classes of ComfyUI's older protocol list the choices of a combo in place of its type, those of the newer
one among its options; the editor saves both alike.

Not here: sockets of our own types (`sockets`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..sockets import Input

MAX_SIDE = 16384  # ComfyUI's MAX_RESOLUTION
METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
CROPS = ("disabled", "center")
METHOD_TOOLTIP = "How pixels are interpolated."
CROP_TOOLTIP = "center cuts the edges that do not fit the target's shape; disabled stretches."


def whole(tooltip: str, default: int, least: int, most: int = MAX_SIDE, **options: Any) -> Input:
    """A whole number in steps of one, unless `options` say another `step`; None for no step at all."""
    limits = {"default": default, "min": least, "max": most, "step": 1, **options}
    return "INT", {key: value for key, value in limits.items() if value is not None} | {"tooltip": tooltip}


def decimal(tooltip: str, default: float, least: float, most: float) -> Input:
    """A number in steps of a hundredth."""
    return "FLOAT", {"default": default, "min": least, "max": most, "step": 0.01, "tooltip": tooltip}


def combo(choices: Sequence[str], tooltip: str, **options: Any) -> Input:
    """A choice as the newer protocol declares it."""
    return "COMBO", {**options, "multiselect": False, "options": list(choices), "tooltip": tooltip}
