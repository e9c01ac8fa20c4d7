"""How the image tower mixes patches at its end, method by method: one table, and one way to attend.

A method is one entry of `ATTENTION`: which projections are compared, whether the block's residual and FFN
stay, and the extra branches. A new method is one more entry. Block numbers are those of a tower of twelve.

Attention maps are never held: whatever is mixed, the product with the values is linear in the maps, so every
map is one call of the fused kernel. Here q, k and v are [B,heads,1+P,d], P = h*w patches row by row, token 0 CLS.

Not here: the blocks (`vit`), the branches put together (`dense`). Sources: each entry's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ATTENTION",
    "Borrowed",
    "Calibration",
    "Feedback",
    "LastBlock",
    "Projections",
    "attend",
    "attend_normalised",
    "gaussian_window",
    "projections_read",
]

LARGEST_MASK = 2**24  # numbers of a bias between tokens: 64 MB; more is made in bands of queries


@dataclass(frozen=True)
class Borrowed:
    """Maps of earlier blocks, mixed into the last block's own: gain ((1 - share) own + share mean(maps)).

    Args:
        blocks: numbers of the blocks.
        pairs: what is compared there; as in `LastBlock`.
        share, gain: as above.
    """

    blocks: tuple[int, ...]
    pairs: tuple[str, ...]
    share: float
    gain: float = 1.0


@dataclass(frozen=True)
class Feedback:
    """A second pass that knows what the first one saw: logits become gain ((1 - share) logits + share M).

    M tells which patches the first pass gave one phrase; see `feedback`.

    Args:
        share, gain: as above.
        threshold: pixels less likely than this go to phrase 0, as published.
        logit_scale: on cosines before the softmax over phrases.
    """

    share: float
    gain: float
    threshold: float
    logit_scale: float = 40.0


@dataclass(frozen=True)
class Calibration:
    """SC-CLIP's repair of outlying tokens and its smoothing by the features of earlier blocks; see `calibration`.

    Args:
        middle: block whose features join the last attention and smooth its input.
        early: block whose features smooth its output.
        summed: first and last block whose outputs, added up, go through the last block too.
        least: cosines below it do not count in smoothing.
        sharpness: factor on cosines above their mean, before the softmax.
        cls_share: share of the CLS token added to every patch.
    """

    middle: int = 9
    early: int = 4
    summed: tuple[int, int] = (4, 10)
    least: float = 0.4
    sharpness: float = 3.0
    cls_share: float = 0.3


@dataclass(frozen=True)
class LastBlock:
    """The end of the tower as data.

    Args:
        pairs: projections compared with each other, "qk" as trained; the maps are added. None: every token
            keeps its own value.
        residual: whether the block's input is added to the attention's output.
        ffn: whether the block's MLP (with its own residual) follows.
        source: the paper.
        weight: of each map.
        window: standard deviation, in patches, of a Gaussian of distance added to the logits; 0: none.
        depth: blocks from the end whose attention outputs are added up, beside the unchanged tower.
        normalised: rows are compared by direction, after one step towards their own kind (GEM).
        borrowed, feedback, calibration: extra branches.
        stitched: the last block sees the patches of all windows of an image at once.
    """

    pairs: tuple[str, ...]
    residual: bool
    ffn: bool
    source: str
    weight: float = 1.0
    window: float = 0.0
    depth: int = 1
    normalised: bool = False
    borrowed: Borrowed | None = None
    feedback: Feedback | None = None
    calibration: Calibration | None = None
    stitched: bool = False


class Projections(NamedTuple):
    """Queries, keys and values of one block; those that nobody reads are empty. [B,heads,1+P,d]"""

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
    """Sum over pairs of softmax(scale a b^T / sqrt(d) + w + bias) values. [B,heads,1+P,d]

    Args:
        own: what is compared.
        values: what is mixed. [B,heads,1+P,d]
        pairs: as in `LastBlock`; none gives the values themselves.
        grid: patches, height first; read where there is a window.
        window: standard deviation of the Gaussian w in patches, 0 for none; the CLS token gets no bonus.
        scale: on the products.
        bias: added to the logits. [B,1+P,1+P]
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
        mask = _window_rows(grid, window, band, a) if window else None  # [n,1+P]
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
    """Some rows of the window with its empty row and column for CLS. [n,1+P]"""
    import torch
    from torch.nn.functional import pad

    rows, columns = (table.to(like) for table in _gaussian_tables(grid, sigma))
    patches = torch.arange(max(band.start - 1, 0), min(band.stop - 1, grid[0] * grid[1]), device=like.device)
    part = rows[patches // grid[1], :, None] * columns[patches % grid[1], None, :]  # [n,h,w]
    return pad(part.flatten(1), (1, 0, 1 if band.start == 0 else 0, 0))


ATTENTION: Mapping[str, LastBlock] = MappingProxyType(
    {
        "vanilla": LastBlock(("qk",), residual=True, ffn=True, source="arXiv:2103.00020"),
        "maskclip": LastBlock((), residual=True, ffn=True, source="arXiv:2112.01071"),
        "surgery": LastBlock(("vv",), residual=True, ffn=False, depth=6, source="arXiv:2304.05653"),
        "gem": LastBlock(
            ("qq", "kk", "vv"),
            residual=True,
            ffn=False,
            weight=1 / 3,
            depth=6,
            normalised=True,
            source="arXiv:2312.00878",
        ),
        # Two maps are added, not averaged: rows sum to two, which matters beside a residual and a bias.
        "sclip": LastBlock(("qq", "kk"), residual=True, ffn=True, source="arXiv:2312.01597"),
        "clearclip": LastBlock(("qq",), residual=False, ffn=False, source="arXiv:2407.12442"),
        "naclip": LastBlock(("kk",), residual=False, ffn=False, window=5.0, source="arXiv:2404.08181"),
        "itaclip": LastBlock(
            ("qq", "kk"),
            residual=True,
            ffn=False,
            borrowed=Borrowed((7, 8, 10), ("qq", "kk"), share=0.5),
            source="arXiv:2411.12044",
        ),
        "scclip": LastBlock(
            ("kk",), residual=False, ffn=False, weight=0.5, calibration=Calibration(), source="arXiv:2411.15869"
        ),
        # Published with a setting per data set; these are COCO-Stuff's, which COCO-Object shares.
        "resclip": LastBlock(
            ("kk",),
            residual=False,
            ffn=False,
            window=5.0,
            borrowed=Borrowed((6, 7, 8, 9), ("qk",), share=0.4, gain=2.0),
            feedback=Feedback(share=0.7, gain=1.8, threshold=0.11),
            source="arXiv:2411.15851",
        ),
        # NACLIP after the idea of OV-Stitcher (CVPR 2026 Findings), which has published no code yet.
        "stitched": LastBlock(
            ("kk",), residual=False, ffn=False, window=5.0, stitched=True, source="arXiv:2404.08181, OV-Stitcher"
        ),
    }
)
