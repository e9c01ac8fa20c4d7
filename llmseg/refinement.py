"""`ClassMaps` -> sharper `ClassMaps`, guided by the image.

`bilateral` is joint bilateral upsampling (Kopf et al., ACM Transactions on Graphics 26(3), 2007): a point of
the finer grid takes the mean of the patches around it, each weighted by how near it is and how much the
picture's colour there looks like the colour here. So a map keeps to the edges of the picture, and every
value stays between those of the patches around it.

Not here: resizing and thresholds (`labels`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .errors import InputError, lookup
from .options import AUTO
from .types import ClassMaps

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COLOUR", "DISTANCE", "REFINERS", "refine_bilaterally", "refine_maps"]

FINER = 4  # points on each side of a patch
RADIUS = 5  # patches looked at in every direction
COLOUR = 0.05  # standard deviation of the weights over colours, which are RGB in 0..1
DISTANCE = 5.0  # the same over places, in patches
MOST_NUMBERS = 2**30  # of refined maps: 4 GB
NUMBERS_PER_BAND = 2**23  # 32 MB, a few times over


def _keep(maps: ClassMaps, images: Tensor) -> ClassMaps:
    return maps


def refine_bilaterally(
    maps: ClassMaps, images: Tensor, colour: float = COLOUR, distance: float = DISTANCE
) -> ClassMaps:
    """Joint bilateral upsampling, by `FINER` in both directions.

    Args:
        maps: on the patch grid. maps [B,C,h,w]
        images: RGB in 0..1. [B,3,H,W]
        colour: standard deviation of the weights over colours, above 0.
        distance: standard deviation of the weights over places, in patches, above 0.

    Returns:
        The same on the finer grid; the winning phrases stay on the patch grid. maps [B,C,4h,4w]

    Raises:
        InputError: maps too large to be made finer.
    """
    import torch
    from torch.nn.functional import interpolate

    height, width = maps.maps.shape[2:]
    if maps.maps.numel() * FINER**2 > MOST_NUMBERS:
        raise InputError(
            f"{maps.maps.shape[1]} classes on {height} x {width} patches are too many to refine; "
            "expected fewer classes, a smaller picture or refiner 'none'.",
            place="refiner",
        )
    images = images.to(maps.maps)
    finer = (height * FINER, width * FINER)
    points = interpolate(images, size=finer, mode="bilinear", antialias=True, align_corners=False)
    patches = interpolate(points, size=(height, width), mode="area")
    refined = torch.empty(*maps.maps.shape[:2], *finer, dtype=maps.maps.dtype, device=maps.maps.device)
    for image in range(len(images)):
        for rows, band in _refined_bands(maps.maps[image], points[image], patches[image], colour, distance):
            refined[image, :, rows] = band
    return replace(maps, maps=refined)


REFINERS: Mapping[str, Callable[[ClassMaps, Tensor], ClassMaps]] = MappingProxyType(
    {"none": _keep, "bilateral": refine_bilaterally}
)


def refine_maps(maps: ClassMaps, images: Tensor, refiner: str = AUTO) -> ClassMaps:
    """Refine class maps with the images they were made from.

    Args:
        maps: on the patch grid. maps [B,C,h,w]
        images: RGB in 0..1. [B,3,H,W]
        refiner: a name in `REFINERS`, or "auto".

    Raises:
        UnknownNameError: no such refiner.
        InputError: other images than those of the maps, or maps too large.
    """
    if len(images) != len(maps.maps):
        raise InputError(f"{len(images)} images; expected the {len(maps.maps)} of the maps.", place="image")
    if tuple(images.shape[-2:]) != tuple(maps.size):
        given, wanted = (f"{height} x {width}" for height, width in (images.shape[-2:], maps.size))
        raise InputError(f"{given} pixels; expected the {wanted} of the maps.", place="image")
    return lookup(REFINERS, maps.refiner if refiner == AUTO else refiner, place="refiner")(maps, images)


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
