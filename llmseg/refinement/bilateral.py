"""Joint bilateral upsampling: maps made finer, keeping to the edges of a picture.

A point of the finer grid takes the mean of the patches around it, each weighted by how near it is and how much the
picture's colour there looks like the colour here. So every value stays between those of the patches around it.

Not here: which maps, and their limits (`class_refiners`).
Source: Kopf et al., "Joint Bilateral Upsampling", ACM Transactions on Graphics 26(3), 2007.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COLOUR", "DISTANCE", "FINER", "upsample_bilaterally"]

FINER = 4  # points on each side of a patch
RADIUS = 5  # patches looked at in every direction
COLOUR = 0.05  # standard deviation of the weights over colours, which are RGB in 0..1
DISTANCE = 5.0  # the same over places, in patches
NUMBERS_PER_BAND = 2**23  # 32 MB, a few times over


def upsample_bilaterally(maps: Tensor, image: Tensor, colour: float = COLOUR, distance: float = DISTANCE) -> Tensor:
    """Maps of one image made `FINER` times finer in both directions.

    Args:
        maps: values at the patches. [C,h,w]
        image: RGB in 0..1. [3,H,W]
        colour: standard deviation of the weights over colours, above 0.
        distance: standard deviation of the weights over places, in patches, above 0.

    Returns:
        Values on the finer grid. [C,4h,4w]
    """
    import torch
    from torch.nn.functional import interpolate

    height, width = maps.shape[1:]
    finer = (height * FINER, width * FINER)
    points = interpolate(image.to(maps)[None], size=finer, mode="bilinear", antialias=True, align_corners=False)
    patches = interpolate(points, size=(height, width), mode="area")
    refined = torch.empty(len(maps), *finer, dtype=maps.dtype, device=maps.device)
    for rows, band in _refined_bands(maps, points[0], patches[0], colour, distance):
        refined[:, rows] = band
    return refined


def _refined_bands(
    maps: Tensor, points: Tensor, patches: Tensor, colour: float, distance: float
) -> Iterator[tuple[slice, Tensor]]:
    """Rows of the finer grid and their values, a band of patch rows at a time. [C,rows,4w] each

    Args:
        maps: values at the patches. [C,h,w]
        points: colours on the finer grid. [3,4h,4w]
        patches: colours of the patches. [3,h,w]
    """
    from torch.nn.functional import pixel_shuffle, pixel_unshuffle

    classes, height, width = maps.shape
    nearness = _nearness(distance).to(maps)
    rows_per_band = max(1, NUMBERS_PER_BAND // (width * nearness.shape[1] * (classes + FINER**2)))
    for top in range(0, height, rows_per_band):
        rows = slice(top, min(top + rows_per_band, height))
        count = rows.stop - top
        values = _neighbours(maps, rows)  # [p,n,C]; p patches of the band, n neighbours of each
        theirs = _neighbours(patches, rows)  # [p,n,3]
        finer = slice(top * FINER, rows.stop * FINER)
        ours = pixel_unshuffle(points[:, finer][None], FINER).view(3, FINER**2, -1).permute(2, 1, 0)  # [p,16,3]
        # NaN where the neighbour lies outside the picture.
        squares = (ours[:, :, None] - theirs[:, None]).square().sum(-1)  # [p,16,n]
        weights = (nearness - squares / (2 * colour**2)).nan_to_num(nan=float("-inf")).softmax(-1)
        band = (weights @ values.nan_to_num()).permute(2, 1, 0)  # [C,16,p]
        yield finer, pixel_shuffle(band.reshape(1, -1, count, width), FINER)[0]


def _nearness(distance: float) -> Tensor:
    """Logarithm of the weight of each neighbour by place, for each point of a patch. [16,n]"""
    import torch

    inside = (torch.arange(FINER) + 0.5) / FINER - 0.5  # of the points, from the centre of their patch
    away = torch.arange(-RADIUS, RADIUS + 1)
    along = (away - inside[:, None]).square()  # [4,2r+1]
    squares = along[:, None, :, None] + along[None, :, None, :]
    return -squares.reshape(FINER**2, -1) / (2 * distance**2)


def _neighbours(grid: Tensor, rows: slice) -> Tensor:
    """Values of all patches around each patch of some rows, NaN outside. [c,h,w] -> [p,n,c]"""
    from torch.nn.functional import pad

    side = 2 * RADIUS + 1
    padded = pad(grid, (RADIUS,) * 4, value=float("nan"))[:, rows.start : rows.stop + 2 * RADIUS]
    around = padded.unfold(1, side, 1).unfold(2, side, 1)  # [c,rows,w,side,side]
    return around.permute(1, 2, 3, 4, 0).reshape(-1, side**2, len(grid))
