"""Figures of a report, as SVG that stands inside a page and takes its colours and letters from there.

Colours are written as stand-ins and replaced by the page's variables, so that one figure is right on light and on dark
paper. Letters stay text: the reader's fonts draw them, in any script.

Not here: what is drawn (`digest`), the page (`page`).
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from ..measures import Interval
from .wording import escape, points, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Difference", "can_plot", "draw_differences", "draw_matrix"]

# Stand-ins: near black, so that a reader without variables in style attributes still sees something.
INK, MUTED, GRID, ACCENT, PAPER = "#010101", "#010102", "#010103", "#010104", "#fefefd"
VERDICTS = {"helps": "#010105", "hurts": "#010106", "neutral": "#010107"}
VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "rule", ACCENT: "accent", PAPER: "paper",
    **{colour: name for name, colour in VERDICTS.items()},
}  # fmt: skip
MARKERS = {"helps": "^", "hurts": "v", "neutral": "o"}

WIDTH = 900  # units of the page: a figure is drawn in its own size, and made smaller on a small screen
LABELS, VALUES = 220, 165  # left and right of the axis
LINE, TOP, BOTTOM = 20, 6, 38
LETTERS = 30  # of a label
CELL, LETTER = 26, 7  # a square of a matrix, and the room for a letter of the names beside it
CELL_LETTERS = 17
SHOWN = 0.005  # shares below have no number in their square
DARK = 0.55  # shares above need light letters


class Difference(NamedTuple):
    """One line of a figure: a name, how it differs from the baseline, and what follows."""

    name: str
    interval: Interval
    verdict: str


def can_plot() -> bool:
    """Whether matplotlib is there; everything but the figures does without."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def draw_differences(lines: Sequence[Difference], description: str, key: str, strong: int = 0) -> str:
    """A line for each difference, the first one on top: its interval, its value, and zero.

    Args:
        lines: what is drawn.
        description: what a reader who sees nothing is told.
        key: unlike that of any other figure of the page.
        strong: the first so many lines stand apart from the rest.
    """
    figure, axes = _start(WIDTH, TOP + BOTTOM + LINE * len(lines), (LABELS, TOP, VALUES, BOTTOM))
    axes.axvline(0, color=MUTED, linewidth=1)
    _draw_intervals(axes, lines, strong)
    for row, (name, interval, _) in enumerate(lines):
        told = f"{points(interval.value)}  [{points(interval.low)}, {points(interval.high)}]"
        sides = axes.get_yaxis_transform()
        _write(axes, (1.02, row), told, INK if row < strong else MUTED, transform=sides)
        _write(axes, (-0.02, row), shorten(name, LETTERS), INK, ha="right", transform=sides)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    if strong and strong < len(lines):
        axes.axhline(strong - 0.5, color=GRID, linewidth=1)
    axes.set_xlabel("percentage points against the baseline: left is worse, right is better", color=MUTED, fontsize=12)
    return _finish(figure, description, key)


def _draw_intervals(axes: Axes, lines: Sequence[Difference], strong: int) -> None:
    """All that look alike at once: a figure of many parts takes long."""
    for wide, verdict in product((False, True), VERDICTS):
        chosen = [
            (row, *(100 * each for each in line.interval))
            for row, line in enumerate(lines)
            if line.verdict == verdict and (row < strong) == wide
        ]
        if chosen:
            rows, values, lows, highs = zip(*chosen, strict=True)
            colour, marker = VERDICTS[verdict], MARKERS[verdict]
            axes.hlines(rows, lows, highs, color=colour, linewidth=3 if wide else 1.6)
            axes.plot(values, rows, color=colour, marker=marker, markersize=9 if wide else 6.5, linestyle="none")


def draw_matrix(
    shares: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], description: str, key: str
) -> str:
    """A square for each pair, the darker the larger its share, with the share in per cent in it.

    Args:
        shares: 0..1, a row for each of `rows`.
        rows, columns: their names.
        description: what a reader who sees nothing is told.
        key: unlike that of any other figure of the page.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    width, height = CELL * len(columns), CELL * len(rows)
    room = 12 + LETTER * max(len(shorten(name, CELL_LETTERS)) for name in columns)
    figure, axes = _start(width + room + 28, height + room + 28, (room + 24, 4, 4, room + 24))
    squares, colours = [], []
    for row, line in enumerate(shares):
        for column, share in enumerate(line):
            alpha = min(1.0, max(0.0, share)) ** 0.7  # so that small shares are seen
            squares.append(Rectangle((column, row), 1, 1))
            colours.append((ACCENT, alpha))
            if share >= SHOWN:
                place, colour = (column + 0.5, row + 0.5), PAPER if alpha > DARK else INK
                _write(axes, place, f"{100 * share:.0f}", colour, ha="center", fontsize=11.5)
    axes.add_collection(PatchCollection(squares, facecolors=colours, edgecolors=GRID, linewidths=0.5))
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    axes.set_xticks([])
    axes.set_yticks([])
    for number, name in enumerate(rows):
        _write(axes, (-0.25, number + 0.5), shorten(name, CELL_LETTERS), INK, ha="right")
    for number, name in enumerate(columns):
        place, turned = (number + 0.5, len(rows) + 0.25), {"rotation": 90, "rotation_mode": "anchor"}
        _write(axes, place, shorten(name, CELL_LETTERS), INK, ha="right", **turned)
    axes.set_ylabel("true class", color=MUTED, fontsize=13, labelpad=room)
    axes.set_xlabel("found as", color=MUTED, fontsize=13, labelpad=room)
    return _finish(figure, description, key)


def _start(width: float, height: float, edges: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """A figure in units of the page, its one pair of axes so far from the left, top, right and bottom."""
    from matplotlib.figure import Figure

    left, top, right, bottom = edges
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes(box, facecolor="none")
    axes.tick_params(colors=MUTED, labelsize=12, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def _write(axes: Axes, place: tuple[float, float], text: str, colour: str, **manner: Any) -> None:
    """Text as it is: a dollar sign in a name starts no formula."""
    manner = {"ha": "left", "va": "center_baseline" if "rotation" not in manner else "center", "fontsize": 13} | manner
    axes.text(*place, text, color=colour, parse_math=False, clip_on=False, **manner)


def _finish(figure: Figure, description: str, key: str) -> str:
    """The figure as an `svg` element: no date, no address, no identifier that another figure has."""
    import matplotlib as mpl

    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font of this machine lacks are drawn by the reader's
        figure.savefig(file, format="svg", metadata=nothing)
    return _embed(file.getvalue(), description, key)


def _embed(document: str, description: str, key: str) -> str:
    body = document[document.index("<svg") :]
    body = re.sub(r"<(metadata|style).*?</\1>", "", body, flags=re.DOTALL)  # their styles would reach the whole page
    box = re.search(r'viewBox="([^"]*)"', body)
    assert box is not None
    width = box[1].split()[2]
    body = body[body.index(">") + 1 :]
    body = re.sub("<[^>]*>", lambda tag: _adapt(tag[0], key), body)  # and not the text between: a name may look alike
    opening = f'<svg class="plot" role="img" aria-label="{escape(description)}" viewBox="{box[1]}"'
    return f'{opening} style="--size:{round(float(width))}px">{body.strip()}'


def _adapt(tag: str, key: str) -> str:
    """One tag with identifiers of its own, and the colours and letters of the page."""
    tag = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", tag)
    tag = re.sub("font-family:[^;]*;", "", tag)
    return re.sub("|".join(VARIABLES), lambda colour: f"var(--{VARIABLES[colour[0]]})", tag)
