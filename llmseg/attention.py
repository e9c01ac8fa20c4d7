"""How the image tower ends, method by method: one table. Standard library only.

A method is one entry of `ATTENTION`: which projections are compared, whether the block's residual and FFN
stay, and the extra branches. A new method is one more entry. Block numbers are those of a tower of twelve.

Not here: arithmetic (`mixing`, `calibration`, `feedback`, `proxy`), the branches put together (`dense`).
Sources: each entry's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["ATTENTION", "Borrowed", "Calibration", "Feedback", "LastBlock", "Proxy"]


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
class Proxy:
    """Attention between patches that another model finds alike; see `proxy`.

    Args:
        cutoff: cosines below this share of their mean do not count.
        sharpness: factor on cosines above that, before the softmax.
    """

    cutoff: float = 1.2
    sharpness: float = 3.0


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
        depth: blocks from the end, half of them at most, whose attention outputs are added up beside the unchanged
            tower.
        normalised: rows are compared by direction, after one step towards their own kind (GEM).
        borrowed, feedback, calibration, proxy: extra branches.
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
    proxy: Proxy | None = None
    stitched: bool = False


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
        "proxyclip": LastBlock((), residual=False, ffn=False, proxy=Proxy(), source="arXiv:2408.04883"),
    }
)
