"""Text typed by a person: every rule, and every way to get it wrong."""

from __future__ import annotations

import pytest

from llmseg.errors import InputError
from llmseg.names import CLASS_LIMIT, NAME_LIMIT, check_classes, clean_phrase, parse_names
from llmseg.types import ClassName

EXPECTED = "expected names separated by commas, such as 'dog, car, tree'."


@pytest.mark.parametrize(
    "text",
    [
        "dog, car",
        "dog;car",
        "dog\ncar",
        "dog\r\n\r\ncar\n",
        ",dog,,car,",
        "dog\u3001car",
        "dog\uff0ccar",
        "dog\u2028car",
    ],
)
def test_separators(text: str) -> None:
    assert parse_names(text).names == ("dog", "car")


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("  traffic_light ", "traffic light"),
        ("a\t\n b", "a b"),
        ("\uff24\uff4f\uff47", "Dog"),  # full width
        ("\ufb01sh", "fish"),  # a ligature
        ("cafe\u0301", "caf\u00e9"),
        ("dog\u00a0house", "dog house"),
        ("___", ""),
        ("dog \ud800", "dog"),  # half a character, as broken JSON has it
        ("\U0001f98a fox", "\U0001f98a fox"),
    ],
)
def test_phrases_are_normalised(typed: str, cleaned: str) -> None:
    assert clean_phrase(typed) == cleaned
    assert clean_phrase(cleaned) == cleaned


def test_comment_lines_are_not_read() -> None:
    assert parse_names("# animals, all\ndog\n   # more\ncat # 9").names == ("dog", "cat # 9")


def test_aliases() -> None:
    (entry,) = parse_names("sofa | couch|  settee |").classes
    assert entry == ClassName("sofa", ("couch", "settee"))


@pytest.mark.parametrize(
    ("text", "name", "sense"),
    [
        ("mouse (computer device)", "mouse", "computer device"),
        ("mouse(animal)", "mouse", "animal"),
        ("mouse ( animal ) | rat", "mouse", "animal"),
        ("dog ()", "dog ()", ""),
        ("dog (", "dog (", ""),
        ("(dog)", "(dog)", ""),
        ("a (b) c", "a (b) c", ""),
    ],
)
def test_sense(text: str, name: str, sense: str) -> None:
    (entry,) = parse_names(text).classes
    assert (entry.name, entry.sense) == (name, sense)


@pytest.mark.parametrize(
    ("name", "role", "policy"),
    [
        ("background", "background", "keep"),
        ("Background", "background", "keep"),
        ("other", "residual", "keep"),
        ("everything else", "residual", "keep"),
        ("wall-other", "residual", "keep"),
        ("food stuff", "residual", "keep"),
        ("mother", "thing", "expand"),
        ("stuffed bear", "thing", "expand"),
    ],
)
def test_role_and_policy(name: str, role: str, policy: str) -> None:
    (entry,) = parse_names(name).classes
    assert (entry.role, entry.policy) == (role, policy)


@pytest.mark.parametrize("text", ["", "   ", ",;\n", "|", "# dog", "_", "_ | __", "\x1f", "\u1680", "\ud800"])
def test_no_name_at_all(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_names(text)
    assert str(caught.value) == f"names: no class name in {text!r}; {EXPECTED}"


def test_long_text_without_a_name_is_cut_in_the_message() -> None:
    with pytest.raises(InputError) as caught:
        parse_names("#" * 1000)
    assert str(caught.value) == f"names: no class name in {'#' * 37 + '...'!r}; {EXPECTED}"


def test_wording_that_is_empty_is_no_alias() -> None:
    assert parse_names("_ | cat | _").classes == (ClassName("cat"),)


@pytest.mark.parametrize(
    ("text", "twice"), [("dog, Dog", "Dog"), ("dog | dog", "dog"), ("a | b, c | B", "B"), ("\uff41, a", "a")]
)
def test_name_that_stands_twice(text: str, twice: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_names(text)
    assert str(caught.value) == (
        f"names: {twice!r} stands twice; expected every class and alias once. Remove one of them."
    )


@pytest.mark.parametrize("text", ["{}", "dog | {}"])
def test_name_of_a_whole_sentence(text: str) -> None:
    parse_names(text.format("x" * NAME_LIMIT))
    with pytest.raises(InputError) as caught:
        parse_names(text.format("x" * (NAME_LIMIT + 1)))
    shown = "x" * 20 + "..."
    assert str(caught.value) == f"names: a name of 101 characters, {shown!r}; expected at most 100."


def test_ten_thousand_classes_and_one_more() -> None:
    names = [f"c{number}" for number in range(CLASS_LIMIT + 1)]
    assert len(parse_names(",".join(names[:-1])).classes) == 10_000
    with pytest.raises(InputError) as caught:
        parse_names(",".join(names))
    assert str(caught.value) == "names: 10001 classes; expected at most 10000."


def test_checks_name_the_place_they_are_given() -> None:
    check_classes([ClassName("a"), ClassName("b", ("c",))], place="street.json")
    with pytest.raises(InputError, match=r"^street\.json: 'A' stands twice"):
        check_classes([ClassName("a"), ClassName("b", ("A",))], place="street.json")
