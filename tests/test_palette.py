"""Colours: the same every time, and different from each other."""

from __future__ import annotations

import pytest

from llmseg.palette import INK, PAPER, PICKED, UNKNOWN_COLOUR, make_palette


@pytest.mark.parametrize("count", [0, 1, len(PICKED), len(PICKED) + 1, 255])
def test_as_many_colours_as_asked_for(count: int) -> None:
    palette = make_palette(count)
    assert len(palette) == count
    assert palette == make_palette(300)[:count], "a class keeps its colour when others are added"
    assert all(len(colour) == 3 and all(0 <= part <= 255 for part in colour) for colour in palette)


def test_colours_of_a_label_file_differ() -> None:
    colours = [*make_palette(255), UNKNOWN_COLOUR, INK, PAPER]
    assert len(set(colours)) == len(colours)


def test_first_colours_are_far_apart() -> None:
    first = make_palette(len(PICKED))
    distances = [
        max(abs(a - b) for a, b in zip(one, other, strict=True))
        for index, one in enumerate(first)
        for other in first[:index]
    ]
    assert min(distances) > 30


def test_every_class_of_the_packaged_world_can_be_told_apart() -> None:
    colours = make_palette(44)
    gaps = [
        sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
        for index, one in enumerate(colours)
        for other in colours[:index]
    ]
    assert min(gaps) > 40
