"""Boundary IoU: how well the outlines of classes agree, whatever the classes' size.

Of each class only the pixels within a narrow band along its outline are compared. IoU of whole masks hardly moves
when the outline of something large is wrong; this one does.

Not here: IoU of whole masks (`measures`).
Source: Cheng et al., "Boundary IoU", CVPR 2021 (arXiv:2103.16562): a band of 2 % of the diagonal, inside the mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InputError
from ..types import UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["band_width", "boundary_iou", "count_boundaries", "outline_band"]

SHARE_OF_DIAGONAL = 0.02


def band_width(size: Sequence[int]) -> int:
    """Pixels from the outline that count, at least one, for a picture of (H, W) pixels."""
    return max(1, round(SHARE_OF_DIAGONAL * math.hypot(*size)))


def outline_band(labels: Tensor, ignored: Tensor, width: int) -> Tensor:
    """Pixels that are fewer than `width` + 1 steps from another label or the picture's border. bool [H,W]

    A step goes to any of the eight neighbours, so a pixel is in no band where one label fills the square around it;
    the largest and the smallest label of the square tell that of all classes at once.

    Args:
        labels: int64 [H,W]
        ignored: pixels that are in no band, and no other label to their neighbours. bool [H,W]
        width: of the band in pixels.
    """
    values = labels.float()
    largest = _spread(values.masked_fill(ignored, -math.inf), width)
    smallest = -_spread((-values).masked_fill(ignored, -math.inf), width)
    return ~ignored & ((largest != values) | (smallest != values))


def _spread(values: Tensor, width: int) -> Tensor:
    """Largest value of the square around each pixel; whatever is outside of the picture is larger. [H,W] -> [H,W]"""
    from torch.nn.functional import max_pool2d, pad

    side = 2 * width + 1
    padded = pad(values[None, None], (width,) * 4, value=math.inf)
    return max_pool2d(max_pool2d(padded, (side, 1), 1), (1, side), 1)[0, 0]


def count_boundaries(
    predicted: Tensor, truth: Tensor, classes: int, ignore: int | None = UNKNOWN, width: int | None = None
) -> Tensor:
    """Pixels in both bands and in either one, class by class; counts of several images add up. int64 [C,2]

    Args:
        predicted: labels, below 0 unknown. int64 [H,W]
        truth: the same shape.
        classes: C.
        ignore: true label whose pixels are not counted; an outline towards them is none.
        width: of the band in pixels; 2 % of the diagonal by default.

    Raises:
        InputError: shapes differ.
    """
    import torch

    if predicted.shape != truth.shape or truth.ndim != 2:
        raise InputError(f"shape {list(predicted.shape)}; expected [H,W] {list(truth.shape)}.", place="predicted")
    width = band_width(truth.shape) if width is None else width
    ignored = torch.zeros_like(truth, dtype=torch.bool) if ignore is None else truth == ignore
    guess, true = (outline_band(labels, ignored, width) for labels in (predicted, truth))
    both = _tally(truth, guess & true & (predicted == truth), classes)
    either = _tally(predicted, guess, classes) + _tally(truth, true, classes) - both
    return torch.stack((both, either), dim=1).cpu()


def _tally(labels: Tensor, where: Tensor, classes: int) -> Tensor:
    """How many of these pixels have each label. int64 [C]"""
    return labels[where & (labels >= 0) & (labels < classes)].long().bincount(minlength=classes)


def boundary_iou(counts: Tensor) -> Tensor:
    """IoU of the bands of each class, 0..1; NaN for a class that is nowhere. [C,2] -> [C]"""
    return counts[:, 0].double() / counts[:, 1].double()
