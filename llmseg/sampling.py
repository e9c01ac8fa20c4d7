"""Enlarging maps tile by tile: bilinear resizing, overlapping windows and their average as two small matrices.

Every step of the published order (windows enlarged, averaged where they overlap, the whole resized to the original)
is linear and works on rows and columns alike, so all of them together are one matrix for the rows and one for the
columns. A tile needs a few rows of each, and no map is ever made at a size between.

Not here: what is enlarged (`scores`, `labels`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Box", "Sampler", "enlarge_axis", "tile_boxes", "window_axis"]

NUMBERS_PER_TILE = 2**21  # 8 MB in float32: what a tile's few passes over it find in the cache
NUMBERS_PER_GPU_TILE = 2**25  # 128 MB, a few times over; a GPU waits for its next order where there are fewer
MOST_WEIGHTS = 2**28  # of one axis: 1 GB, a picture of 16,384 pixels resized to itself
SMALLEST_BAND = 16  # rows; where whole rows would be fewer, they are cut
SMALLEST_SIDE = 64


class Box(NamedTuple):
    """Rows and columns of a tile."""

    rows: slice
    columns: slice


@dataclass(frozen=True)
class Sampler:
    """From cells to points of a finer grid; None along an axis keeps the cells.

    Args:
        rows: weight of every row of cells for every row of points. [H,R]
        columns: the same for columns. [W,Q]
    """

    rows: Tensor | None = None
    columns: Tensor | None = None

    def cells(self, box: Box) -> Box:
        """The cells that a tile of points needs."""
        return Box(_reach(self.rows, box.rows), _reach(self.columns, box.columns))

    def sample(self, values: Tensor, box: Box) -> Tensor:
        """Values of the needed cells at the points of a tile. [r,C,q] -> [n,C,w]"""
        cells = self.cells(box)
        if self.columns is not None:
            values = values @ self.columns[box.columns, cells.columns].T.to(values)
        if self.rows is not None:
            weights = self.rows[box.rows, cells.rows].to(values)  # [n,r]
            values = (weights @ values.flatten(1)).view(-1, *values.shape[1:])
        return values


def _reach(weights: Tensor | None, points: slice) -> slice:
    """Cells with any weight for some points."""
    if weights is None:
        return points
    used = weights[points].any(0).nonzero()
    return slice(int(used[0]), int(used[-1]) + 1)


def enlarge_axis(points: int, cells: int) -> Tensor:
    """Bilinear resizing along one axis, corners not aligned. [points,cells]

    Raises:
        InputError: a picture so long that its weights would fill the memory.
    """
    import torch
    from torch.nn.functional import interpolate

    if points * cells > MOST_WEIGHTS or cells**2 > MOST_WEIGHTS:
        raise InputError(
            f"a side of {points} pixels is too long to enlarge; expected a smaller picture.", place="image"
        )
    return interpolate(torch.eye(cells)[None], size=points, mode="linear", align_corners=False)[0].T


def window_axis(points: int, length: int, window: int, starts: tuple[int, ...], cells: int) -> Tensor:
    """Windows enlarged, averaged where they overlap, and the whole resized: along one axis. [points,len(starts)*cells]

    Args:
        points: of the original.
        length: pixels of the resized image.
        window: pixels of a window.
        starts: where windows start.
        cells: patches of a window.
    """
    import torch

    weights = torch.zeros(length, len(starts) * cells)
    count = torch.zeros(length, 1)
    enlarged = enlarge_axis(window, cells)
    for number, start in enumerate(starts):
        weights[start : start + window, number * cells : (number + 1) * cells] += enlarged
        count[start : start + window] += 1
    return enlarge_axis(points, length) @ (weights / count)


def tile_boxes(
    size: tuple[int, int], channels: int, at_once: int | None = None, device: torch.device | None = None
) -> Iterator[Box]:
    """Tiles that cover a size, bands of whole rows where few channels allow it.

    Args:
        size: rows and columns.
        channels: numbers at each point.
        at_once: numbers of a tile; by default `NUMBERS_PER_TILE`, or `NUMBERS_PER_GPU_TILE`.
        device: where tiles are made; None for a processor.
    """
    if at_once is None:
        at_once = NUMBERS_PER_TILE if device is None or device.type == "cpu" else NUMBERS_PER_GPU_TILE
    high = max(1, at_once // (channels * size[1]))
    wide = size[1]
    if high < SMALLEST_BAND:
        high, wide = SMALLEST_BAND, max(SMALLEST_SIDE, at_once // (channels * SMALLEST_BAND))
    for top in range(0, size[0], high):
        for left in range(0, size[1], wide):
            yield Box(slice(top, min(top + high, size[0])), slice(left, min(left + wide, size[1])))
