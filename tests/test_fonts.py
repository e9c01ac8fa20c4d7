"""Which letters a legend can be written in."""

from __future__ import annotations

import pytest

from llmseg.fonts import FAMILIES, find_font, plain_text


@pytest.mark.parametrize("text", ["", "dog", "traffic light 12.5%", "Hund…"])
def test_latin_is_written_in_pillows_own_font(text: str) -> None:
    font, complete = find_font(text, 13)
    assert complete
    assert font.getname() == find_font("x", 13)[0].getname()  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["кошка", "αβγ", "\u6f22字", "كلب", "dog \U0001f98a"])
def test_another_font_is_used_only_if_it_has_more_of_the_letters(text: str) -> None:
    own, _ = find_font("x", 13)
    font, complete = find_font(text, 13)
    own_blank = bytes(own.getmask("\U0010ffff"))
    lacking = [letter for letter in text if bytes(own.getmask(letter)) == own_blank]
    assert lacking, "the own font is Latin only"
    if complete:
        assert font is not own
        assert all(bytes(font.getmask(letter)) != bytes(font.getmask("\U0010ffff")) for letter in text if letter != " ")


def test_what_no_font_has_is_told() -> None:
    assert find_font("\ue123", 13)[1] is False


def test_families_are_names_without_a_folder() -> None:
    assert len(set(FAMILIES)) == len(FAMILIES)
    assert not any("/" in family or "\\" in family for family in FAMILIES)


@pytest.mark.parametrize(
    ("text", "plain"), [(" a \n b\t", "a b"), ("a\x00b", "a b"), ("\ud800x", "x"), ("犬 \u200b dog", "犬 dog")]
)
def test_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain
