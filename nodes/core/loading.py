"""`LoadImage`: an image file of any number of frames becomes a batch and its masks.

Not here: which folders may be read (`host`).
Source: ComfyUI 0.8 `nodes.LoadImage`, reimplemented; opaque frames among transparent ones get a mask
of the frame's size, where the original fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from llmseg.errors import InputError

from .. import host

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor

T = TypeVar("T")
V = TypeVar("V")

EXTENSIONS = (".apng", ".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MOST_PIXELS = 2**28  # of all frames of one file: 3 GB as floats
OPAQUE_SIDE = 64  # ComfyUI's mask for an image without alpha, whatever the size of the image


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
        options = {
            "image_upload": True,
            "tooltip": "A file in the input folder; ' [output]' reads the output folder.",
        }
        return {"required": {"image": (host.list_inputs(EXTENSIONS), options)}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str | None) -> bool | str:
        """Replaces the test against the list: a path to any existing file will do."""
        try:
            return image is None or bool(image_file(str(image)))  # None: the name comes over a link
        except InputError as error:
            return error.problem

    @classmethod
    def IS_CHANGED(cls, image: str) -> str:
        """The content decides: the same name may hold another picture the next time."""
        return hashlib.sha256(image_file(image).read_bytes()).hexdigest()

    def load_image(self, image: str) -> tuple[Tensor, Tensor]:
        """Decode the file."""
        return read_image(image_file(image))


def image_file(name: str) -> Path:
    """Find an existing file by its annotated name.

    Raises:
        InputError: outside its root, or no such file.
    """
    path = host.input_path(name)
    if not path.is_file():
        raise InputError(f"no file {name!r}; expected an image in the input folder.", place="image")
    return path


def read_image(path: Path) -> tuple[Tensor, Tensor]:
    """Decode every frame that has the size of the first.

    Returns:
        RGB in 0..1 [B,H,W,3], and 1 - alpha [B,H,W]; without any alpha zeros [B,64,64].

    Raises:
        InputError: not an image, broken beyond repair, or too large to be opened safely.
    """
    import torch
    from PIL import Image

    try:
        frames = [(frame_pixels(frame), frame_mask(frame)) for frame in _frames(path)]
    # Pillow's plug-ins raise SyntaxError and EOFError for broken files.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(
            f"cannot read {path.name!r} ({type(error).__name__}); expected a whole image file of a usual size.",
            place="image",
        ) from error
    images = torch.cat([image for image, _ in frames])
    some = next((mask for _, mask in frames if mask is not None), None)
    opaque = torch.zeros(1, OPAQUE_SIDE, OPAQUE_SIDE) if some is None else torch.zeros_like(some)
    return images, torch.cat([opaque if mask is None else mask for _, mask in frames])


def frame_pixels(frame: PILImage) -> Tensor:
    """One frame as RGB in 0..1. [1,H,W,3]"""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(frame.convert("RGB")).astype(np.float32) / 255.0)[None]


def frame_mask(frame: PILImage) -> Tensor | None:
    """1 - alpha of one frame, or None if it has no alpha. [1,H,W]"""
    import numpy as np
    import torch

    if "A" in frame.getbands():
        alpha = frame.getchannel("A")
    elif frame.mode == "P" and "transparency" in frame.info:
        alpha = frame.convert("RGBA").getchannel("A")
    else:
        return None
    return 1.0 - torch.from_numpy(np.array(alpha).astype(np.float32) / 255.0)[None]


def _frames(path: Path) -> Iterator[PILImage]:
    from PIL import Image, ImageOps, ImageSequence

    with _even_if_truncated(Image.open, path) as file:
        size: tuple[int, int] | None = None
        pixels = 0
        for raw in ImageSequence.Iterator(file):
            frame = _even_if_truncated(ImageOps.exif_transpose, raw)
            if frame.mode == "I":  # ComfyUI's scale, although 16-bit data reach 65535
                frame = frame.point(lambda value: value * (1 / 255))
            size = size or frame.size
            if frame.size == size:
                pixels += frame.width * frame.height
                if pixels > MOST_PIXELS:  # a few hundred kilobytes of GIF can hold them
                    raise ValueError(f"more than {MOST_PIXELS} pixels in all frames")
                yield frame
            if file.format == "MPO":  # further frames are other views of a stereo camera, or thumbnails
                return


def _even_if_truncated(read: Callable[[V], T], source: V) -> T:
    """Call `read`; if the file is broken, once more with Pillow filling in what is missing."""
    from PIL import ImageFile

    try:
        return read(source)
    except (OSError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return read(source)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
