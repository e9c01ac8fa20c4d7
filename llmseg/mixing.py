"""Attention between any two projections of a block, mixing the values of one.

Maps are never held: whatever is mixed, the product with the values is linear in the maps, so every map is one call
of the fused kernel. Queries, keys and values are [B,heads,N,d]: N = prefix + P tokens, P = h*w patches row by row,
after CLS where the tower has one and whatever else it puts first.

Not here: which projections, and what else a method does (`attention`). Sources: the self-self maps of SCLIP
(arXiv:2312.01597), the window of NACLIP (arXiv:2404.08181), the directions of GEM (arXiv:2312.00878).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Projections", "attend", "attend_normalised", "gaussian_window", "projections_read"]

LARGEST_MASK = 2**24  # numbers of a bias between tokens: 64 MB; more is made in bands of queries


class Projections(NamedTuple):
    """Queries, keys and values of one block; those that nobody reads are empty. [B,heads,N,d]"""

    q: Tensor
    k: Tensor
    v: Tensor

    def pair(self, names: str) -> tuple[Tensor, Tensor]:
        """The two that a pair such as "qk" names."""
        return self["qkv".index(names[0])], self["qkv".index(names[1])]


def projections_read(pairs: tuple[str, ...], values: bool = True) -> str:
    """Letters of the projections that some pairs, and the values, need; in the order of the packed weights.

    >>> projections_read(("kk",))
    'kv'
    """
    return "".join(name for name in "qkv" if name in "".join(pairs) or (values and name == "v"))


def attend(
    own: Projections,
    values: Tensor,
    pairs: tuple[str, ...],
    *,
    grid: tuple[int, int] = (0, 0),
    window: float = 0.0,
    scale: float = 1.0,
    bias: Tensor | None = None,
) -> Tensor:
    """Sum over pairs of softmax(scale a b^T / sqrt(d) + w + bias) values. [B,heads,N,d]

    Args:
        own: what is compared.
        values: what is mixed. [B,heads,N,d]
        pairs: as in `LastBlock`; none gives the values themselves.
        grid: patches, height first; read where there is a window.
        window: standard deviation of the Gaussian w in patches, 0 for none; tokens before the patches get no bonus.
        scale: on the products.
        bias: added to the logits. [B,N,N]
    """
    if not pairs:
        return values
    parts = [_attend_pair(*own.pair(names), values, grid, window, scale, bias) for names in pairs]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _attend_pair(
    a: Tensor, b: Tensor, values: Tensor, grid: tuple[int, int], window: float, scale: float, bias: Tensor | None
) -> Tensor:
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    scale = scale * a.shape[-1] ** -0.5
    tokens = a.shape[-2]
    if not window and bias is None:
        return scaled_dot_product_attention(a, b, values, scale=scale)
    rows = max(1, LARGEST_MASK // tokens)
    bands = []
    for top in range(0, tokens, rows):
        band = slice(top, top + rows)
        mask = _window_rows(grid, window, band, a) if window else None  # [n,N]
        if bias is not None:
            extra = bias[:, None, band].to(a)
            mask = extra if mask is None else mask + extra
        bands.append(scaled_dot_product_attention(a[:, :, band], b, values, attn_mask=mask, scale=scale))
    return bands[0] if len(bands) == 1 else torch.cat(bands, 2)


def attend_normalised(own: Projections, values: Tensor, pairs: tuple[str, ...], temperature: Tensor) -> Tensor:
    """GEM's attention, summed over pairs: softmax(t x x^T) values, with x the projections' directions after a step.

    The step is x <- softmax(t x x^T) x, and both x are of length one.

    Args:
        own, values, pairs: as in `attend`; each pair names one projection twice.
        temperature: t, per image. [B]
    """
    import torch
    from torch.nn.functional import normalize, scaled_dot_product_attention

    factor = temperature[:, None, None, None]
    total = torch.zeros_like(values)
    for names in pairs:
        x = normalize(own.pair(names)[0], dim=-1)
        x = normalize(scaled_dot_product_attention(x * factor, x, x, scale=1.0), dim=-1)
        total = total + scaled_dot_product_attention(x * factor, x, values, scale=1.0)
    return total


def gaussian_window(grid: tuple[int, int], sigma: float = 5.0) -> Tensor:
    """exp(-distance^2 / (2 sigma^2)) between all pairs of patches, row by row. [P,P]"""
    import torch

    rows, columns = _gaussian_tables(grid, sigma)
    patches = grid[0] * grid[1]
    return torch.einsum("ab,cd->acbd", rows, columns).reshape(patches, patches)


def _gaussian_tables(grid: tuple[int, int], sigma: float) -> tuple[Tensor, Tensor]:
    # The squared distance is a sum over the axes, so the window is a product of two small tables.
    import torch

    rows, columns = (
        torch.exp(-((torch.arange(n)[:, None] - torch.arange(n)[None, :]) ** 2) / (2 * sigma**2)) for n in grid
    )
    return rows, columns


def _window_rows(grid: tuple[int, int], sigma: float, band: slice, like: Tensor) -> Tensor:
    """Some rows of the window, empty for the tokens before the patches. [n,N]

    Args:
        grid, sigma: as above.
        band: of the N tokens; it may end after the last.
        like: what is compared. [B,heads,N,d]
    """
    import torch
    from torch.nn.functional import pad

    count = grid[0] * grid[1]
    prefix = like.shape[-2] - count
    rows, columns = (table.to(like) for table in _gaussian_tables(grid, sigma))
    first, last = (min(max(end - prefix, 0), count) for end in (band.start, band.stop))
    patches = torch.arange(first, last, device=like.device)
    part = rows[patches // grid[1], :, None] * columns[patches % grid[1], None, :]  # [n,h,w]
    empty = min(band.stop, prefix) - min(band.start, prefix)
    return pad(part.flatten(1), (prefix, 0, empty, 0))
