"""Stand-ins for ComfyUI's own nodes, so that its workflow files run where it is not installed.

Same class keys, inputs, order of inputs and results as ComfyUI 0.8. Only the headless runner
registers them. One more node is one class and one row of the table below.

Not here: our own nodes.
"""

from __future__ import annotations

from .loading import LoadImage
from .masks import MaskToImage
from .preview import PreviewAny
from .saving import PreviewImage, SaveImage
from .scaling import ImageScale

__all__ = ["CORE_DISPLAY_NAMES", "CORE_NODES"]

_TABLE: dict[str, tuple[type, str]] = {
    "ImageScale": (ImageScale, "Upscale Image"),
    "LoadImage": (LoadImage, "Load Image"),
    "MaskToImage": (MaskToImage, "Convert Mask to Image"),
    "PreviewAny": (PreviewAny, "Preview as Text"),
    "PreviewImage": (PreviewImage, "Preview Image"),
    "SaveImage": (SaveImage, "Save Image"),
}
CORE_NODES: dict[str, type] = {key: node for key, (node, _) in _TABLE.items()}
CORE_DISPLAY_NAMES: dict[str, str] = {key: name for key, (_, name) in _TABLE.items()}
