"""What SC-CLIP does to patch tokens around the last block: outliers mended, tokens smoothed by their like.

All functions look at each image of a batch by itself, so that batching changes nothing.

Not here: where they stand in the tower (`dense`), the numbers (`attention.Calibration`).
Source: SC-CLIP (arXiv:2411.15869). Its outlier factor is the published code's: a token's reach is its own distance
to its farthest neighbour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cosines", "find_outliers", "mend_outliers", "smooth", "spread"]

NEIGHBOURS = 30
CONTAMINATION = 0.05  # share of tokens taken for outliers
TIE = 1 + 1e-5


def find_outliers(tokens: Tensor) -> Tensor:
    """Tokens that lie in emptier space than their neighbours do. [B,P,width] -> bool [B,P]

    A local outlier factor: squared distance to the farthest of 30 neighbours, times the mean of the neighbours'
    inverses of the same; the largest twentieth are outliers.
    """
    import torch

    patches = tokens.shape[1]
    count = min(NEIGHBOURS, patches - 1)
    if count < 1:
        return torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    tokens = tokens.float()
    # By differences, not by products: those lose digits, and an outlier is a matter of digits.
    squares = torch.cdist(tokens, tokens, compute_mode="donot_use_mm_for_euclid_dist").square()
    near = squares.topk(count + 1, largest=False)
    reach = near.values[..., -1]  # [B,P]; the nearest of all is the token itself
    density = 1 / reach.clamp(min=1e-12)
    theirs = density.gather(1, near.indices[..., 1:].flatten(1)).view(*near.indices.shape[:2], count)
    factor = theirs.mean(-1) / density
    # Where all others are neighbours, the two tokens farthest apart tie: rounding must not choose between them.
    return factor > TIE * factor.quantile(1 - CONTAMINATION, dim=1, keepdim=True)


def mend_outliers(tokens: Tensor, outliers: Tensor, grid: tuple[int, int]) -> Tensor:
    """Each outlier becomes the mean of those of its eight neighbours that are none. [B,P,width] -> the same

    One without such a neighbour stays as it is.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    good = (~outliers).to(tokens)[:, :, None]
    both = torch.cat([tokens * good, good], -1).transpose(1, 2).unflatten(2, grid)  # [B,width+1,h,w]
    sums = avg_pool2d(both, 3, stride=1, padding=1, divisor_override=1).flatten(2).transpose(1, 2)
    count = sums[..., -1:]
    replaced = outliers[..., None] & (count > 0)
    return torch.where(replaced, sums[..., :-1] / count.clamp(min=1), tokens)


def cosines(tokens: Tensor) -> Tensor:
    """Cosine of every token of an image with every other. [B,P,width] -> [B,P,P]"""
    from torch.nn.functional import normalize

    units = normalize(tokens, dim=-1)
    return units @ units.transpose(1, 2)


def smooth(tokens: Tensor, similarity: Tensor, least: float) -> Tensor:
    """Every token becomes the mean of those like it, weighted by cosine; below `least` none counts. [B,P,width]"""
    weights = similarity.where(similarity >= least, 0.0)
    return (weights / (weights.sum(-1, keepdim=True) + 1e-6)) @ tokens


def spread(similarity: Tensor, values: Tensor, sharpness: float) -> Tensor:
    """softmax(sharpness (G - mean G), nothing below zero) values; the same for all heads.

    Args:
        similarity: G, as from `cosines`. [B,P,P]
        values: of all heads. [B,heads,P,d]
        sharpness: as above.
    """
    logits = (similarity - similarity.mean((1, 2), keepdim=True)) * sharpness
    weights = logits.where(logits >= 0, float("-inf")).softmax(-1)
    return weights[:, None] @ values
