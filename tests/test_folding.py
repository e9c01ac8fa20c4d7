"""Wordings that are the same name fold to one key, and names that differ do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import llmseg
from llmseg.folding import fold, fold_words, plain_ascii, singular

ROOT = Path(llmseg.__file__).parents[1]
SAME = [
    ("hot dog", "Hot-Dogs", "hotdog", "hot_dog"),
    ("potted plant", "pottedplant", "Potted Plants"),
    ("bed", "bed ", " BEDS"),
    ("grey tire", "gray tyres"),
    ("aeroplane", "airplane"),
    ("donut", "doughnuts"),
    ("children's book", "child book"),
    ("child\u2019s book", "child's books"),
    ("cr\u00e8me br\u00fbl\u00e9e", "creme brulee"),
    ("person", "people"),
    ("knife", "knives"),
    ("cherry", "cherries"),
    ("pie", "pies"),
    ("bus", "buses"),
    ("glass door", "glass doors"),
    ("snowman", "snowmen"),
    ("mustache", "moustaches"),
    ("axe", "axes"),
    ("ski", "skis"),
    ("necktie", "neckties"),
    ("pickaxe", "pickaxes"),
    ("bookshelf", "bookshelves"),
    ("wharf", "wharves"),
    ("sushi", "sushis"),
    ("tutu", "tutus"),
    ("rhinoceros", "rhinoceroses"),
    ("thermos flask", "thermos flasks"),
    ("octopus", "octopuses"),
    ("hibiscus", "hibiscuses"),
    ("\u72ac", " \u72ac "),
]
DIFFERENT = [
    ("glass", "glasses"),
    ("short", "shorts"),
    ("cloth", "clothes"),
    ("jean", "jeans"),
    ("bass", "bas"),
    ("lens", "len"),
    ("specimen", "speciman"),
    ("brick wall", "wall brick"),
]


@pytest.mark.parametrize("wordings", SAME, ids=lambda wordings: wordings[0])
def test_same_name(wordings: tuple[str, ...]) -> None:
    assert len({fold(wording) for wording in wordings}) == 1
    assert fold(wordings[0])


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_names(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_words_by_hand() -> None:
    assert fold_words("Person in the Children's T-shirts") == ("person", "in", "the", "child", "t", "shirt")
    assert fold_words(" -_ ") == ()
    assert fold("") == fold("'s") == ""


@pytest.mark.parametrize("word", ["glass", "bus", "iris", "gas", "sunglasses", "dog", "ski", "tomato", "piano", "roof"])
def test_a_singular_stays(word: str) -> None:
    assert singular(word) == word


def test_nothing_but_the_standard_library_is_needed() -> None:
    # inflect takes seconds to import; folding is on the way of every cold start.
    code = "import sys, llmseg.folding as f; f.fold('dogs'); print(sorted({'torch', 'inflect', 'regex'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_other_scripts_stay_as_they_are() -> None:
    assert plain_ascii("\u00e9t\u00e9") == "ete"
    assert plain_ascii("\u4eba") == "\u4eba"
    assert plain_ascii("\u00e9 \u4eba") == "\u00e9 \u4eba"
