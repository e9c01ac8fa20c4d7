"""The guided filter: maps smoothed so that their edges are those of a picture.

In every square window a map is explained by the picture's colours, as a linear function of them that is kept flat
by `evenness`; each pixel takes the mean of what all windows over it say. Where colours do not vary that is a plain
mean, across an edge of the picture it is a step. The cost does not depend on the radius: windows are running sums.

Not here: which maps (`class_refiners`, `score_refiners`), large pictures (`blocks`).
Source: He, Sun and Tang, "Guided Image Filtering", ECCV 2010, with a guide of three colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EVENNESS", "RADIUS", "box_mean", "filter_guided"]

RADIUS = 8  # pixels; a window is 17 x 17
EVENNESS = 1e-4  # variance of colours, which are RGB in 0..1, below which a window counts as flat
NUMBERS_AT_ONCE = 2**23  # of maps: 32 MB, a few times over


def filter_guided(maps: Tensor, guide: Tensor, radius: int = RADIUS, evenness: float = EVENNESS) -> Tensor:
    """Smooth maps along a picture of the same size.

    Args:
        maps: any channels; the result is linear in them. [C,H,W]
        guide: RGB in 0..1. [3,H,W]
        radius: of the windows in pixels; those at the border are cut there.
        evenness: epsilon of the source, above 0.

    Returns:
        Maps; a little above or below the given values where a window was explained badly. [C,H,W]
    """
    import torch

    guide = guide.to(maps)
    guide = guide - guide.mean((1, 2), keepdim=True)  # changes nothing, and keeps the running sums small
    colour = box_mean(guide, radius)
    spread = box_mean(guide[:, None] * guide, radius) - colour[:, None] * colour  # [3,3,H,W]
    for number in range(3):
        spread[number, number] += evenness
    filtered = []
    for part in maps.split(max(1, NUMBERS_AT_ONCE // guide[0].numel())):
        value = box_mean(part, radius)
        common = box_mean(guide[:, None] * part, radius) - colour[:, None] * value  # [3,c,H,W]
        slopes = _solve(spread, common)
        offsets = value - (slopes * colour[:, None]).sum(0)
        filtered.append((box_mean(slopes, radius) * guide[:, None]).sum(0) + box_mean(offsets, radius))
    return torch.cat(filtered) if filtered else maps


def box_mean(maps: Tensor, radius: int) -> Tensor:
    """Mean over the part of each window that lies inside. [...,H,W] -> [...,H,W]"""
    import torch
    from torch.nn.functional import pad

    side = 2 * radius + 1
    for axis, margins in ((-1, (radius + 1, radius)), (-2, (0, 0, radius + 1, radius))):
        sums = pad(maps, margins).cumsum(axis)
        length = maps.shape[axis]
        places = torch.arange(length, device=maps.device)
        inside = (places + radius + 1).clamp(max=length) - (places - radius).clamp(min=0)
        count = inside if axis == -1 else inside[:, None]
        maps = (sums.narrow(axis, side, length) - sums.narrow(axis, 0, length)) / count
    return maps


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve three equations at each pixel by L D L': stable in single precision. [3,3,H,W], [3,c,H,W] -> [3,c,H,W]"""
    import torch

    first = matrix[0, 0]
    second_first, third_first = matrix[0, 1] / first, matrix[0, 2] / first
    second = matrix[1, 1] - second_first * matrix[0, 1]
    third_second = (matrix[1, 2] - third_first * matrix[0, 1]) / second
    third = matrix[2, 2] - third_first * matrix[0, 2] - third_second.square() * second
    y = right[1] - second_first * right[0]
    z = (right[2] - third_first * right[0] - third_second * y) / third
    y = y / second - third_second * z
    return torch.stack([right[0] / first - second_first * y - third_first * z, y, z])
