"""The first part of the page: what was found, in numbers, sentences and one table.

Not here: classes, images and phrases (`details`), the page around it (`page`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from ..columns import Column
from ..counting import BUCKETS
from .digest import ColumnDigest, Digest
from .findings import describe_findings
from .markup import Cell, figure, named, show_verdict, table
from .plots import Difference, draw_differences
from .wording import escape, percent, plural, points, shorten, span

__all__ = ["write_overview"]

LETTERS = 60  # of an option, which may be a list of templates


def write_overview(digest: Digest, plots: bool) -> str:
    """Tiles, findings, the table of columns and a figure of their differences."""
    parts = [_tiles(digest), _findings(digest), _column_table(digest)]
    judged = [each for each in digest.columns if each.overall is not None]
    if plots and len(judged) > 1:
        lines = [
            Difference(each.name, each.overall.difference, each.overall.verdict) for each in judged if each.overall
        ]
        told = f"Mean IoU of every column minus that of {digest.baseline.name}, as in the table above, with intervals."
        caption = "Mean IoU of each column against the baseline, with its 95 % interval."
        parts.append(figure(draw_differences(lines, told, "columns"), caption))
    return "".join(parts)


def _findings(digest: Digest) -> str:
    # A number and its sign stay in one line.
    sentences = "".join(f"<p>{escape(each).replace(' %', '&nbsp;%')}</p>" for each in describe_findings(digest))
    return f'<div class="findings">{sentences}</div>'


def _tiles(digest: Digest) -> str:
    chosen, baseline = digest.chosen, digest.baseline
    tiles = [_tile(percent(baseline.measures.miou), "%", f"mean IoU of {named(baseline.name)}, the baseline")]
    if chosen.overall is not None:
        difference, helped, hurt = chosen.overall.difference, len(chosen.judged("helps")), len(chosen.judged("hurts"))
        tiles.append(_tile(percent(chosen.measures.miou), "%", f"mean IoU of {named(chosen.name)}"))
        told = f"{show_verdict(chosen.overall.verdict)} 95 % interval {span(difference)}"
        tiles.append(_tile(points(difference.value), "points", told))
        told = f"classes helped, {hurt} hurt"
        tiles.append(_tile(str(helped), f"of {len(chosen.verdicts)}", told))
    else:
        tiles.append(_tile(percent(baseline.measures.accuracy), "%", "of the pixels right"))
        tiles.append(_tile(percent(baseline.measures.boundary_miou), "%", "mean boundary IoU"))
    tiles.append(_tile(f"{len(digest.results.samples):,}", "", plural(len(digest.results.samples), "image").split()[1]))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(number: str, unit: str, told: str) -> str:
    return f'<div class="tile"><b>{number} <small>{unit}</small></b><span class="muted small">{told}</span></div>'


def _column_table(digest: Digest) -> str:
    header = ["column", "mean IoU", "difference", "95 % interval", "verdict", "pixels right", "boundary mean IoU"]
    header += [f"mean IoU, {name}" for name in BUCKETS] + ["classes helped / hurt"]
    rows = [_column_cells(digest, each) for each in digest.columns]
    if any(each.plain for each in digest.columns):  # settings differ: the baseline is no fair judge of the phrases
        header.append("against names alone under the same settings")
        for cells, each in zip(rows, digest.columns, strict=True):
            cells.append(_plain_cell(each))
    caption = "All columns; numbers are per cent, differences percentage points. The first column is the baseline."
    return table(header, rows, caption, strong=digest.best if digest.best else None)


def _column_cells(digest: Digest, each: ColumnDigest) -> list[Cell]:
    measures = each.measures
    how = _describe_column(each.column, digest.baseline.column)
    told = f'<br><small class="muted">{escape(how)}</small>' if how else ""
    cells = [Cell(named(each.name) + told, each.name)]
    cells.append(Cell.percent(measures.miou))
    if each.overall is None:
        cells += [Cell("", ""), Cell("", ""), Cell("baseline", "")]
    else:
        difference = each.overall.difference
        cells += [
            Cell.points(difference.value),
            Cell(span(difference), difference.low),
            Cell(show_verdict(each.overall.verdict), each.overall.verdict),
        ]
    cells += [Cell.percent(measures.accuracy), Cell.percent(measures.boundary_miou)]
    cells += [Cell.percent(measures.by_size[name]) for name in BUCKETS]
    judged = f"{len(each.judged('helps'))} / {len(each.judged('hurts'))}" if each.overall else ""
    return [*cells, Cell(judged, len(each.judged("helps")) if each.overall else "")]


def _plain_cell(each: ColumnDigest) -> Cell:
    if each.plain is None:
        return Cell("", "")
    name, verdict = each.plain
    told = show_verdict(verdict.verdict, points(verdict.difference.value))
    return Cell(f"{told}<br><small>{span(verdict.difference)}, {named(name)}</small>", verdict.difference.value)


def _describe_column(column: Column, baseline: Column) -> str:
    """What a column is made of, and the options in which it is not like the baseline."""
    parts: Sequence[str] = [
        *([f"expansion {column.expansion}"] if column.expansion != column.name else []),
        *([f"{column.count} a class"] if column.count is not None else []),
        *_unlike(column.options, baseline.options),
        *_unlike(column.rules, baseline.rules),
    ]
    return ", ".join(parts)


def _unlike(options: object, baseline: object) -> list[str]:
    """The fields of a record that differ from those of another one of its kind."""
    values = {each.name: getattr(options, each.name) for each in fields(options)}  # type: ignore[arg-type]
    unlike = {name: str(value) for name, value in values.items() if value != getattr(baseline, name)}
    return [f"{name} {shorten(value, LETTERS)}" for name, value in unlike.items()]
