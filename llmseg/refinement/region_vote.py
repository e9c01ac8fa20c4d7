"""Pixels of one region agree: each takes the mean of them all.

A mean of probabilities lets every pixel say how sure it is; a mean of labels is their histogram, whose peak is the
region's most frequent label.

Not here: where regions come from (`superpixels`, or masks of whoever made them: `guides`).
Source: the correction of label maps by masks in CorrCLIP (arXiv:2411.10086).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NOBODY", "count_pixels", "count_regions", "own_pixels", "share_regions", "sum_regions"]

NOBODY = -1  # number of the region of a pixel that is in none


def own_pixels(masks: Tensor) -> Tensor:
    """The one region that each pixel counts for: of several the smallest, of equal ones the last.

    Args:
        masks: regions, above 0.5 inside; they may overlap and need not cover everything. [N,H,W]

    Returns:
        Number of a region, `NOBODY` where there is none. int64 [H,W]
    """
    import torch

    owner = torch.full(masks.shape[1:], NOBODY, dtype=torch.int64, device=masks.device)
    areas = torch.tensor([int((mask > 0.5).sum()) for mask in masks])
    for number in areas.argsort(descending=True, stable=True).tolist():
        owner[masks[number] > 0.5] = number
    return owner


def count_regions(owner: Tensor) -> int:
    """Regions in all. int64 [H,W]"""
    return int(owner.max()) + 1 if owner.numel() else 0


def count_pixels(owner: Tensor, count: int) -> Tensor:
    """Pixels of each region. int64 [H,W] -> int64 [count]"""
    return owner[owner != NOBODY].bincount(minlength=count)


def sum_regions(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """Sum of the values over each region's pixels. [C,H,W], int64 [H,W] -> [count,C]"""
    inside = owner != NOBODY
    sums = values.new_zeros(count, len(values))
    return sums.index_add_(0, owner[inside], values[:, inside].T)


def share_regions(values: Tensor, owner: Tensor, means: Tensor) -> Tensor:
    """Give each pixel of a region its mean; the others keep their values. [C,H,W], int64 [H,W], [N,C] -> [C,H,W]"""
    import torch

    if not len(means):
        return values
    return torch.where(owner == NOBODY, values, means[owner.clamp(min=0)].movedim(-1, 0))
