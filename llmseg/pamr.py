"""Pixel-adaptive refinement: maps flow between pixels of like colour, step by step.

Every pixel takes the mean of its eight neighbours at each dilation, weighted by how like their colours are; the
pixel itself has no share. The step is linear in the maps and the same for every channel, so it may run on scores
or on the features behind them, whichever have fewer channels.

Not here: which maps, and when (`scores`, `refinement`). Source: PAMR (arXiv:2005.08104), with the steps and
dilations of NACLIP (arXiv:2404.08181); neighbours are shifted views here, not a convolution per neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DILATIONS", "STEPS", "neighbour_weights", "pamr", "propagate"]

STEPS = 10
DILATIONS = (8, 16)  # pixels; chosen by their authors for pictures of about 375 x 500
NUMBERS_AT_ONCE = 2**19  # 2 MB of maps: all steps of some channels run while they are in the cache
NUMBERS_ON_GPU = 2**22  # the same on a GPU, which waits for its next order where there are fewer
NUMBERS_PER_BAND = 2**23  # of neighbours' colours: 32 MB, a few times over
SHARE_OF_DEVIATION = 0.1
SMALLEST = 1e-8  # where a picture is flat, so that nothing is divided by zero


def pamr(maps: Tensor, guide: Tensor, steps: int = STEPS, dilations: tuple[int, ...] = DILATIONS) -> Tensor:
    """Refine maps by a picture of the same size.

    Args:
        maps: any channels. [C,H,W]
        guide: normalised picture; a factor or an offset per colour changes nothing. [3,H,W]
        steps: how often maps flow.
        dilations: distances of the neighbours, in pixels.

    Returns:
        Maps; never beyond the least and largest value of their channel. [C,H,W]
    """
    return propagate(maps, neighbour_weights(guide, dilations), steps, dilations)


def neighbour_weights(guide: Tensor, dilations: tuple[int, ...] = DILATIONS) -> Tensor:
    """Weights of the neighbours of each pixel, dilation by dilation; they sum to one. [8|dilations|,H,W]

    softmax over neighbours n of mean over colours of -|x_i - x_n| / (1e-8 + 0.1 std_i), where std_i is taken over
    the pixel and its neighbours, the pixel counted once per dilation.
    """
    import torch

    colours, height, width = guide.shape
    count = 8 * len(dilations)
    weights = torch.empty(count, height, width, dtype=guide.dtype, device=guide.device)
    rows = max(1, NUMBERS_PER_BAND // (count * colours * width))
    neighbours = list(_neighbours(guide, dilations))
    for top in range(0, height, rows):
        band = slice(top, top + rows)
        shifted = torch.stack([each[:, band] for each in neighbours])  # [8|dilations|,3,n,W]
        own = guide[:, band]
        samples = torch.cat([shifted, own.expand(len(dilations), *own.shape)])
        deviation = SMALLEST + SHARE_OF_DEVIATION * samples.std(0)  # [3,n,W]
        weights[:, band] = (-(shifted - own).abs_() / deviation).mean(1).softmax(0)
    return weights


def propagate(maps: Tensor, weights: Tensor, steps: int = STEPS, dilations: tuple[int, ...] = DILATIONS) -> Tensor:
    """Let maps flow along weights made by `neighbour_weights`. [C,H,W] -> [C,H,W]"""
    import torch

    result = torch.empty_like(maps)
    numbers = NUMBERS_AT_ONCE if maps.device.type == "cpu" else NUMBERS_ON_GPU
    at_once = max(1, numbers // (maps.shape[1] * maps.shape[2]))
    for first in range(0, len(maps), at_once):
        part = maps[first : first + at_once]
        for _ in range(steps):
            flown = torch.zeros_like(part)
            for weight, neighbour in zip(weights, _neighbours(part, dilations), strict=True):
                flown.addcmul_(neighbour, weight)
            part = flown
        result[first : first + at_once] = part
    return result


def _neighbours(maps: Tensor, dilations: tuple[int, ...]) -> Iterator[Tensor]:
    """Maps shifted towards each neighbour, borders repeated. [C,H,W] -> 8|dilations| of [C,H,W]"""
    from torch.nn.functional import pad

    height, width = maps.shape[1:]
    reach = max(dilations)
    padded = pad(maps[None], (reach,) * 4, mode="replicate")[0]
    for distance in dilations:
        for down in (-distance, 0, distance):
            for right in (-distance, 0, distance):
                if down or right:
                    top, left = reach + down, reach + right
                    yield padded[:, top : top + height, left : left + width]
