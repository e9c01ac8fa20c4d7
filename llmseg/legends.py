"""Legends: which colour is which name, beside a picture or below it, readable at any size.

Not here: what is listed (`rendering`), which letters (`fonts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .fonts import find_font, plain_text
from .palette import INK, PAPER, Colour

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LegendEntry", "attach_legend"]

FEWEST_LINES = 17  # however small the picture is
MOST_ENTRIES = 512  # however large it is
FONT_SIZE, LINE, MARGIN = 13, 20, 8  # of a picture whose long side has at most
LONG_SIDE = 512  # pixels; larger ones are looked at from afar, so that everything grows with them
WIDE = 1.6  # a picture wider than this, times its height, has its legend below
LETTERS_IN_A_LINE = 26  # times the font size: a longer name loses its middle


class LegendEntry(NamedTuple):
    """One line of a legend.

    Args:
        name: may be long, and in any script.
        colour: of the swatch.
        note: said behind the name and never cut.
        number: what names it where no font of this machine can write its name.
    """

    name: str
    colour: Colour
    note: str = ""
    number: int | None = None


class _Layout(NamedTuple):
    """Sizes in pixels, and how many lines stand in how many columns."""

    size: int
    line: int
    margin: int
    column: int
    rows: int
    columns: int

    @property
    def extent(self) -> tuple[int, int]:
        return self.columns * self.column + self.margin, self.rows * self.line + 2 * self.margin


def attach_legend(picture: Image.Image, entries: Sequence[LegendEntry]) -> Image.Image:
    """A picture at the top left, its legend right of it, or below where the picture is wide."""
    from PIL import Image

    texts, layout, below = _arrange(entries, picture.size)
    width, height = layout.extent
    if below:
        size = (max(picture.width, width), picture.height + height)
    else:
        size = (picture.width + width, max(picture.height, height))
    canvas = Image.new("RGB", size, PAPER)
    canvas.paste(picture, (0, 0))
    _draw(canvas, texts, layout, (0, picture.height) if below else (picture.width, 0))
    return canvas


def _arrange(
    entries: Sequence[LegendEntry], picture: tuple[int, int]
) -> tuple[list[tuple[str, Colour]], _Layout, bool]:
    """Texts and colours of the lines shown, how they stand, and whether they stand below the picture."""
    width, height = picture
    scale = max(1.0, max(picture) / LONG_SIDE)
    size, line, margin = (round(each * scale) for each in (FONT_SIZE, LINE, MARGIN))
    texts = [_write(entry, size) for entry in entries[:MOST_ENTRIES]]
    column = _column(texts, size, margin)
    fitting = (height - 2 * margin) // line
    across = (width - margin) // column
    below = width > WIDE * height and across > 1
    # Beside the picture the legend may be as wide as that is, below it as high.
    rows = max(fitting, -(-FEWEST_LINES // across)) if below else max(fitting, FEWEST_LINES)
    room = rows * max(1, across)
    if len(entries) > min(room, MOST_ENTRIES):
        shown = min(room, MOST_ENTRIES) - 1
        texts = [*texts[:shown], (f"and {len(entries) - shown} more", PAPER)]
    columns = max(1, min(across, len(texts)) if below else -(-len(texts) // rows))
    return texts, _Layout(size, line, margin, column, -(-len(texts) // columns), columns), below


def _column(texts: Sequence[tuple[str, Colour]], size: int, margin: int) -> int:
    """Width of a column: its longest text, the swatch, and the margins around that."""
    widths = [find_font(text, size)[0].getlength(text) for text, _ in texts]
    return round(max(widths, default=0)) + size + 2 * margin


def _write(entry: LegendEntry, size: int) -> tuple[str, Colour]:
    """The text of a line, no longer than a line may be, and the colour before it."""
    name = plain_text(entry.name)
    note = f"  {entry.note}" if entry.note else ""
    font, complete = find_font(name, size)
    if not complete and entry.number is not None:
        name = f"#{entry.number} {name}"
    longest = LETTERS_IN_A_LINE * size - font.getlength(note)
    if font.getlength(name) > longest:
        few, many = 1, len(name)
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (middle, many) if font.getlength(_shorten(name, middle)) <= longest else (few, middle)
        name = _shorten(name, few)
    return name + note, entry.colour


def _shorten(text: str, count: int) -> str:
    """Keep `count` letters, from both ends: what tells long names apart may stand at either."""
    head = -(-count // 2)
    return f"{text[:head].rstrip()}…{text[len(text) - count + head :].lstrip()}"


def _draw(canvas: Image.Image, texts: Sequence[tuple[str, Colour]], layout: _Layout, corner: tuple[int, int]) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(canvas)
    size, margin = layout.size, layout.margin
    for number, (text, colour) in enumerate(texts):
        column, row = divmod(number, layout.rows)
        left = corner[0] + column * layout.column + margin
        top = corner[1] + row * layout.line + margin
        draw.rectangle((left, top, left + size - 1, top + size - 1), fill=colour, outline=INK)
        font, _ = find_font(text, size)
        draw.text((left + margin + size, top + size / 2), text, fill=INK, font=font, anchor="lm")
