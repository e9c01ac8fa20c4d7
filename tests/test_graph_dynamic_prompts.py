"""Dynamic prompts: what the real editor made of each text, with its random numbers held still."""

from __future__ import annotations

import pytest

from llmseg.errors import InputError
from llmseg.graph.drawing.dynamic_prompts import fill_alternatives, pick_at_random


# Made by the editor's own page (1.35.9 and 1.58.1 agree); `share` stands for every random number.
@pytest.mark.parametrize(
    ("text", "share", "wanted"),
    [
        ("a {red|green|blue} cat and {one|two}", 0.0, "a red cat and one"),
        ("a {red|green|blue} cat and {one|two}", 0.999, "a blue cat and two"),
        ("a {big {red|green}|small|} cat", 0.0, "a big red cat"),
        ("a {big {red|green}|small|} cat", 0.999, "a  cat"),
        ("a {red} cat {} end", 0.0, "a red cat  end"),
        ("a {red|green cat", 0.0, "a red"),
        (r"a {r\|ed\}|green} cat", 0.0, "a r|ed} cat"),
        ("a } b | c", 0.0, "a } b | c"),
        ("a {red/*|no*/|green} cat", 0.999, "a green cat"),
        ("see http://x.org/y", 0.0, "see http:"),
        (r"\{plain\|\}", 0.0, "{plain|}"),
        (r"a\b\\{x|y}", 0.0, r"a\b\\x"),
    ],
)
def test_texts_are_filled_as_in_the_editor(text: str, share: float, wanted: str) -> None:
    assert fill_alternatives(text, lambda count: int(share * count)) == wanted


def test_every_alternative_can_be_taken() -> None:
    assert {fill_alternatives("{a|b|c}", pick_at_random) for _ in range(200)} == {"a", "b", "c"}


def test_a_last_backslash_stays() -> None:
    assert fill_alternatives("a\\", pick_at_random) == "a\\"
    assert fill_alternatives("{a\\", pick_at_random) == "a\\"


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InputError, match="nested more than 50 levels"):
        fill_alternatives("{" * 100, pick_at_random)
