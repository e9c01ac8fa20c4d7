"""`SaveImage`, `PreviewImage` and `MaskPreview`: PNG files, which carry the prompt and the workflow.

Not here: where files may be written, and their numbers (`host`, `naming`).
Source: ComfyUI 0.8 `nodes.SaveImage` and `comfy_extras/nodes_mask.py`, reimplemented; files appear whole or not
at all.
"""

from __future__ import annotations

import io
import json
import secrets
import string
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import host
from ..sockets import socket
from .masks import grey_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.PngImagePlugin import PngInfo
    from torch import Tensor

HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
PREFIX_TOOLTIP = "Start of each file name; may hold sub-folders, %width%, %height% and %year% to %second%."


class SaveImage:
    """Write each image of a batch to the output folder."""

    RETURN_TYPES: tuple[str, ...] = ("IMAGE",)  # ComfyUI 0.8 has no output yet; files of later versions link to it
    OUTPUT_TOOLTIPS: tuple[str, ...] = ("The same images.",)
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    CATEGORY = "image"
    DESCRIPTION = "Saves the images as PNG in the output folder."
    ROOT = "output"
    COMPRESS_LEVEL = 4

    def __init__(self) -> None:
        self.suffix = ""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images, and how their files are called."""
        prefix = ("STRING", {"default": "ComfyUI", "tooltip": PREFIX_TOOLTIP})
        images = ("IMAGE", {"tooltip": "The images to save."})
        return {"required": {"images": images, "filename_prefix": prefix}, "hidden": HIDDEN}

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None = None) -> bool | str:
        """Refuses a prefix that leaves the folder before anything runs; ComfyUI finds out when it saves."""
        return host.allow_prefix(filename_prefix, cls.ROOT)

    def save_images(
        self,
        images: Tensor,
        filename_prefix: str = "ComfyUI",
        prompt: object = None,
        extra_pnginfo: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """Write the files; answers what the user interface shows."""
        height, width = images.shape[1:3]
        target = host.save_target(filename_prefix + self.suffix, self.ROOT, width, height)
        texts = png_texts(prompt, extra_pnginfo) if host.metadata_enabled() else None
        shown = []
        for index, image in enumerate(images):
            name = target.filename(index)
            pixels = image_pixels(image)  # now: a node that comes next may change the image
            host.write_file(target.folder / name, partial(encode_png, pixels, texts, self.COMPRESS_LEVEL))
            shown.append({"filename": name, "subfolder": target.subfolder, "type": target.kind})
        return {"ui": {"images": shown}, "result": (images,)}


class PreviewImage(SaveImage):
    """Write each image of a batch to the temporary folder."""

    DESCRIPTION = "Shows the images; their files are temporary."
    ROOT = "temp"
    COMPRESS_LEVEL = 1

    def __init__(self) -> None:
        # Not `random`: a workflow's seed must not depend on how many previews it has.
        self.suffix = "_temp_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(5))

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Images only."""
        return {"required": {"images": ("IMAGE", {"tooltip": "The images to show."})}, "hidden": HIDDEN}


class MaskPreview(PreviewImage):
    """Write each mask of a batch to the temporary folder, as a grey image."""

    RETURN_TYPES = ()
    OUTPUT_TOOLTIPS = ()
    FUNCTION = "save_masks"
    CATEGORY = "mask"
    DESCRIPTION = "Shows the masks; their files are temporary."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Masks only."""
        return {"required": {"mask": socket("MASK", "The masks to show.")}, "hidden": HIDDEN}

    def save_masks(self, mask: Tensor, prompt: object = None, extra_pnginfo: object = None) -> dict[str, Any]:
        """Write the files; as in ComfyUI, these carry no workflow."""
        return {"ui": {**self.save_images(grey_image(mask))["ui"], "animated": (False,)}}


def png_texts(prompt: object, extra: Mapping[str, object] | None) -> PngInfo:
    """The text chunks from which ComfyUI opens a workflow: ASCII JSON, the prompt first."""
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    if prompt is not None:
        texts.add_text("prompt", json.dumps(prompt))
    for key, value in (extra or {}).items():
        texts.add_text(key, json.dumps(value))
    return texts


def image_pixels(image: Tensor) -> NDArray[np.uint8]:
    """One image clipped to 0..1, in 8 bits by truncation, as ComfyUI does. [H,W,C]"""
    import numpy as np

    return np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)


def encode_png(pixels: NDArray[np.uint8], texts: PngInfo | None, compress_level: int) -> bytes:
    """Encode one image.

    Args:
        pixels: RGB or RGBA. [H,W,C]
        texts: chunks to add.
        compress_level: of zlib, 0..9.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=texts, compress_level=compress_level)
    return buffer.getvalue()


NODES: dict[str, tuple[type, str]] = {
    "MaskPreview": (MaskPreview, "Preview Mask"),
    "PreviewImage": (PreviewImage, "Preview Image"),
    "SaveImage": (SaveImage, "Save Image"),
}
