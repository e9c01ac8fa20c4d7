"""What follows from the counts: where a column helps, where it hurts, which class gained what another lost.

A column is judged against a baseline on the same images by the paired bootstrap. A list of subclasses is believed to
help only where it also beats its placebo: as many phrases that say nothing.

Not here: counting, running, the report. Source: the verdicts follow the measure of arXiv:2404.00701's successors, that
is class-wise IoU with a 95 % interval: `helps` above zero, `hurts` below, else `neutral`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from .columns import Column
from .measures import DRAWS, ClassPixels, Interval, compare_classes, count_pixels
from .results import ColumnResult, Results
from .vocabularies import is_control

__all__ = [
    "ALL_CLASSES",
    "Taker",
    "Verdict",
    "find_control",
    "find_plain",
    "find_takers",
    "has_list",
    "hurt_classes",
    "judge_column",
    "judge_counts",
    "tell_placebo",
]

ALL_CLASSES = "all classes"
TAKERS = 3


@dataclass(frozen=True)
class Verdict:
    """A column against a baseline.

    Args:
        name: of a class, or `ALL_CLASSES`.
        difference: of IoU, or of mean IoU, column minus baseline, 0..1.
        verdict: helps, hurts or neutral.
    """

    name: str
    difference: Interval
    verdict: str

    @classmethod
    def of(cls, name: str, difference: Interval) -> Verdict:
        """Judge an interval."""
        verdict = "helps" if difference.low > 0 else "hurts" if difference.high < 0 else "neutral"
        return cls(name, difference, verdict)


@dataclass(frozen=True)
class Taker:
    """A class that gained pixels which another one lost.

    Args:
        name: of the class that gained; empty for unknown.
        pixels: how many more of the other's true pixels it has than under the baseline.
        share: of all true pixels of the other, 0..1.
    """

    name: str
    pixels: int
    share: float


def judge_column(
    results: Results, column: int, *, baseline: int = 0, draws: int = DRAWS, seed: int = 0
) -> tuple[Verdict, ...]:
    """Whether a column helps: all classes together, then each one that occurs in the truth.

    Args:
        results: of an experiment.
        column, baseline: positions in `Results.columns`.
        draws, seed: of the bootstrap.
    """
    names = results.classes.names
    return judge_counts(results.columns[column], results.columns[baseline], names, draws=draws, seed=seed)


def judge_counts(
    column: ColumnResult, baseline: ColumnResult, names: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> tuple[Verdict, ...]:
    """As `judge_column`, of two columns over the same images.

    Args:
        column, baseline: which.
        names: of the classes, in the order of their labels.
        draws, seed: of the bootstrap.
    """
    pixels = [_count(each) for each in (column, baseline)]
    there = (pixels[0].true.sum(0) > 0).nonzero()[:, 0].tolist()
    mean, each = compare_classes(*pixels, classes=there, draws=draws, seed=seed)
    own = (Verdict.of(names[label], difference) for label, difference in zip(there, each, strict=True))
    return Verdict.of(ALL_CLASSES, mean), *own


@lru_cache(maxsize=8)  # a column is judged against several, and several against the baseline
def _count(column: ColumnResult) -> ClassPixels:
    return count_pixels(counts.matrix for counts in column.counts)


def hurt_classes(verdicts: Sequence[Verdict], least: float = 0.0) -> list[str]:
    """Classes that are hurt by more than so much IoU, the worst first."""
    hurt = [each for each in verdicts if each.name != ALL_CLASSES and each.verdict == "hurts"]
    hurt = [each for each in hurt if each.difference.value < -least]
    return [each.name for each in sorted(hurt, key=lambda each: each.difference.value)]


def find_takers(results: Results, column: int, name: str, *, baseline: int = 0, most: int = TAKERS) -> list[Taker]:
    """The classes that gained most of the true pixels which a class lost; those left unknown count as one of them."""
    label = results.classes.names.index(name)
    rows = []
    for position in (column, baseline):
        matrices = (counts.matrix[label] for counts in results.columns[position].counts)
        rows.append(sum(matrices, start=results.columns[position].counts[0].matrix[label] * 0))
    gained, total = (rows[0] - rows[1]).tolist(), int(rows[1].sum())
    others = [number for number in range(len(gained)) if number != label and gained[number] > 0]
    others.sort(key=lambda number: -gained[number])
    names = (*results.classes.names, "")
    return [Taker(names[number], gained[number], gained[number] / total) for number in others[:most]]


def find_plain(results: Results, column: int) -> int | None:
    """The column of class names alone under the same settings; None where there is none, or this is one.

    How phrases are merged is no such setting: where there is one phrase it makes no difference.
    """
    own = results.columns[column].column
    if _names_alone(own):
        return None
    columns = [each.column for each in results.columns]
    plain = (n for n, each in enumerate(columns) if _names_alone(each) and _settings(each) == _settings(own))
    return next(plain, None)


def has_list(column: Column) -> bool:
    """Whether a column is one of phrases that say something, and not there to judge others by."""
    return not is_control(column.expansion) and not _names_alone(column)


def _names_alone(column: Column) -> bool:
    return column.expansion == "off" or column.count == 0 or column.options.mode == "off"


def _settings(column: Column) -> tuple[object, ...]:
    """All of a column but its phrases and how they are merged."""
    merging = {"include_names": "", "mode": "", "temperature": 0, "name_weight": 0}
    return replace(column.options, **merging), column.rules  # type: ignore[arg-type]


def find_control(results: Results, column: int, control: str = "placebo") -> int | None:
    """The column that differs by its phrases only, which are such a control of the same list; None where there is none.

    Args:
        results: of an experiment.
        column: a position in `Results.columns`.
        control: a name in `options.CONTROL`.
    """
    own = results.columns[column].column
    if is_control(own.expansion):
        return None
    names = {f"{control}:{own.expansion}", *([control] if own.expansion == "auto" else [])}
    for number, each in enumerate(results.columns):
        other = each.column
        if other.expansion in names and (other.count, other.options, other.rules) == (
            own.count,
            own.options,
            own.rules,
        ):
            return number
    return None


def tell_placebo(results: Results, column: int) -> str:
    """Whether a column beats its placebo, in a sentence; empty where there is no placebo of it."""
    placebo = find_control(results, column)
    if placebo is None:
        return ""
    overall = judge_column(results, column, baseline=placebo)[0]
    low, high = (f"{100 * each:+.1f}" for each in overall.difference[1:])
    name, other = (results.columns[each].column.name for each in (column, placebo))
    gain = f"{100 * overall.difference.value:+.1f} points of mIoU ({low} to {high}) against {other!r}"
    if overall.verdict == "helps":
        return f"{name!r} beats its placebo: {gain}; the phrases themselves help."
    if overall.verdict == "hurts":
        return f"{name!r} is worse than its placebo: {gain}; the phrases do harm."
    return f"{name!r} is not shown to beat its placebo: {gain}; what it gains may come from having many phrases."
