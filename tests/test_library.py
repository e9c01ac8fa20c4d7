"""The shipped libraries, and the reader of every expansion in JSON: each wrong value is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmseg.errors import InputError, UnknownNameError
from llmseg.folding import fold
from llmseg.library import (
    choose_library,
    expansion_from_json,
    library_classes,
    library_index,
    library_names,
    load_library,
)
from llmseg.names import clean_phrase, parse_names
from llmseg.options import LIBRARY


@pytest.mark.parametrize("name", library_names())
def test_shipped_library_is_sound(name: str) -> None:
    expansion = load_library(name)
    assert expansion.provenance["source"]
    assert library_classes(name) == expansion.class_list
    phrases = [phrase.text for entry in expansion.classes for phrase in entry.subclasses]
    assert phrases
    for text in [*expansion.class_list.names, *phrases]:
        assert clean_phrase(text) == text
    for entry in expansion.classes:
        assert len(set(entry.kept)) == len(entry.kept)
        if entry.class_name.policy == "keep":
            assert entry.kept == ()


def test_libraries_are_the_choices_that_are_files() -> None:
    assert set(LIBRARY.names) - set(library_names()) == {"auto", "off"}
    assert "emoji" in library_names()


def test_library_is_read_once() -> None:
    assert load_library("emoji") is load_library("emoji")


@pytest.mark.parametrize("read", [load_library, library_index])
@pytest.mark.parametrize("name", ["emojis", "auto", "../emoji", ""])
def test_unknown_library(name: str, read: Any) -> None:
    hint = " Did you mean 'emoji'?" if name in ("emojis", "../emoji") else ""
    listed = "emoji, cityscapes19, voc21, context60, coco81, ade150, cocostuff171, everyday"
    with pytest.raises(UnknownNameError) as caught:
        read(name)
    assert str(caught.value) == f"library: unknown name {name!r}; expected one of {listed}.{hint}"


@pytest.mark.parametrize(
    ("library", "typed", "name"),
    [
        ("voc21", "PottedPlant", "potted plant"),
        ("voc21", "potted-plants", "potted plant"),
        ("voc21", "couch", "sofa"),
        ("voc21", "airplane", "aeroplane"),
        ("cocostuff171", "wall-brick", "brick wall"),
        ("cocostuff171", "waterdrops", "water drops"),
        ("ade150", "bed ", "bed"),  # a well-known list of these names has the space
        ("ade150", "glass", "drinking glass"),
        ("ade150", "television receiver", "television"),
        ("everyday", "Grey-Hounds", None),
    ],
)
def test_index_finds_names_aliases_and_ids(library: str, typed: str, name: str | None) -> None:
    position = library_index(library).get(fold(typed))
    assert (None if position is None else library_classes(library).names[position]) == name


def test_libraries_are_tried_from_the_smallest_to_the_largest() -> None:
    first, *vocabularies, last = library_names()
    assert (first, last) == ("emoji", "everyday")
    sizes = [len(load_library(name).classes) for name in vocabularies]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("names", "library"),
    [
        ("DOG, car", "emoji"),
        ("dogs, grass, background", "emoji"),
        ("car, rider, terrain", "cityscapes19"),
        ("dog, sofa, potted plant", "voc21"),
        ("dog, sofa, zebra", "coco81"),
        ("zebra-crossing", "everyday"),
        ("dog, wall-brick", "cocostuff171"),
        ("screen door, kitchen island", "ade150"),
        ("dog, rubbish | sofa", "voc21"),
        ("zeppelin", "everyday"),
        ("dog, zeppelin", "everyday"),
    ],
)
def test_chosen_library(names: str, library: str) -> None:
    assert choose_library(parse_names(names)) == library


def test_own_library_goes_first_where_it_is_one() -> None:
    zebra = parse_names("zebra")
    assert choose_library(zebra, "emoji") == "emoji"
    assert choose_library(zebra, "a library of the future") == choose_library(zebra, "") == "coco81"


def test_full_entry_by_hand() -> None:
    value = {
        "schema": 1,
        "classes": [
            {
                "name": " Dog_house ",
                "aliases": ["kennel"],
                "sense": "hut",
                "role": "stuff",
                "policy": "keep",
                "subclasses": [
                    "wooden\nhut",
                    {"text": "tent", "status": "dropped", "reason": "other_class", "source": "llm"},
                ],
            },
            {"name": "sky"},
        ],
        "provenance": {"source": "by hand"},
    }
    expansion = expansion_from_json(value, place="p")
    first, second = expansion.classes
    assert (first.class_name.name, first.class_name.aliases, first.class_name.sense) == (
        "Dog house",
        ("kennel",),
        "hut",
    )
    assert (first.class_name.role, first.class_name.policy) == ("stuff", "keep")
    assert [(item.text, item.status, item.reason, item.source) for item in first.subclasses] == [
        ("wooden hut", "ok", "", "file"),
        ("tent", "dropped", "other_class", "llm"),
    ]
    assert (second.class_name.role, second.class_name.policy, second.subclasses) == ("thing", "expand", ())
    assert expansion.provenance == {"source": "by hand"}


ONE = {"name": "dog"}
FORM = "not an expansion; expected an object with a list 'classes'."
WRONG: list[tuple[Any, str]] = [
    (None, f"p: {FORM}"),
    ([], f"p: {FORM}"),
    ({}, f"p: {FORM}"),
    ({"classes": {}}, f"p: {FORM}"),
    ({"classes": [], "schema": 2}, "p: schema 2; expected 1."),
    ({"classes": [], "schema": [1]}, "p: schema [1]; expected 1."),
    ({"classes": [], "provenance": []}, "p: provenance []; expected an object."),
    ({"classes": [], "provenance": {"a": 1}}, "p: provenance 'a' 1; expected text."),
    ({"classes": [ONE, 7]}, "p, class 2: 7; expected an object with a 'name'."),
    ({"classes": [{}]}, "p, class 1: name None; expected text."),
    ({"classes": [{"name": " "}]}, "p, class 1: name ' '; expected text."),
    ({"classes": [{"name": "_"}]}, "p, class 1: name ''; expected text."),
    ({"classes": [{"name": ["dog"]}]}, "p, class 1: name ['dog']; expected text."),
    ({"classes": [{"name": "\ud800"}]}, "p, class 1: name ''; expected text."),
    ({"classes": [{**ONE, "aliases": "hound"}]}, "p, class 1: aliases 'hound'; expected a list."),
    ({"classes": [{**ONE, "aliases": [1]}]}, "p, class 1: aliases 1; expected text."),
    ({"classes": [{**ONE, "sense": 1}]}, "p, class 1: sense 1; expected text."),
    (
        {"classes": [{**ONE, "role": "boss"}]},
        "p, class 1: role 'boss'; expected one of thing, stuff, background, residual.",
    ),
    ({"classes": [{**ONE, "policy": {}}]}, "p, class 1: policy {}; expected one of expand, keep, off."),
    ({"classes": [{**ONE, "subclasses": None}]}, "p, class 1: subclasses None; expected a list."),
    ({"classes": [{**ONE, "subclasses": [""]}]}, "p, class 1: subclass ''; expected text."),
    (
        {"classes": [{**ONE, "subclasses": [1.5]}]},
        "p, class 1: subclass 1.5; expected text or an object with a 'text'.",
    ),
    ({"classes": [{**ONE, "subclasses": [{}]}]}, "p, class 1: text None; expected text."),
    (
        {"classes": [{**ONE, "subclasses": [{"text": "a", "status": "good"}]}]},
        "p, class 1: status 'good'; expected one of ok, user, dropped.",
    ),
    ({"classes": [{**ONE, "subclasses": [{"text": "a", "reason": 1}]}]}, "p, class 1: reason 1; expected text."),
    ({"classes": [{**ONE, "subclasses": [{"text": "a", "source": []}]}]}, "p, class 1: source []; expected text."),
    (
        {"classes": [ONE, {"name": "DOG"}]},
        "p: 'DOG' stands twice; expected every class and alias once. Remove one of them.",
    ),
    ({"classes": [{"name": f"c{n}"} for n in range(10_001)]}, "p: 10001 classes; expected at most 10000."),
]


@pytest.mark.parametrize(("value", "text"), WRONG, ids=[text[:60] for _, text in WRONG])
def test_wrong_value_is_named(value: object, text: str) -> None:
    with pytest.raises(InputError) as caught:
        expansion_from_json(value, place="p")
    assert str(caught.value) == text


@pytest.mark.parametrize("depth", [50, 500, 900])
def test_deep_values_give_a_short_message(depth: int) -> None:
    value = {"classes": [{"name": json.loads("[" * depth + "]" * depth)}]}
    with pytest.raises(InputError) as caught:
        expansion_from_json(value, place="p")
    assert str(caught.value) == "p, class 1: name [[[[[[[...]]]]]]]; expected text."


@pytest.mark.parametrize("value", ["x" * 10**6, list(range(10**6)), {str(n): n for n in range(10**5)}])
def test_huge_values_give_a_short_message(value: object) -> None:
    with pytest.raises(InputError) as caught:
        expansion_from_json({"classes": [{"name": "dog", "policy": value}]}, place="p")
    assert len(str(caught.value)) < 200
