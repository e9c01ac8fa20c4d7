"""The other parts of the page: classes, what is taken for what, images, phrases, and how to read it all.

Not here: the overview (`overview`), the page around them (`page`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..counting import BUCKETS
from ..verdicts import Verdict
from .confusions import normalise_matrix, pick_confused
from .digest import ColumnDigest, Digest, find_confusions, find_movements
from .markup import Cell, figure, named, picture, show_verdict, table
from .plots import Difference, draw_differences, draw_matrix
from .sheets import Sheet, Shown
from .tables import CSV_FILES
from .wording import escape, percent, plural, points

__all__ = ["write_classes", "write_confusions", "write_notes", "write_phrases", "write_sheets"]

LINES = 60  # classes in one figure
PHRASES = 8  # named for a class
LEAST = 0.0005  # shares below would read 0.0


def write_classes(digest: Digest, plots: bool) -> str:
    """A figure of the column that is looked at closely, and a table of all columns."""
    parts = []
    if plots and digest.chosen.verdicts:
        parts.append(_class_figure(digest))
    columns = [each.name for each in digest.columns[1:]]
    header = ["class", "share of pixels", f"{digest.baseline.name} (baseline)", *columns]
    rows = [_class_cells(digest, label) for label in range(len(digest.names))]
    caption = "IoU of each class in per cent, and the difference to the baseline in points with its verdict."
    return "".join([*parts, table(header, rows, caption, tall=len(rows) > 25)])


def _class_figure(digest: Digest) -> str:
    """Differences of the classes, the best first; those in the middle are left out where there are many."""
    chosen = digest.chosen
    ranked = sorted(chosen.verdicts.values(), key=lambda each: -each.difference.value)
    left_out = max(0, len(ranked) - LINES)
    shown = [*ranked[: LINES // 2], *ranked[len(ranked) - LINES // 2 :]] if left_out else ranked
    overall = [chosen.overall] if chosen.overall else []
    lines = [_line(each) for each in [*overall, *shown]]
    caption = f"IoU of each class under {chosen.name} against {digest.baseline.name}, with 95 % intervals."
    if left_out:
        caption += f" {plural(left_out, 'class')} between the best and the worst stand in the table only."
    return figure(draw_differences(lines, f"{caption} The table below has the numbers.", "classes", strong=1), caption)


def _line(verdict: Verdict) -> Difference:
    return Difference(verdict.name, verdict.difference, verdict.verdict)


def _class_cells(digest: Digest, label: int) -> list[Cell]:
    name = digest.names[label]
    share = digest.shares[label]
    cells = [Cell(named(name), name), Cell(percent(share, 2), share)]
    for each in digest.columns:
        verdict = each.verdicts.get(name)
        told = f" <small>{show_verdict(verdict.verdict, points(verdict.difference.value))}</small>" if verdict else ""
        cells.append(Cell.percent(each.measures.iou[label], told))
    return cells


def write_confusions(digest: Digest, plots: bool) -> str:
    """The classes that are confused most, as matrices, and what each class is taken for."""
    shown = [digest.baseline, digest.chosen] if digest.best else [digest.baseline]
    labels = pick_confused([each.matrix for each in shown]) if plots else []
    matrices = [_matrix(digest, each, labels) for each in shown] if labels else []
    return f'<div class="pair">{"".join(matrices)}</div>{_confusion_table(digest)}'


def _confusion_table(digest: Digest) -> str:
    """What each class is taken for, and which classes have more of it than before."""
    chosen, baseline = (find_confusions(each.matrix, digest.names) for each in (digest.chosen, digest.baseline))
    moved = find_movements(digest) if digest.best else {}
    rows = []
    for name, confused in chosen.items():
        before = [Cell.percent(baseline[name].recall)] if digest.best else []
        cells = [Cell(named(name), name), *before, Cell.percent(confused.recall), _list_classes(confused.taken_for)]
        rows.append(cells + ([_list_classes(moved[name])] if digest.best else []))
    header = ["class", f"found by {digest.chosen.name}", "taken for"]
    if digest.best:
        header = [header[0], f"found by {digest.baseline.name}", *header[1:], "took more of it than before"]
    caption = (
        f"{digest.chosen.name}: share of each class's pixels found as such, and where others went, in per cent of it."
    )
    return table(header, rows, caption, tall=len(rows) > 25)


def _list_classes(shares: Sequence[tuple[str, float]]) -> Cell:
    seen = [(other, share) for other, share in shares if share >= LEAST]
    listed = ", ".join(f"{named(other) if other else '<i>unknown</i>'} {percent(share)}" for other, share in seen)
    return Cell(listed, shares[0][1] if shares else 0.0, words=True)


def _matrix(digest: Digest, column: ColumnDigest, labels: Sequence[int]) -> str:
    shares, rows, columns = normalise_matrix(column.matrix, digest.names, labels)
    occurring = sum(share > 0 for share in digest.shares)
    which = f"the {plural(len(labels), 'class')} of {occurring} that are confused most"
    which = which if len(labels) < occurring else "all classes that occur"
    caption = f"{column.name}: where the pixels of a class go, in per cent of the class; {which}."
    alternative = f"{caption} The table below names the most frequent ones."
    key = "after" if column is digest.chosen else "before"
    return figure(draw_matrix(shares, rows, columns, alternative, key), caption)


def write_sheets(sheets: Sequence[Sheet]) -> str:
    """The images of each sheet, one below the other."""
    return "".join(
        f"<h3>{escape(sheet.title)}</h3>" + "".join(_shown(each) for each in sheet.images) for sheet in sheets
    )


def _shown(each: Shown) -> str:
    change = "" if each.before == each.after else f"{percent(each.before)} → "
    told = f'<p><b>{named(each.sample)}</b> <span class="muted">mean IoU {change}{percent(each.after)} %</span></p>'
    if each.problem:
        return f'<div class="shown">{told}<p class="note">No picture: {escape(each.problem)}</p></div>'
    panels = "".join(picture(jpeg, each.size, f"{each.sample}: {title}", title) for title, jpeg in each.panels)
    legend = "".join(
        f'<li><span class="swatch" style="background:rgb({",".join(map(str, colour))})"></span>{named(name)}</li>'
        for name, colour in each.legend
    )
    more = f"<li>and {each.hidden} more</li>" if each.hidden else ""
    return f'<div class="shown">{told}<div class="panels">{panels}</div><ul class="legend">{legend}{more}</ul></div>'


def write_phrases(digest: Digest) -> str:
    """Which phrases of each class won its pixels, in the column that is looked at closely."""
    winners = digest.chosen.winners
    rows = [_phrase_cells(name, winners[name]) for name in digest.names if sum(winners.get(name, {}).values()) > 0]
    if not rows:
        return '<p class="note">No phrases were counted.</p>'
    header = ["class", "pixels", "shares", "phrases that won them, per cent"]
    caption = f"{digest.chosen.name}: pixels labelled as each class, by the phrase that scored highest there."
    return table(header, rows, caption, tall=len(rows) > 25)


def _phrase_cells(name: str, won: Mapping[str, int]) -> list[Cell]:
    total = sum(won.values())
    ranked = sorted(((count, phrase) for phrase, count in won.items() if count), key=lambda pair: (-pair[0], pair[1]))
    shares = [count / total for count, _ in ranked[:PHRASES]]
    bars = "".join(f'<i style="flex:{share:.4f}"></i>' for share in [*shares, 1 - sum(shares)])
    return [
        Cell(named(name), name),
        Cell(f"{total:,}", total),
        Cell(f'<span class="bars">{bars}</span>', shares[0], words=True),
        Cell(_list_phrases(name, ranked, total), ranked[0][1], words=True),
    ]


def _list_phrases(name: str, ranked: Sequence[tuple[int, str]], total: int) -> str:
    listed = ", ".join(
        f"{named(phrase)}{' (the name)' if phrase == name else ''} {percent(count / total)}"
        for count, phrase in ranked[:PHRASES]
    )
    return f"{listed} and {len(ranked) - PHRASES} more" if len(ranked) > PHRASES else listed


def write_notes(digest: Digest) -> str:
    """How to read the page, and what it was made from."""
    facts = "".join(f"<dt>{named(key)}</dt><dd>{_fact(key, value)}</dd>" for key, value in digest.results.facts.items())
    sizes = "; ".join(f"<b>{escape(name)}</b>, {escape(what)}" for name, what in BUCKETS.items())
    explained = {
        "Mean IoU": "Intersection over union of each class, summed over all images first, averaged over the classes "
        "that occur in the truth. Pixels whose truth is unknown do not count; pixels left unlabelled are wrong.",
        "Boundary IoU": "The same within a band along outlines, 2 % of the diagonal wide (Cheng et al. 2021): it tells "
        "whether outlines are right, whatever the size.",
        "Verdict": "Paired bootstrap over images. ▲ helps: the whole 95 % interval of the difference is above zero; "
        "▼ hurts: wholly below; ● neutral: these images do not tell. A class that few images "
        "hold stays neutral, and of those on which nothing changed one in twenty may look changed by chance.",
    }
    list_items = "".join(f"<dt>{key}</dt><dd>{escape(text)}</dd>" for key, text in explained.items())
    list_items += f"<dt>Sizes</dt><dd>Pixels of true regions by their size: {sizes}.</dd>"
    files = ", ".join(f"<code>{name}</code>" for name in ("report.md", *CSV_FILES))
    return (
        f'<h3>How to read it</h3><dl class="facts">{list_items}</dl>'
        + (f'<h3>How it was made</h3><dl class="facts">{facts}</dl>' if facts else "")
        + f'<p class="muted small">The same numbers lie beside this page: {files}.</p>'
    )


def _fact(key: str, value: str) -> str:
    return f"<code>{escape(value)}</code>" if key.endswith(("command", "identity")) else named(value)
