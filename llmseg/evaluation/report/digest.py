"""Everything that a report says, worked out once: measures, verdicts, images, and what follows in plain English.

Not here: how it is written (`page`, `tables`), what a verdict is (`verdicts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..columns import Column
from ..counting import ImageCounts, Measures, measure_counts
from ..measures import count_pixels
from ..results import Results
from ..verdicts import Verdict, find_control, find_plain, judge_column
from ..vocabularies import is_control

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ColumnDigest", "Confused", "Digest", "digest_results", "find_confusions", "find_movements"]


@dataclass(frozen=True)
class ColumnDigest:
    """One column.

    Args:
        column: how it was made.
        measures: over all images.
        matrix: pixels by true class and class found, the last one unknown. int64 [C,C+1]
        overall: its mean IoU minus the baseline's; None for the baseline itself.
        plain: a column of class names alone under the same settings, and this one against it; None where there is
            none, or it is the baseline.
        verdicts: the same for each class that occurs, by its name.
        image_miou: mean IoU of each image alone; NaN where nothing of it counts.
        winners: pixels that each phrase won, by class name.
    """

    column: Column
    measures: Measures
    matrix: Tensor
    overall: Verdict | None
    plain: tuple[str, Verdict] | None
    verdicts: Mapping[str, Verdict]
    image_miou: tuple[float, ...]
    winners: Mapping[str, Mapping[str, int]]

    @property
    def name(self) -> str:
        """What people call the column."""
        return self.column.name

    def judged(self, verdict: str) -> list[Verdict]:
        """The classes with a verdict, those that changed most first."""
        found = [each for each in self.verdicts.values() if each.verdict == verdict]
        return sorted(found, key=lambda each: -abs(each.difference.value))


@dataclass(frozen=True)
class Digest:
    """All columns.

    Args:
        results: what they were made from.
        columns: the first one is the baseline.
        best: the column that is looked at closely: of the highest mean IoU, controls aside; 0 where it stands alone.
        placebo: a column of as many neutral words, and `best` against it; None where there is none.
        shares: share of the counted pixels that each class truly covers, 0..1. C of them
    """

    results: Results
    columns: tuple[ColumnDigest, ...]
    best: int
    placebo: tuple[str, Verdict] | None
    shares: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in label order. [C]"""
        return self.results.classes.names

    @property
    def baseline(self) -> ColumnDigest:
        """What the others are held against."""
        return self.columns[0]

    @property
    def chosen(self) -> ColumnDigest:
        """The column that is looked at closely."""
        return self.columns[self.best]


def digest_results(results: Results) -> Digest:
    """Work out what a report says.

    Raises:
        InputError: no image.
    """
    columns = tuple(_digest_column(results, number) for number in range(len(results.columns)))
    best = _find_best(columns)
    true = columns[0].matrix.sum(1).double()
    return Digest(
        results=results,
        columns=columns,
        best=best,
        placebo=_hold_against(results, best, find_control(results, best)),
        shares=tuple((true / true.sum()).tolist()),
    )


def _digest_column(results: Results, number: int) -> ColumnDigest:
    column = results.columns[number]
    # "all classes" comes first, and a class may be called so.
    verdicts = judge_column(results, number) if number else ()
    total, image_miou = _count(column.counts)
    return ColumnDigest(
        column=column.column,
        measures=measure_counts([total]),
        matrix=total.matrix,
        overall=verdicts[0] if verdicts else None,
        plain=_hold_against(results, number, find_plain(results, number)),
        verdicts={each.name: each for each in verdicts[1:]},
        image_miou=image_miou,
        winners=column.winners,
    )


def _count(counts: Sequence[ImageCounts]) -> tuple[ImageCounts, tuple[float, ...]]:
    """All images added up, and the mean IoU of each image alone, over the classes that occur in it."""
    import torch

    by_size, boundaries = torch.zeros_like(counts[0].by_size), torch.zeros_like(counts[0].boundaries)

    def matrices() -> Iterator[Tensor]:  # one at a time: those of thousands of images do not fit into memory
        for each in counts:
            by_size.add_(each.by_size)
            boundaries.add_(each.boundaries)
            yield each.matrix

    true, found, both = count_pixels(matrices())
    iou = both / (true + found - both)
    return ImageCounts(by_size, boundaries), tuple(iou.where(true > 0, torch.nan).nanmean(1).tolist())


def _find_best(columns: Sequence[ColumnDigest]) -> int:
    """The column of the highest mean IoU beside the baseline; a control only where there is nothing else."""
    others = range(1, len(columns))
    wanted = [number for number in others if not is_control(columns[number].column.expansion)] or list(others)
    return max(wanted, key=lambda number: _or_lowest(columns[number].measures.miou), default=0)


def _or_lowest(number: float) -> float:
    return -math.inf if math.isnan(number) else number


def _hold_against(results: Results, number: int, other: int | None) -> tuple[str, Verdict] | None:
    """A column against another one, unless that is the baseline, of which the rest of the report tells."""
    return (results.columns[other].column.name, judge_column(results, number, baseline=other)[0]) if other else None


@dataclass(frozen=True)
class Confused:
    """Where the true pixels of a class went.

    Args:
        name: of the class.
        recall: share of its pixels that were found as such, 0..1.
        taken_for: other classes, or "" for unknown, and their share of its pixels, the largest first.
    """

    name: str
    recall: float
    taken_for: tuple[tuple[str, float], ...]


def find_confusions(matrix: Tensor, names: Sequence[str], most: int = 3) -> dict[str, Confused]:
    """What each class that occurs is taken for. int64 [C,C+1]"""
    found = {}
    for label, (name, row) in enumerate(zip(names, matrix.tolist(), strict=True)):
        total = sum(row)
        if not total:
            continue
        others = [(count, other) for other, count in enumerate(row) if other != label and count]
        others.sort(key=lambda pair: (-pair[0], pair[1]))
        listed = tuple((names[other] if other < len(names) else "", count / total) for count, other in others[:most])
        found[name] = Confused(name, row[label] / total, listed)
    return found


def find_movements(digest: Digest, most: int = 3) -> dict[str, tuple[tuple[str, float], ...]]:
    """Which classes, or "" for unknown, have more of each class's pixels than before; in shares of the class."""
    gained = digest.chosen.matrix - digest.baseline.matrix
    totals = digest.baseline.matrix.sum(1).tolist()
    found = {}
    for label, (name, row) in enumerate(zip(digest.names, gained.tolist(), strict=True)):
        others = [(count, other) for other, count in enumerate(row) if other != label and count > 0]
        others.sort(key=lambda pair: (-pair[0], pair[1]))
        names = (*digest.names, "")
        found[name] = tuple((names[other], count / totals[label]) for count, other in others[:most] if totals[label])
    return found
