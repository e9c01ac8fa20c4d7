"""Legends: every colour on its line, names that can be read, and a size that fits the picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from llmseg import legends
from llmseg.legends import LegendEntry, attach_legend
from llmseg.palette import INK, PAPER, Colour, make_palette

PICTURE_COLOUR: Colour = (1, 2, 3)


def attach(entries: list[LegendEntry], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(attach_legend(Image.new("RGB", size, PICTURE_COLOUR), entries))


def entries(count: int, name: str = "class") -> list[LegendEntry]:
    return [LegendEntry(f"{name} {n}", colour, "1.0%", n) for n, colour in enumerate(make_palette(count))]


def corners(canvas: NDArray[np.uint8], colours: list[Colour]) -> list[tuple[int, int]]:
    """Left and top of the swatch of each colour that is shown."""
    found = [np.argwhere((canvas == colour).all(2)) for colour in colours]
    return [(int(places[:, 1].min()), int(places[:, 0].min())) for places in found if len(places)]


def test_each_colour_stands_on_its_line_and_the_picture_is_left_alone() -> None:
    colours: list[Colour] = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    names = ["dog", "a longer name", "\u6f22 \U0001f98a"]
    canvas = attach([LegendEntry(name, colour) for name, colour in zip(names, colours, strict=True)], (40, 100))
    assert (canvas[:100, :40] == PICTURE_COLOUR).all()
    assert corners(canvas, colours) == [(49, 9), (49, 29), (49, 49)]
    assert tuple(canvas[0, -1]) == PAPER
    assert (canvas[:, 65:] == INK).all(2).any(), "text is drawn"
    alone = attach([LegendEntry("dog", colours[0])], (40, 100))
    assert canvas.shape[1] > alone.shape[1], "as wide as its longest text"
    assert canvas.shape[0] == alone.shape[0] == 100


def test_legend_of_nothing_is_paper() -> None:
    canvas = attach([], (20, 33))
    assert canvas.shape[0] == 33
    assert (canvas[:, 20:] == PAPER).all()


@pytest.mark.parametrize("size", [(32, 32), (1, 1), (300, 200), (900, 300), (300, 900)])
@pytest.mark.parametrize("count", [17, 40])
def test_legends_fit_their_picture(size: tuple[int, int], count: int) -> None:
    given = entries(count)
    canvas = attach(given, size)
    shown = corners(canvas, [entry.colour for entry in given])
    assert len(set(shown)) == len(shown)
    assert len(shown) >= min(count, 16), "16 lines have room beside every picture"
    if len(shown) < count:
        wider, higher = canvas.shape[1] - size[0], canvas.shape[0] - size[1]
        assert wider + 170 > size[0] or higher + 40 > size[1], "cut only where the legend would outgrow the picture"
    columns = len({left for left, _ in shown})
    assert (canvas.shape[1] - size[0] <= size[0]) or columns == 1
    below = any(left < size[0] for left, _ in shown)
    assert below == (size == (900, 300))


def test_many_names_are_counted() -> None:
    given = entries(40)
    canvas = attach(given, (32, 32))
    assert len(corners(canvas, [entry.colour for entry in given])) == 16
    full = attach([*given[:16], LegendEntry("and 24 more", PAPER)], (32, 32))
    assert np.array_equal(canvas, full)


@pytest.mark.parametrize("side", [1024, 4096])
def test_letters_grow_with_the_picture(side: int) -> None:
    canvas = attach(entries(3), (side, side // 8 * 7))
    small = attach(entries(3), (512, 448))
    assert canvas.shape[1] / side == pytest.approx(small.shape[1] / 512, abs=0.02)


def test_long_names_lose_their_middle_and_keep_their_note() -> None:
    text, _ = legends._write(LegendEntry("a chair with " + "very " * 60 + "long legs", (0, 0, 0), "12.5%"), 13)
    assert text.startswith("a chair")
    assert text.endswith("long legs  12.5%")
    assert "…" in text
    narrow = attach([LegendEntry("i" * 1000, (0, 0, 0), "12.5%")], (64, 64))
    assert narrow.shape[1] < 64 + 13 * legends.LETTERS_IN_A_LINE + 60
    kept, _ = legends._write(LegendEntry("building: cottage with a roof", (0, 0, 0), "12.5%"), 13)
    assert kept == "building: cottage with a roof  12.5%"


def test_names_without_letters_here_are_numbered() -> None:
    unwritable = "\U00012000"  # cuneiform, which is in none of the families
    assert legends._write(LegendEntry(f"a{unwritable}", (0, 0, 0), "1%", 7), 13)[0].startswith("#7 a")
    assert legends._write(LegendEntry("caf\u00e9", (0, 0, 0), "1%", 7), 13)[0] == "caf\u00e9  1%"


def test_names_of_several_lines_are_one() -> None:
    assert legends._write(LegendEntry("a\nb\x00\ud800c", (0, 0, 0)), 13)[0] == "a b c"
