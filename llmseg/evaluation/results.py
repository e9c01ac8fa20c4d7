"""What an experiment found: counts of every image under every column.

Not here: running (`experiments`), what follows from the counts (`verdicts`), files (`stored_counts`), the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..types import ClassList
from .columns import Column

if TYPE_CHECKING:
    from .counting import ImageCounts

__all__ = ["ColumnResult", "Results"]


@dataclass(frozen=True, eq=False)  # counts of thousands of images are not compared one by one
class ColumnResult:
    """One column over all images.

    Args:
        column: the way to segment.
        counts: one of each image, in the order of `Results.samples`; made into tensors when they are asked for.
        winners: pixels that each phrase won, by class name; the class name itself is a phrase among them.
    """

    column: Column
    counts: Sequence[ImageCounts]
    winners: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """All columns over the same images.

    Args:
        dataset: its name.
        classes: C of them; the position is the label.
        samples: names of the images.
        columns: the first one is the baseline that the others are judged against.
        facts: what a reader must know beside: the model and its identity, version, protocol, command and so on.
    """

    dataset: str
    classes: ClassList
    samples: tuple[str, ...]
    columns: tuple[ColumnResult, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
