"""The numbers of a report for programs, as CSV, and for people who read text, as Markdown.

    columns.csv      a column a line: every summary number
    classes.csv      a class under a column a line: IoU, boundary IoU, and the difference to the baseline
    images.csv       an image under a column a line: mean IoU of that image alone
    confusion.csv    a pair of classes under a column a line: pixels, where there are any
    phrases.csv      a phrase under a column a line: pixels that it won

Numbers are shares (0..1) with six decimals; a number that does not exist is an empty cell. A name that a spreadsheet
would read as a formula has an apostrophe before it.

Not here: the page (`page`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from ..counting import BUCKETS
from ..verdicts import Verdict
from .digest import ColumnDigest, Digest, find_confusions
from .findings import describe_findings, describe_title
from .wording import GLYPHS, escape_markdown, guard_cell, number_cell, percent, points, span

__all__ = ["CSV_FILES", "write_csv", "write_markdown"]

Rows = Iterator[list[str]]
NO_VERDICT = ["", "", "", ""]


def write_csv(digest: Digest, name: str) -> str:
    """One of the files in `CSV_FILES`: a header, then the rows."""
    header, rows = CSV_FILES[name]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows(digest))
    return text.getvalue()


def _verdict_cells(verdict: Verdict | None) -> list[str]:
    return NO_VERDICT if verdict is None else [*map(number_cell, verdict.difference), verdict.verdict]


def _column_rows(digest: Digest) -> Rows:
    for each in digest.columns:
        measures, column = each.measures, each.column
        numbers = (
            measures.miou,
            measures.accuracy,
            measures.boundary_miou,
            *(measures.by_size[key] for key in BUCKETS),
        )
        judged = [str(len(each.judged(verdict))) if each.overall else "" for verdict in GLYPHS]
        how = [guard_cell(column.name), guard_cell(column.expansion), "" if column.count is None else str(column.count)]
        yield [*how, *map(number_cell, numbers), *_verdict_cells(each.overall), *judged]


def _class_rows(digest: Digest) -> Rows:
    for each in digest.columns:
        measured = zip(digest.names, digest.shares, each.measures.iou, each.measures.boundary_iou, strict=True)
        for name, *numbers in measured:
            verdict = _verdict_cells(each.verdicts.get(name))
            yield [guard_cell(each.name), guard_cell(name), *map(number_cell, numbers), *verdict]


def _image_rows(digest: Digest) -> Rows:
    for each in digest.columns:
        for sample, miou in zip(digest.results.samples, each.image_miou, strict=True):
            yield [guard_cell(each.name), guard_cell(sample), number_cell(miou)]


def _confusion_rows(digest: Digest) -> Rows:
    names = [*map(guard_cell, digest.names), ""]
    for each in digest.columns:
        for true, found in each.matrix.nonzero().tolist():
            yield [guard_cell(each.name), names[true], names[found], str(int(each.matrix[true, found]))]


def _phrase_rows(digest: Digest) -> Rows:
    for each in digest.columns:
        for name, won in each.winners.items():
            for phrase, pixels in sorted(won.items(), key=lambda item: (-item[1], item[0])):
                yield [guard_cell(each.name), guard_cell(name), guard_cell(phrase), str(pixels)]


_JUDGED = ("difference", "low", "high", "verdict")
_SIZES = tuple(f"miou_{name}" for name in BUCKETS)
CSV_FILES: Mapping[str, tuple[tuple[str, ...], Callable[[Digest], Rows]]] = MappingProxyType(
    {
        "columns.csv": (
            (
                "column", "expansion", "count", "miou", "accuracy", "boundary_miou", *_SIZES, *_JUDGED,
                *(f"classes_{name}" for name in GLYPHS),
            ),
            _column_rows,
        ),
        "classes.csv": (("column", "class", "share", "iou", "boundary_iou", *_JUDGED), _class_rows),
        "images.csv": (("column", "image", "miou"), _image_rows),
        "confusion.csv": (("column", "truth", "found", "pixels"), _confusion_rows),
        "phrases.csv": (("column", "class", "phrase", "pixels"), _phrase_rows),
    }
)  # fmt: skip


def write_markdown(digest: Digest) -> str:
    """The findings, the facts, and the tables that fit into text."""
    parts = [f"# {escape_markdown(describe_title(digest))}"]
    parts.append("\n\n".join(escape_markdown(sentence) for sentence in describe_findings(digest)))
    facts = [[key, value] for key, value in digest.results.facts.items()]
    parts += [_markdown_table(["fact", ""], facts)] if facts else []
    parts += ["## Columns", _markdown_columns(digest), "## Classes", _markdown_classes(digest)]
    parts += [f"## What classes are taken for ({escape_markdown(digest.chosen.name)})", _markdown_confusions(digest)]
    parts.append(_EXPLANATION)
    return "\n\n".join(parts) + "\n"


def _markdown_columns(digest: Digest) -> str:
    header = ["column", "expansion", "mean IoU", "difference", "95 % interval", "verdict", "pixels right"]
    header += ["boundary", *BUCKETS, "helped / hurt"]
    return _markdown_table(header, [_markdown_column(each) for each in digest.columns], numbers=True)


def _markdown_column(each: ColumnDigest) -> list[str]:
    measures = each.measures
    numbers = [percent(measures.accuracy), percent(measures.boundary_miou)]
    numbers += [percent(measures.by_size[name]) for name in BUCKETS]
    judged = ["", "", "baseline", *numbers, ""]
    if each.overall is not None:
        verdict, difference = each.overall.verdict, each.overall.difference
        counted = f"{len(each.judged('helps'))} / {len(each.judged('hurts'))}"
        judged = [points(difference.value), span(difference), f"{GLYPHS[verdict]} {verdict}", *numbers, counted]
    return [each.name, each.column.expansion, percent(measures.miou), *judged]


def _markdown_classes(digest: Digest) -> str:
    rows = []
    for label, name in enumerate(digest.names):
        cells = [name, percent(digest.shares[label], 2)]
        for each in digest.columns:
            verdict = each.verdicts.get(name)
            told = f" ({GLYPHS[verdict.verdict]} {points(verdict.difference.value)})" if verdict else ""
            cells.append(percent(each.measures.iou[label]) + told)
        rows.append(cells)
    return _markdown_table(["class", "share", *(each.name for each in digest.columns)], rows, numbers=True)


def _markdown_confusions(digest: Digest) -> str:
    rows = [
        [
            each.name,
            percent(each.recall),
            ", ".join(f"{name or 'unknown'} {percent(share)}" for name, share in each.taken_for),
        ]
        for each in find_confusions(digest.chosen.matrix, digest.names).values()
    ]
    return _markdown_table(["class", "found", "taken for"], rows)


def _markdown_table(header: list[str], rows: list[list[str]], numbers: bool = False) -> str:
    rule = "|---" + ("|---:" if numbers else "|---") * (len(header) - 1) + "|"
    lines = ["| " + " | ".join(map(escape_markdown, cells)) + " |" for cells in [header, *rows]]
    return "\n".join([lines[0], rule, *lines[1:]])


_SIZES_TOLD = "; ".join(f"{name}: {what}" for name, what in BUCKETS.items())
_EXPLANATION = f"""Numbers are per cent, differences percentage points to the first column with a 95 % interval from
a paired bootstrap over the images; ▲ helps and ▼ hurts where the interval is wholly on one side of zero, ● neutral
where it is not. {_SIZES_TOLD}. The CSV files beside hold the same as shares from 0 to 1: an empty cell is a number
that does not exist (a class that is nowhere) or, in place of a class, pixels left unknown; an apostrophe before a name
that begins with = + - @ keeps spreadsheets from reading it as a formula."""
