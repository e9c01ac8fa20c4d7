"""A picture cut into pieces of like colour, by scikit-image, which is imported only here.

Not here: what pixels of a piece have in common (`region_vote`).
Source: Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", TPAMI 34(11), 2012.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COMPACTNESS", "SIDE", "cut_superpixels", "mask_superpixels"]

SIDE = 8  # pixels, of a square as large as a piece
COMPACTNESS = 30.0  # how much places count beside colours
MOST_NUMBERS = 2**28  # of masks: 1 GB


def cut_superpixels(picture: Tensor, side: float = SIDE, compactness: float = COMPACTNESS) -> Tensor:
    """Number of the piece that each pixel belongs to, from 0. [3,H,W] -> int64 [H,W]

    Args:
        picture: RGB in 0..1. [3,H,W]
        side: pieces are about as large as squares of so many pixels.
        compactness: large numbers make squares, small ones keep to the colours.

    Raises:
        InputError: scikit-image cannot be imported.
    """
    return _cut(picture, max(1, round(picture[0].numel() / side**2)), compactness, place="refiner")


def mask_superpixels(images: Tensor, count: int, compactness: float = COMPACTNESS) -> Tensor:
    """A mask per piece, as other models give masks of things: every pixel is in exactly one.

    Args:
        images: one image, RGB in 0..1. [1,3,H,W]
        count: about how many pieces.
        compactness: as in `cut_superpixels`.

    Returns:
        Masks. bool [N,H,W]

    Raises:
        InputError: several images, masks that would fill the memory, or scikit-image cannot be imported.
    """
    import torch

    if len(images) != 1:
        raise InputError(f"{len(images)} images; expected one. Cut images one by one.", place="image")
    height, width = images.shape[2:]
    if count * height * width > MOST_NUMBERS:
        raise InputError(
            f"{count} masks of {height} x {width} pixels; expected at most {MOST_NUMBERS} pixels in all. "
            "Choose fewer, or a smaller picture.",
            place="count",
        )
    pieces = _cut(images[0], count, compactness, place="superpixels")
    return pieces == torch.arange(int(pieces.max()) + 1, device=pieces.device)[:, None, None]


def _cut(picture: Tensor, count: int, compactness: float, place: str) -> Tensor:
    """Number of the piece of each pixel. int64 [H,W]"""
    import numpy as np
    import torch

    try:
        from skimage.segmentation import slic
    except Exception as error:  # not there, or built for another numpy
        raise InputError(
            f"superpixels need the package scikit-image, which cannot be imported ({error}). "
            "Run: pip install scikit-image",
            place=place,
        ) from error
    pixels = np.ascontiguousarray(picture.detach().movedim(0, -1).cpu().numpy())
    pieces = slic(pixels, n_segments=count, compactness=compactness, start_label=0, channel_axis=-1)
    return torch.from_numpy(pieces.astype(np.int64)).to(picture.device)
