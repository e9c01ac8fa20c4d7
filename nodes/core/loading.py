"""`LoadImage`, `LoadImageOutput` and `LoadImageMask`: an image file becomes a batch and its masks, or one mask.

Not here: which folders may be read (`host`), decoding (`reading`).
Source: ComfyUI 0.8 `nodes`, reimplemented.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from llmseg.errors import InputError

from .. import host
from ..sockets import Input
from .reading import image_file, read_image, read_mask

if TYPE_CHECKING:
    from torch import Tensor

EXTENSIONS = (".apng", ".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
CHANNELS = ("alpha", "red", "green", "blue")
FILE_TOOLTIP = "A file in the input folder; ' [output]' reads the output folder."


class LoadImage:
    """Read an image from the input folder."""

    RETURN_TYPES = ("IMAGE", "MASK")
    OUTPUT_TOOLTIPS = (
        "Every frame of the file.",
        "1 where the image is transparent; 64x64 zeros if it has no alpha.",
    )
    FUNCTION = "load_image"
    CATEGORY = "image"
    DESCRIPTION = "Reads an image and its transparency from the input folder."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The files that can be chosen now; any other existing file is accepted too."""
        return {"required": {"image": _upload()}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str | None) -> bool | str:
        """Replaces the test against the list: a path to any existing file will do."""
        return allow_file(image)

    @classmethod
    def IS_CHANGED(cls, image: str) -> str:
        """The content decides: the same name may hold another picture the next time."""
        return file_digest(image)

    def load_image(self, image: str) -> tuple[Tensor, Tensor]:
        """Decode the file, if a batch has not done so already."""
        known = host.lookahead()
        return (read_image if known is None else known.read)(image_file(image))


class LoadImageOutput(LoadImage):
    """Read an image from the output folder."""

    DESCRIPTION = "Reads an image that was saved before, and its transparency."
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """A file that the editor chooses from a list of the server's."""
        remote = {
            "route": "/internal/files/output",
            "refresh_button": True,
            "control_after_refresh": "first",
        }
        tooltip = "A file; only ' [output]' at its end reads the output folder."
        options = {"image_upload": True, "image_folder": "output", "remote": remote, "tooltip": tooltip}
        return {"required": {"image": ("COMBO", options)}}


class LoadImageMask:
    """Read one channel of an image from the input folder."""

    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("The channel; alpha inverted, so that 1 is transparent.",)
    FUNCTION = "load_image"
    CATEGORY = "mask"
    DESCRIPTION = "Reads one channel of an image from the input folder as a mask."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The files that can be chosen now, and the channel."""
        channel = (list(CHANNELS), {"tooltip": "Which channel of the first frame."})
        return {"required": {"image": _upload(), "channel": channel}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str | None) -> bool | str:
        """Replaces the test against the list: a path to any existing file will do."""
        return allow_file(image)

    @classmethod
    def IS_CHANGED(cls, image: str, channel: str) -> str:
        """The content decides: the same name may hold another picture the next time."""
        return file_digest(image)

    def load_image(self, image: str, channel: str) -> tuple[Tensor]:
        """Decode the first frame."""
        return (read_mask(image_file(image), channel),)


def _upload() -> Input:
    return host.list_inputs(EXTENSIONS), {"image_upload": True, "tooltip": FILE_TOOLTIP}


def allow_file(name: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers about a file: True, or why it is refused. None: the name comes over a link."""
    try:
        return name is None or bool(image_file(str(name)))
    except InputError as error:
        return error.problem


def file_digest(name: str) -> str:
    """What a file holds, as 64 hexadecimal digits."""
    return hashlib.sha256(image_file(name).read_bytes()).hexdigest()


NODES: dict[str, tuple[type, str]] = {
    "LoadImage": (LoadImage, "Load Image"),
    "LoadImageMask": (LoadImageMask, "Load Image (as Mask)"),
    "LoadImageOutput": (LoadImageOutput, "Load Image (from Outputs)"),
}
