"""Numbers and names as a report writes them, and what keeps names of other people from being read as something else.

    HTML        `escape`: also inside attributes
    Markdown    `escape_markdown`: a name is one piece of text in one cell
    CSV         `guard_cell`: no name is a formula to a spreadsheet

Not here: where they stand (`page`, `tables`).
"""

from __future__ import annotations

import html
import math
import re

from ...fonts import plain_text
from ..measures import Interval

__all__ = [
    "GLYPHS", "escape", "escape_markdown", "guard_cell", "number_cell", "percent", "plural", "points",
    "shorten", "span",
]  # fmt: skip

NOTHING = "–"  # noqa: RUF001 - a dash, for a number that does not exist
MINUS = "\u2212"  # as wide as a plus
GLYPHS = {"helps": "▲", "hurts": "▼", "neutral": "●"}  # so that colour is never needed
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def escape(value: str) -> str:
    """Text for HTML, also inside a quoted attribute; control characters become spaces."""
    return html.escape(plain_text(value), quote=True)


def escape_markdown(value: str) -> str:
    r"""Text for one cell of a Markdown table.

    >>> escape_markdown("a|b *c*")
    'a\\|b \\*c\\*'
    """
    return re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", html.escape(plain_text(value), quote=False))


def guard_cell(value: str) -> str:
    """Text for a CSV: a leading apostrophe keeps a spreadsheet from reading a name as a formula.

    >>> guard_cell("=1+1"), guard_cell("dog")
    ("'=1+1", 'dog')
    """
    return f"'{value}" if value.startswith(FORMULA) else value


def number_cell(value: float) -> str:
    """A number for a CSV: six decimals, empty where there is none."""
    return "" if math.isnan(value) else f"{value:.6f}"


def percent(value: float, decimals: int = 1) -> str:
    """A share in per cent, without the sign."""
    return NOTHING if math.isnan(value) else f"{100 * value:.{decimals}f}"


def points(value: float) -> str:
    """A difference in percentage points, always with its sign."""
    if math.isnan(value):
        return NOTHING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def span(interval: Interval) -> str:
    """The two ends of an interval in percentage points."""
    return f"{points(interval.low)} to {points(interval.high)}"


def plural(count: int, noun: str) -> str:
    """A number and what it counts.

    >>> plural(1, "class"), plural(2, "class")
    ('1 class', '2 classes')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")


def shorten(value: str, longest: int) -> str:
    """At most so many letters, from both ends: what tells long names apart may stand at either."""
    value = plain_text(value)
    if len(value) <= longest:
        return value
    head = (longest - 1) // 2 + (longest - 1) % 2
    return f"{value[:head].rstrip()}…{value[len(value) - (longest - 1 - head) :].lstrip()}"
