"""Any name of an object becomes one that every system can have, below its folder, and no two become one."""

from __future__ import annotations

import random
import re
import unicodedata
from pathlib import Path, PureWindowsPath

import pytest

from llmseg.destinations import clean_name, distinct_places

LETTERS = "ab.A:/\\ \0*?é\u0301CON\x1b\ud800"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("trip/a.png", "trip/a.png"),
        ("ünïcode/写真.png", "ünïcode/写真.png"),
        ("../../etc/a.png", "__/__/etc/a.png"),
        ("/etc/a.png", "_/etc/a.png"),
        ("a//b.png", "a/_/b.png"),
        ("..\\..\\a.png", ".._.._a.png"),
        ("C:/x.png", "C_/x.png"),
        ("CON.png", "_CON.png"),
        ("aux/lpt1.tar.png", "_aux/_lpt1.tar.png"),
        ("Console.png", "Console.png"),
        ("end. .png", "end__.png"),
        ("a\0b\x1b[2J.png", "a_b_[2J.png"),
        (".png", ".png"),
        ("..", "_._"),
    ],
)
def test_names_of_objects(key: str, name: str) -> None:
    assert clean_name(key).as_posix() == name


def test_long_names_are_cut_and_stay_apart() -> None:
    first, second = (clean_name("é" * 300 + f"{number}.png") for number in (1, 2))
    assert first != second
    assert first.suffix == ".png"
    assert len(first.name.encode()) < 130


def possible(part: str) -> bool:
    """Whether Windows lets a file have this name; a slow obvious twin."""
    stem = part.split(".")[0].strip().upper()
    devices = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
    return (
        part not in ("", ".", "..")
        and not any(letter in '<>:"/\\|?*' or ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in part)
        and part[-1] not in ". "
        and stem not in devices
        and len(part.encode()) < 200
    )


def test_random_names_are_possible_and_distinct() -> None:
    source = random.Random(0)
    keys = {"".join(source.choices(LETTERS, k=source.randint(1, 9))) + ".png" for _ in range(3000)}
    places = distinct_places([clean_name(key) for key in sorted(keys, key=repr)])
    for place in places:
        assert all(map(possible, place.parts)), place
        assert not place.is_absolute()
        assert not PureWindowsPath(place).drive
    folded = {unicodedata.normalize("NFC", place.as_posix()).casefold() for place in places}
    assert len(folded) == len(keys)


def test_a_name_that_another_became_is_given_once() -> None:
    seen = [Path("a.png"), Path("a.png"), Path("a.png_1"), Path("A.PNG_1.jpg"), Path("manifest.jsonl"), Path("_manifest.jsonl")]  # fmt: skip
    places = [place.as_posix() for place in distinct_places(seen)]
    assert len({place.casefold() for place in places}) == len(seen)
    assert places[:2] == ["a.png_1", "a.png_2"]
    assert not re.match(r"(?i)manifest\.jsonl$", places[4])


def test_order_decides_alone() -> None:
    seen = [Path(name) for name in ("x/a.png", "x/a.jpg", "b.png", "B.png", "b.png")]
    assert distinct_places(seen) == distinct_places(list(seen))
    assert [place.as_posix() for place in distinct_places(seen)] == [
        "x/a.png", "x/a.jpg", "b.png_1", "B.png_2", "b.png_3",
    ]  # fmt: skip
