"""Image files as batches and masks: every frame, or one channel of the first.

Not here: which folders may be read (`host`); the nodes (`loading`).
Source: ComfyUI 0.8 `nodes.LoadImage` and `nodes.LoadImageMask`, reimplemented; opaque frames among transparent
ones get a mask of the frame's size, where the original fails.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from llmseg.errors import InputError

from .. import host

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor

T = TypeVar("T")
V = TypeVar("V")

MOST_PIXELS = 2**28  # of all frames of one file: 3 GB as floats
TRUNCATED = Lock()  # a batch reads in two threads, and what Pillow allows counts for all of them
OPAQUE_SIDE = 64  # ComfyUI's mask for an image without alpha, whatever the size of the image


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

    with _readable(path):
        frames = [(frame_pixels(frame), frame_mask(frame)) for frame in _frames(path)]
    images = torch.cat([image for image, _ in frames])
    some = next((mask for _, mask in frames if mask is not None), None)
    opaque = torch.zeros(1, OPAQUE_SIDE, OPAQUE_SIDE) if some is None else torch.zeros_like(some)
    return images, torch.cat([opaque if mask is None else mask for _, mask in frames])


def read_mask(path: Path, channel: str) -> Tensor:
    """Decode one channel of the first frame.

    Args:
        path: an image file.
        channel: a name in `CHANNELS`; of another one, only the first letter counts.

    Returns:
        A colour, or 1 - alpha; zeros of 64 x 64 if there is no such channel. [1,H,W]

    Raises:
        InputError: not an image, broken beyond repair, or too large to be opened safely.
    """
    import torch

    with _readable(path), closing(_frames(path)) as frames:
        frame = next(frames).convert("RGBA")
    letter = channel[:1].upper()
    if letter not in frame.getbands():
        return torch.zeros(1, OPAQUE_SIDE, OPAQUE_SIDE)
    values = _unit(frame.getchannel(letter))
    return 1.0 - values if letter == "A" else values


def _unit(band: PILImage) -> Tensor:
    """Eight bits as 0..1. [1,H,W] or [1,H,W,C]"""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(band).astype(np.float32) / 255.0)[None]


def frame_pixels(frame: PILImage) -> Tensor:
    """One frame as RGB in 0..1. [1,H,W,3]"""
    return _unit(frame.convert("RGB"))


def frame_mask(frame: PILImage) -> Tensor | None:
    """1 - alpha of one frame, or None if it has no alpha. [1,H,W]"""
    if "A" in frame.getbands():
        alpha = frame.getchannel("A")
    elif frame.mode == "P" and "transparency" in frame.info:
        alpha = frame.convert("RGBA").getchannel("A")
    else:
        return None
    return 1.0 - _unit(alpha)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever Pillow raises for a file as one clear error."""
    from PIL import Image

    try:
        yield
    # Pillow's plug-ins raise SyntaxError and EOFError for broken files.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(
            f"cannot read {path.name!r} ({type(error).__name__}); expected a whole image file of a usual size.",
            place="image",
        ) from error


def _frames(path: Path) -> Generator[PILImage, None, None]:
    from PIL import Image, ImageOps, ImageSequence

    with even_if_truncated(Image.open, path) as file:
        size: tuple[int, int] | None = None
        pixels = 0
        for raw in ImageSequence.Iterator(file):
            frame = even_if_truncated(ImageOps.exif_transpose, raw)
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
        if size is None:
            raise ValueError("no frame")


def even_if_truncated(read: Callable[[V], T], source: V) -> T:
    """Call `read`; if the file is broken, once more with Pillow filling in what is missing."""
    from PIL import ImageFile

    try:
        return read(source)
    except (OSError, ValueError):
        with TRUNCATED:
            before = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = True
            try:
                return read(source)
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = before
