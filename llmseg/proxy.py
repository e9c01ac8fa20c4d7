"""Attention by another model's eyes: which patches a backbone finds alike decides who gives its value to whom.

Nothing of the model that is read out is compared: its last block lends only its values. Every image, and so every
window, is looked at by itself: batching changes nothing.

Not here: the backbone (`backbone`), where this stands in the tower (`dense`), the numbers (`attention.Proxy`).
Source: ProxyCLIP (arXiv:2408.04883).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["enlarge_values", "proxy_attend"]

LARGEST_MAP = 2**24  # numbers of a map between patches: 64 MB; more is made in bands of queries


def proxy_attend(features: Tensor, values: Tensor, cutoff: float, sharpness: float) -> Tensor:
    """softmax(sharpness (G - cutoff mean G), nothing below zero) values; G holds the cosines, the same for all heads.

    A patch that finds none alike, itself not either, keeps its own value.

    Args:
        features: unit vectors of the backbone's patches, P of them row by row. [B,P,E]
        values: of all heads at the same patches. [B,heads,P,d]
        cutoff: cosines below this share of their mean do not count.
        sharpness: before the softmax.

    Returns:
        [B,heads,P,d]
    """
    import torch

    features = features.float()  # the logits need more digits than halves have
    patches = features.shape[1]
    mean = features.mean(1).square().sum(-1)[:, None, None]  # that of all cosines, without making them
    rows = max(1, LARGEST_MAP // (len(features) * patches))
    bands = []
    for top in range(0, patches, rows):
        band = features[:, top : top + rows]
        logits = (band @ features.transpose(1, 2) - cutoff * mean) * sharpness  # [B,n,P]
        weights = logits.where(logits >= 0, float("-inf")).softmax(-1).nan_to_num()
        mixed = weights[:, None].to(values) @ values
        alone = (logits < 0).all(-1)[:, None, :, None]
        bands.append(torch.where(alone, values[:, :, top : top + rows], mixed))
    return torch.cat(bands, 2)


def enlarge_values(values: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Values on a grid of patches for the backbone's grid, bilinearly. [B,heads,P,d] -> [B,heads,P',d]"""
    from torch.nn.functional import interpolate

    if grid == wanted:
        return values
    channels = values.transpose(2, 3).flatten(1, 2).unflatten(2, grid)  # [B,heads*d,h,w]
    resized = interpolate(channels.float(), size=wanted, mode="bilinear", align_corners=False).to(values)
    out: Tensor = resized.flatten(2).unflatten(1, (values.shape[1], -1)).transpose(2, 3)
    return out
