"""Pieces of HTML: tables, figures, pictures. What comes from outside is escaped here and nowhere else.

Not here: what they say (`overview`, `details`), the page around them (`page`).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import NamedTuple

from .wording import GLYPHS, escape, percent, points

__all__ = ["Cell", "figure", "named", "picture", "show_verdict", "table"]


class Cell(NamedTuple):
    """One cell of a table.

    Args:
        html: what stands in it, escaped already.
        value: what it is sorted by.
        words: whether it holds words, which stand left and may wrap.
    """

    html: str
    value: str | float
    words: bool = False

    @classmethod
    def percent(cls, share: float, after: str = "") -> Cell:
        """A share, and HTML behind it."""
        return cls(percent(share) + after, share)

    @classmethod
    def points(cls, difference: float) -> Cell:
        """A difference."""
        return cls(points(difference), difference)


def named(name: str) -> str:
    """A name inside running text; its direction of writing does not reach beyond it."""
    return f"<bdi>{escape(name)}</bdi>"


def show_verdict(verdict: str, text: str = "") -> str:
    """A verdict by its sign, its colour and its word; with a text, the word is for those who hear the page."""
    word = f'{escape(text)}<span class="hidden"> ({verdict})</span>' if text else verdict
    return f'<span class="verdict {verdict}"><span aria-hidden="true">{GLYPHS[verdict]}</span> {word}</span>'


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    caption: str,
    *,
    tall: bool = False,
    strong: int | None = None,
) -> str:
    """A table that scrolls by itself where it is wider than the screen; the first cell of a row is its head.

    Args:
        header: of the columns, as plain text.
        rows: cells, as many as there are in the header.
        caption: plain text.
        tall: whether it scrolls from top to bottom too.
        strong: the row that stands out.
    """
    words = [bool(rows) and rows[0][place].words for place in range(len(header))]
    head = "".join(
        f'<th scope="col"{_class("text" if text else "")}>{escape(name)}</th>'
        for name, text in zip(header, words, strict=True)
    )
    body = "".join(_row(cells, number == strong) for number, cells in enumerate(rows))
    # Above and not inside the table, which may be wider than the screen.
    return (
        f'<p class="caption">{escape(caption)}</p>'
        f'<div class="scroll{" tall" if tall else ""}" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(cells: Sequence[Cell], strong: bool) -> str:
    first, *others = cells
    head = f'<th scope="row" data-value="{_sort_key(first)}">{first.html}</th>'
    rest = "".join(
        f'<td{_class("text" if cell.words else "")} data-value="{_sort_key(cell)}">{cell.html}</td>' for cell in others
    )
    return f"<tr{_class('chosen' if strong else '')}>{head}{rest}</tr>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _sort_key(cell: Cell) -> str:
    if isinstance(cell.value, str):
        return escape(cell.value)
    return "" if math.isnan(cell.value) else f"{cell.value:.6g}"


def figure(svg: str, caption: str) -> str:
    """A figure and the line below it, which is plain text."""
    return f'<figure><div class="scroll">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'


def picture(jpeg: bytes, size: tuple[int, int], alternative: str, caption: str) -> str:
    """A picture that is part of the page. size: (width, height)"""
    data = base64.b64encode(jpeg).decode()
    sides = 'width="{}" height="{}"'.format(*size)
    image = f'<img src="data:image/jpeg;base64,{data}" alt="{escape(alternative)}" {sides}>'
    return f"<figure>{image}<figcaption>{named(caption)}</figcaption></figure>"
