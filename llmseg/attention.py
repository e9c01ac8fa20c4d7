"""What the last block of the image tower does instead of what it was trained to do.

A method is one entry of `ATTENTION`: an attention rule, and whether the residual and the FFN stay.
A new method is one more entry.

Not here: the tower (`vit`). Sources: MaskCLIP (arXiv:2112.01071) for the idea, each entry for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ATTENTION", "LastBlock", "attend_naclip", "attend_vanilla", "gaussian_window"]

Attend = Callable[["Tensor", "Tensor", "Tensor", tuple[int, int]], "Tensor"]


@dataclass(frozen=True)
class LastBlock:
    """The last block as data.

    Args:
        attend: queries, keys, values [B,heads,1+P,d] and the patch grid (h, w), P = h*w, to
            the attended values [B,heads,1+P,d]. Token 0 is CLS.
        residual: whether the block's input is added to the attention's output.
        ffn: whether the block's MLP (with its own residual) follows.
        source: the paper.
    """

    attend: Attend
    residual: bool
    ffn: bool
    source: str


def attend_vanilla(q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, as trained."""
    from torch.nn.functional import scaled_dot_product_attention

    return scaled_dot_product_attention(q, k, v)


def attend_naclip(q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
    """softmax(k k^T / sqrt(d) + w) v, w a Gaussian of patch distance; CLS gets no bonus."""
    from torch.nn.functional import pad, scaled_dot_product_attention

    window = pad(gaussian_window(grid).to(k), (1, 0, 1, 0))  # [1+P,1+P]
    return scaled_dot_product_attention(k, k, v, attn_mask=window)


def gaussian_window(grid: tuple[int, int], sigma: float = 5.0) -> Tensor:
    """exp(-distance^2 / (2 sigma^2)) between all pairs of patches, row-major. [P,P]

    A product of two one-dimensional tables, since the squared distance is a sum over the axes.
    """
    import torch

    rows, columns = (
        torch.exp(-((torch.arange(n)[:, None] - torch.arange(n)[None, :]) ** 2) / (2 * sigma**2)) for n in grid
    )
    patches = grid[0] * grid[1]
    return torch.einsum("ab,cd->acbd", rows, columns).reshape(patches, patches)


ATTENTION: Mapping[str, LastBlock] = MappingProxyType(
    {
        "vanilla": LastBlock(attend_vanilla, residual=True, ffn=True, source="arXiv:2103.00020"),
        "naclip": LastBlock(attend_naclip, residual=False, ffn=False, source="arXiv:2404.08181"),
    }
)
