"""The reasons behind labels, in words and as maps: which phrase won where, how sure it was, which names were of use.

Not here: how the maps are drawn (`rendering`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .labels import label_phrases
from .types import UNKNOWN, LabelMap

if TYPE_CHECKING:
    from .palette import Colour

__all__ = ["format_usage", "label_confidence"]

# Tenths of confidence, from dark violet over blue and green to yellow: lighter is surer, also without colours.
TENTHS: tuple[Colour, ...] = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37),
)  # fmt: skip
LISTED = 40  # names in a line; the rest is counted


def label_confidence(result: LabelMap) -> LabelMap:
    """How sure each pixel is, in ten steps; pixels of no class stay unknown."""
    import torch

    sure = result.confidence.nan_to_num(0.0).clamp(0, 1)
    tenth = (sure * len(TENTHS)).long().clamp(max=len(TENTHS) - 1)
    return LabelMap(
        labels=torch.where(result.labels >= 0, tenth, UNKNOWN),
        names=tuple(f"{10 * step}-{10 * step + 10} % sure" for step in range(len(TENTHS))),
        palette=TENTHS,
        confidence=result.confidence,
        winning_phrase=torch.full_like(result.winning_phrase, -1),
    )


def format_usage(result: LabelMap) -> str:
    """What won: the share of all pixels and the mean confidence of each phrase; then what won nowhere.

     66.67%  sure 0.91  sky
     16.67%  sure 0.78  dog: poodle
     16.67%             unknown
    won nowhere: cat
    phrases that won nowhere (1 of 3): beagle
    """
    lines = [
        f"{share:7.2%}  {'' if sure is None else f'sure {sure:.2f}':9}  {name}" for name, share, sure in _usage(result)
    ]
    idle = [name for name, share in result.area().items() if share == 0]
    if idle:
        lines.append(f"won nowhere: {_listing(idle)}")
    won = {int(phrase) for phrase in result.winning_phrase.unique()}
    unused = [phrase for number, phrase in enumerate(result.phrases) if number not in won]
    unused = [phrase for phrase in unused if phrase not in result.names]  # told above, or by its share
    if unused:
        lines.append(f"phrases that won nowhere ({len(unused)} of {len(result.phrases)}): {_listing(unused)}")
    return "\n".join(lines)


def _usage(result: LabelMap) -> list[tuple[str, float, float | None]]:
    """Name, share and mean confidence of every phrase that won, the largest first; unknown last."""
    phrases = label_phrases(result)
    known = phrases.labels >= 0
    winners = phrases.labels[known]
    counts = winners.bincount(minlength=len(phrases.names))
    sums = winners.bincount(result.confidence[known].double(), minlength=len(phrases.names))
    rows: list[tuple[str, float, float | None]] = [
        (name, count / known.numel(), total / count)
        for name, count, total in zip(phrases.names, counts.tolist(), sums.tolist(), strict=True)
    ]
    rows.sort(key=lambda row: -row[1])
    unknown = 1 - int(known.sum()) / known.numel()
    return [*rows, ("unknown", unknown, None)] if unknown else rows


def _listing(names: list[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest
