"""A column of an experiment: everything that one way to segment is determined by.

Not here: which phrases an expansion gives (`vocabularies`), running (`experiments`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..pipeline import SegmentOptions
from .protocols import LabelRules

__all__ = ["Column"]


@dataclass(frozen=True)
class Column:
    """One way to segment a data set.

    Args:
        name: what people call it; no two columns of a run share one.
        expansion: off, auto, a shipped library, the path of a lock file, or a control: placebo, shuffled, aliases.
        count: phrases of each class that are kept, the first ones; 0 for the class name alone, None for all.
        options: the knobs.
        seed: of what a control draws.
        rules: what happens to the labels after assembly.
    """

    name: str
    expansion: str = "auto"
    count: int | None = None
    options: SegmentOptions = field(default_factory=SegmentOptions)
    seed: int = 0
    rules: LabelRules = field(default_factory=LabelRules)
