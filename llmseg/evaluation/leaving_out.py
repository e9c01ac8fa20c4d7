"""Which phrase is to blame: the IoU of a class without each of its phrases in turn.

Not here: classes that a whole list hurts (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import UnknownNameError
from ..graph import printable
from ..types import Expansion
from .experiments import Experiment
from .measures import Interval, compare_classes, count_pixels
from .preparing import Prepared

if TYPE_CHECKING:
    from .datasets import Sample

__all__ = ["LeftOut", "find_culprits", "format_culprits", "without_phrase"]


@dataclass(frozen=True)
class LeftOut:
    """What one phrase does to its class.

    Args:
        name: of the class.
        phrase: that was left out.
        gain: IoU of the class without it, minus that with it, -1..1; above zero the phrase does harm.
        pixels: that it won while it was there.
    """

    name: str
    phrase: str
    gain: Interval
    pixels: int


def without_phrase(expansion: Expansion, name: str, phrase: str) -> Expansion:
    """An expansion in which a class has one phrase fewer."""
    classes = tuple(
        replace(entry, subclasses=tuple(each for each in entry.subclasses if each.text != phrase))
        if entry.class_name.name == name
        else entry
        for entry in expansion.classes
    )
    return replace(expansion, classes=classes)


def find_culprits(
    experiment: Experiment, prepared: Prepared, names: Sequence[str], samples: Sequence[Sample]
) -> list[LeftOut]:
    """Leave out each phrase of some classes in turn, everything else being the same.

    Runs on features that are there already, and is stored like any column.

    Args:
        experiment: data set and model.
        prepared: the column.
        names: of the classes.
        samples: the images.

    Returns:
        A line of each phrase, class by class, the most harmful first.

    Raises:
        UnknownNameError: no such class.
        InputError: no image can be counted.
    """
    asked = _list_phrases(prepared.expansion, names)
    fewer = [
        experiment.prepare_one(
            replace(prepared.column, name=f"{prepared.column.name} without {phrase}"),
            without_phrase(prepared.expansion, name, phrase),
        )
        for name, phrase in asked
    ]
    experiment.run([prepared, *fewer], samples)
    results = experiment.collect([prepared, *fewer], samples)
    whole, *rest = results.columns
    base = count_pixels(counts.matrix for counts in whole.counts)
    found = []
    for (name, phrase), column in zip(asked, rest, strict=True):
        label = results.classes.names.index(name)
        pixels = count_pixels(counts.matrix for counts in column.counts)
        gain = compare_classes(pixels, base, classes=[label])[1][0]
        found.append(LeftOut(name, phrase, gain, whole.winners.get(name, {}).get(phrase, 0)))
    order = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in asked))}
    return sorted(found, key=lambda each: (order[each.name], -each.gain.value))


def _list_phrases(expansion: Expansion, names: Sequence[str]) -> list[tuple[str, str]]:
    """Every phrase of some classes, each with its class."""
    known = {entry.class_name.name.casefold(): entry for entry in expansion.classes}
    asked: list[tuple[str, str]] = []
    for name in dict.fromkeys(each.casefold() for each in names):
        if name not in known:
            raise UnknownNameError(name, [entry.class_name.name for entry in known.values()], place="leave-one-out")
        asked += [(known[name].class_name.name, phrase) for phrase in known[name].kept]
    return asked


def format_culprits(found: Sequence[LeftOut]) -> str:
    """A Markdown table: each phrase, and what its class gains without it in points of IoU."""
    lines = ["| class | without | gain in IoU | 95 % interval | pixels it won | |", "|---|---|---:|---|---:|---|"]
    for each in found:
        value, low, high = (f"{100 * number:+.1f}" for number in each.gain)
        blame = "does harm" if each.gain.low > 0 else "helps" if each.gain.high < 0 else ""
        cells = (each.name, each.phrase, value, f"{low} to {high}", f"{each.pixels:,}", blame)
        lines.append("| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
