"""What a command prints at the end: the columns in a table, what the lists are worth, and where they do harm.

Not here: the report (`report`), verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..graph import printable
from .counting import measure_counts
from .measures import Interval
from .results import Results
from .verdicts import ALL_CLASSES, find_plain, find_takers, hurt_classes, judge_column, tell_placebo
from .vocabularies import is_control

__all__ = ["choose_detailed", "format_harm", "format_summary", "format_table", "list_harm"]

SEEN = 0.0005  # IoU: less would be shown as 0.0
HEADER = (
    "column",
    "mIoU",
    "boundary IoU",
    "pixels right",
    "against {}",
    "verdict",
    "helped",
    "hurt",
    "over names alone",
)


def format_summary(results: Results) -> str:
    """All that is printed, as Markdown."""
    parts = [
        f"{results.dataset}, {len(results.samples)} images, {len(results.classes.classes)} classes. mIoU in %, "
        "differences in points with 95 % intervals (paired bootstrap over images).",
        format_table(results),
    ]
    parts += filter(None, (tell_placebo(results, column) for column in range(1, len(results.columns))))
    detailed = choose_detailed(results)
    parts += [format_harm(results, column) for column in detailed]
    columns = [each.column for each in results.columns]
    others = [n for n, each in enumerate(columns) if n and n not in detailed and not is_control(each.expansion)]
    return "\n\n".join(filter(None, [*parts, list_harm(results, others)]))


def format_table(results: Results) -> str:
    """A row of each column: how good it is, against the baseline, and against class names alone if there is such one.

    The last is told of columns under other settings than the baseline's, of which that comparison says little.
    """
    names = [column.column.name for column in results.columns]
    header = [cell.format(_cell(names[0])) for cell in HEADER]
    lines = ["| " + " | ".join(header) + " |", "|---|---:|---:|---:|---|---|---:|---:|---|"]
    for number, column in enumerate(results.columns):
        measures = measure_counts(column.counts)
        row = [names[number], *(_percent(each) for each in (measures.miou, measures.boundary_miou, measures.accuracy))]
        row += _judged(results, number) if number else ["baseline", "", "", "", ""]
        lines.append("| " + " | ".join(map(_cell, row)) + " |")
    return "\n".join(lines)


def _judged(results: Results, column: int) -> list[str]:
    verdicts = judge_column(results, column)
    overall, *each = verdicts
    counted = [str(sum(verdict.verdict == word for verdict in each)) for word in ("helps", "hurts")]
    plain = find_plain(results, column)
    over = ""
    if plain:  # 0 is the baseline, of which the row has told already
        against = judge_column(results, column, baseline=plain)[0]
        over = f"{_interval(against.difference)} {against.verdict}"
    return [_interval(overall.difference), overall.verdict, *counted, over]


def choose_detailed(results: Results) -> list[int]:
    """Columns whose classes are worth a table: whole lists under the settings of the baseline."""
    base = results.columns[0].column
    found = []
    for number, each in enumerate(results.columns[1:], 1):
        column = each.column
        options = replace(column.options, include_names=base.options.include_names)
        alike = options == base.options and column.rules == base.rules
        if alike and column.count is None and not is_control(column.expansion):
            found.append(number)
    return found


def format_harm(results: Results, column: int, *, baseline: int = 0, most: int = 20) -> str:
    """The classes that a column hurts, the worst first, and which classes took their pixels; then those in doubt."""
    names = [each.column.name for each in results.columns]
    verdicts = judge_column(results, column, baseline=baseline)
    hurt = hurt_classes(verdicts)
    judged = {verdict.name: verdict.difference for verdict in verdicts if verdict.name != ALL_CLASSES}
    text = f"Classes that {names[column]!r} hurts against {names[baseline]!r}: "
    if hurt:
        lines = ["", "", "| class | IoU | who took its pixels |", "|---|---|---|"]
        for name in hurt[:most]:
            takers = find_takers(results, column, name, baseline=baseline)
            told = ", ".join(f"{taker.name or 'unknown'} {taker.share:.1%}" for taker in takers)
            lines.append(f"| {_cell(name)} | {_interval(judged[name])} | {_cell(told)} |")
        lines += [f"| and {len(hurt) - most} more | | |"] if len(hurt) > most else []
        text = text.rstrip() + "\n".join(lines)
    else:
        text += "none beyond doubt."
    lower = sorted((difference.value, name) for name, difference in judged.items() if difference.value <= -SEEN)
    doubtful = [f"{name} {100 * value:+.1f}" for value, name in lower if name not in hurt]
    rest = f" and {len(doubtful) - most} more" if len(doubtful) > most else ""
    return text + (f"\n\nLower, but in doubt: {', '.join(doubtful[:most])}{rest}." if doubtful else "")


def list_harm(results: Results, columns: Sequence[int], most: int = 20) -> str:
    """A line of each of some columns that hurt any class: which, and by how much; empty where none does."""
    lines = []
    for number in columns:
        judged = {verdict.name: verdict.difference.value for verdict in judge_column(results, number)}
        hurt = hurt_classes(judge_column(results, number))
        if hurt:
            told = ", ".join(f"{name} {100 * judged[name]:+.1f}" for name in hurt[:most])
            rest = f" and {len(hurt) - most} more" if len(hurt) > most else ""
            lines.append(f"- {results.columns[number].column.name}: {told}{rest}")
    return "\n".join(["Classes that other columns hurt, points of IoU:", "", *lines]) if lines else ""


def _interval(difference: Interval) -> str:
    value, low, high = (f"{100 * number:+.1f}" for number in difference)
    return f"{value} ({low} to {high})"


def _percent(number: float) -> str:
    return "-" if number != number else f"{100 * number:.1f}"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
