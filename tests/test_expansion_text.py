"""Subclasses in every form that people and language models write them in, and the table that is read back."""

from __future__ import annotations

import json
import random

import pytest

from llmseg.cleaning import clean_expansion
from llmseg.errors import InputError, UnknownNameError
from llmseg.expansion import expand_from_text, expand_names, expansion_to_json
from llmseg.expansion_text import format_expansion, parse_expansion_json, read_phrases
from llmseg.library import library_names, load_library
from llmseg.names import parse_names
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

PETS = parse_names("dog | hound, cat, sky")
DOGS, CATS = ["poodle", "beagle"], ["tabby cat", "siamese cat"]
BY_CLASS = {"dog": DOGS, "cat": CATS}
ITEMS = [{"name": name, "subclasses": phrases} for name, phrases in BY_CLASS.items()]


def texts(text: str) -> tuple[dict[str, list[str]], str]:
    phrases, source = read_phrases(text)
    return {name: [phrase.text for phrase in listed] for name, listed in phrases.items()}, source


def kept(text: str, classes: str = "") -> dict[str, tuple[str, ...]]:
    names = parse_names(classes) if classes else PETS
    return {entry.class_name.name: entry.kept for entry in expand_from_text(names, text).classes if entry.kept}


# --- every form ---


@pytest.mark.parametrize(
    ("text", "phrases", "source"),
    [
        ("", {}, "lists"),
        ("# nothing but a remark\n\n", {}, "lists"),
        ("dog: poodle, beagle", {"dog": DOGS}, "text"),
        ("dog:poodle,beagle,", {"dog": DOGS}, "text"),
        ("dog:", {"dog": []}, "text"),
        ("dog: , ,", {"dog": []}, "text"),
        ("  dog :  poodle ,\tbeagle # and more: x\r\n\r\ncat: tabby_cat, siamese  cat\n", BY_CLASS, "text"),
        ("dog: poodle\ndog: beagle", {"dog": DOGS}, "text"),
        ("dog: poodle: the curly one", {"dog": ["poodle: the curly one"]}, "text"),
        ("\uff44og: \uff50oodle", {"dog": ["poodle"]}, "text"),
        ("\u72ac: \u67f4\u72ac, caf\u00e9", {"\u72ac": ["\u67f4\u72ac", "caf\u00e9"]}, "text"),
        ("dog, poodle, beagle\ncat, tabby cat, siamese cat", BY_CLASS, "lists"),
        ("dog\ncat", {"dog": [], "cat": []}, "lists"),
        ("dog,poodle,\n# a remark\n,cat , tabby", {"dog": ["poodle"], "cat": ["tabby"]}, "lists"),
        (json.dumps(BY_CLASS), BY_CLASS, "file"),
        (json.dumps(BY_CLASS, indent=2), BY_CLASS, "file"),
        ("\n  " + json.dumps(BY_CLASS), BY_CLASS, "file"),
        (json.dumps({"classes": ITEMS}), BY_CLASS, "file"),
        (json.dumps({"classes": [{"name": "dog", "subclasses": [{"text": "poodle"}]}]}), {"dog": ["poodle"]}, "file"),
        (json.dumps({"schema": 1, "classes": ITEMS, "provenance": {"by": "hand"}}), BY_CLASS, "file"),
        ("{}", {}, "file"),
        ('{"dog": []}', {"dog": []}, "file"),
    ],
)  # fmt: skip
def test_forms_that_people_write(text: str, phrases: dict[str, list[str]], source: str) -> None:
    assert texts(text) == (phrases, source)


FENCES = {
    "fence": "```json\n{}\n```",
    "bare fence": "```\n{}\n```",
    "prose": "Sure! Here are the subclasses you asked for:\n\n{}\n\nLet me know: dog, cat or # more?",
    "both": "Certainly: \n```json\n{}\n```\nThese # are visible.",
    "thought": "<think>A dog is a pet.</think>\n{}",
}


@pytest.mark.parametrize("around", FENCES.values(), ids=FENCES)
@pytest.mark.parametrize(
    "value",
    [
        BY_CLASS,
        {"items": ITEMS},
        {"classes": ITEMS},
        {"note": "as you asked", "items": ITEMS},
        {"items": [{"class": name, "synonyms": phrases} for name, phrases in BY_CLASS.items()]},
        {"items": [{"class_name": name, "phrases": phrases} for name, phrases in BY_CLASS.items()]},
        {"items": [{"id": "1", **ITEMS[0]}, {"id": 2, **ITEMS[1]}, 7, None, []]},
        {"items": [{"sense": "x", "policy": "expand", **item} for item in ITEMS]},
        {"classes": [{"name": name, "subclasses": [{"text": t} for t in p]} for name, p in BY_CLASS.items()]},
    ],
    ids=lambda value: json.dumps(value)[:40],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_replies_of_language_models(around: str, value: dict[str, object], indent: int | None) -> None:
    text = around.replace("{}", json.dumps(value, indent=indent))
    assert texts(text) == (BY_CLASS, "reply")
    assert {phrase.source for listed in read_phrases(text)[0].values() for phrase in listed} == {"reply"}
    assert kept(text) == {name: tuple(phrases) for name, phrases in BY_CLASS.items()}


def test_who_wrote_it_decides_what_it_is_held_to() -> None:
    listed = "1. A Poodle., dogs, various kinds, wireless dog, beagle"
    typed = expand_from_text(PETS, f"dog: {listed}")
    assert typed.classes[0].kept == ("1. A Poodle.", "various kinds", "wireless dog", "beagle")
    assert typed.provenance == {"source": "text"}
    replied = expand_from_text(PETS, f"Here: {json.dumps({'dog': listed.split(', ')})}")
    assert replied.classes[0].kept == ("poodle", "wireless dog", "beagle")
    assert replied.provenance == {"source": "reply"}
    assert clean_expansion(replied) == replied


def test_items_without_a_list_and_phrases_that_are_no_text() -> None:
    reply = {"items": [{"name": "dog"}, ITEMS[1], {"name": "cow", "subclasses": [7, None, "jersey"]}]}
    assert texts(f"Here: {json.dumps(reply)}") == ({"dog": [], "cat": CATS, "cow": ["jersey"]}, "reply")


@pytest.mark.parametrize("item", [{"subclasses": ["x"]}, {"name": 7}, {"id": "1", "subclasses": ["x"]}])
def test_items_without_a_name_are_one_clear_error(item: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        read_phrases(f"Here: {json.dumps({'items': [ITEMS[0], item]})}")
    assert str(caught.value) == "subclasses: item 2 of the reply names no class; expected a 'name'."


def test_the_key_says_what_the_phrases_are() -> None:
    item = {"name": "dog", "synonyms": ["hound"], "descriptions": ["A dog, with four legs."], "definition": "A pet."}
    listed, _ = read_phrases(json.dumps({"items": [item]}))
    assert [(phrase.text, phrase.kind) for phrase in listed["dog"]] == [
        ("hound", "synonyms"),
        ("A dog, with four legs.", "descriptions"),
        ("A pet.", "definitions"),
    ]


# What models write when nobody enforces a form; strictly read, each would be an error.
LOOSE = {
    "clean items": json.dumps({"items": ITEMS}),
    "clean list": json.dumps(ITEMS),
    "classes by another key": json.dumps({"classes": [{"class": n, "synonyms": p} for n, p in BY_CLASS.items()]}),
    "a trailing comma": json.dumps(BY_CLASS)[:-2] + ",]}",
    "prose behind": json.dumps(BY_CLASS) + "\nHope it helps!",
    "a fenced list": f"```json\n{json.dumps(ITEMS)}\n```",
    "braces before": f"Use {{}} and {{braces}}. {json.dumps({'items': ITEMS})}",
    "a draft": f"<think>{json.dumps({'dog': ['no']})}</think>{json.dumps({'items': ITEMS})}",
    "phrases with commas": json.dumps(
        {"items": [{"name": n, "subclasses": ", ".join(p)} for n, p in BY_CLASS.items()]}
    ),
}


@pytest.mark.parametrize("text", LOOSE.values(), ids=LOOSE)
def test_loose_replies(text: str) -> None:
    assert texts(text) == (BY_CLASS, "reply")


def test_braces_in_a_remark_are_no_json() -> None:
    assert texts("dog: poodle  # dropped: {dog} (letters)\ncat:  # fallback: refused: {no}") == (
        {"dog": ["poodle"], "cat": []},
        "text",
    )


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ("dog, a\ncat, b\nsky, c\nbird, d", None),
        ("cat, tabby\nbird, sparrow\nsky, cloud", {"dog": None, "cat": ("tabby",)}),
    ],
)
def test_lists_that_fit_neither_by_name_nor_by_position(lists: str, expected: object) -> None:
    with pytest.raises(InputError, match=r"^subclasses: no class is called 'bird'"):
        expand_from_text(PETS, lists)


# --- SCLIP's lists ---


def test_lists_by_name() -> None:
    lists = "sky, cloud\nhounds, poodle, beagle\nDOG, husky\n"
    assert kept(lists) == {"dog": ("poodle", "beagle", "husky"), "sky": ("cloud",)}
    phrases = read_phrases(lists)[0]["sky"]
    assert phrases == [Phrase("cloud", "user", source="text")]


def test_lists_by_position() -> None:
    """SCLIP's cls_voc21.txt: the line of a class need not begin with its name."""
    lists = "person in shirt, person in dress\nbicycle\ntelevision monitor, tv monitor, tv\n"
    assert kept(lists, "person, bicycle, screen") == {
        "person": ("person in shirt", "person in dress"),
        "screen": ("television monitor", "tv monitor", "tv"),
    }


def test_lists_for_too_few_classes_are_found_by_name_only() -> None:
    assert kept("dog, poodle\nsky, cloud") == {"dog": ("poodle",), "sky": ("cloud",)}
    with pytest.raises(InputError) as caught:
        kept("dog, poodle\nheaven, cloud")
    assert str(caught.value) == (
        "subclasses: no class is called 'heaven'; expected lines 'class: subclass, subclass', or one list for each of "
        "the 3 classes."
    )


def test_a_colon_anywhere_makes_it_no_lists() -> None:
    with pytest.raises(InputError) as caught:
        read_phrases("dog, poodle\ncat: tabby")
    assert str(caught.value) == "subclasses: line 1, 'dog, poodle'; expected 'class: subclass, subclass'."


# --- messages ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog: poodle\n\n# x\nbeagle # y", "subclasses: line 4, 'beagle'; expected 'class: subclass, subclass'."),
        (": poodle", "subclasses: line 1, ': poodle'; expected 'class: subclass, subclass'."),
        ("dog: x\n" + "y" * 100, f"subclasses: line 2, {'y' * 40!r}; expected 'class: subclass, subclass'."),
        (",,\ndog", "subclasses: line 1, ',,'; expected 'class, phrase, phrase'."),
        (
            '{"dog": ["poodle"',
            "subclasses: not valid JSON (Expecting ',' delimiter: line 1 column 18 (char 17)); expected an expansion.",
        ),
        ("[]", "subclasses: not an expansion; expected an object with a list 'classes'."),
        ('{"classes": {}}', "subclasses: not an expansion; expected an object with a list 'classes'."),
        ('{"schema": 2, "classes": []}', "subclasses: schema 2; expected 1."),
        ('{"dog": 7}', "subclasses, class 1: subclasses 7; expected a list."),
        ('{"dog": [" "]}', "subclasses, class 1: subclass ' '; expected text."),
        ('{"": ["x"]}', "subclasses, class 1: name ''; expected text."),
        (
            "Sorry {I} can't.",
            "subclasses: \"Sorry {I} can't.\" holds no complete JSON object; expected one. Give lines 'class: subclass, "
            "subclass', or JSON.",
        ),
        (
            'Here: {"dog": ["poodle", "bea',
            "subclasses: 'Here: {\"dog\": [\"poodle\", \"bea' holds no complete JSON object; expected one. Give lines "
            "'class: subclass, subclass', or JSON.",
        ),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_phrases(text)
    assert str(caught.value) == message


def test_a_class_that_nobody_asked_for() -> None:
    with pytest.raises(UnknownNameError) as caught:
        expand_from_text(PETS, 'Here: {"dog": ["poodle"], "cats and dogs": ["x"]}')
    assert str(caught.value) == "subclasses: unknown name 'cats and dogs'; expected one of dog, cat, sky."


@pytest.mark.parametrize("opening", ["{", "[", '{"dog":', "Here: {", '```json {"a":[', "Here: " + '{"a":'])
def test_text_without_end(opening: str) -> None:
    with pytest.raises(InputError) as caught:
        read_phrases(opening * 200_000)
    assert len(str(caught.value)) < 500


def test_place_of_a_json_error() -> None:
    assert parse_expansion_json(" [1] ", "x.json") == [1]
    with pytest.raises(InputError) as caught:
        parse_expansion_json("{", "x.json")
    assert str(caught.value).startswith("x.json: not valid JSON (Expecting property name enclosed in double quotes")


@pytest.mark.parametrize("seed", range(10))
def test_random_damage_is_an_input_error(seed: int) -> None:
    chooser = random.Random(seed)
    forms = [
        "dog: poodle, beagle\ncat: tabby",
        "dog, poodle\ncat, tabby",
        json.dumps(BY_CLASS),
        f"Here: {json.dumps({'items': ITEMS})}",
    ]
    known = {"poodle", "beagle", "tabby", *CATS}
    for _ in range(100):
        text = chooser.choice(forms)
        start = chooser.randrange(len(text))
        put = chooser.choice(("", "{", "}", "[", "]", '"', ",", ":", "#", "\n", "\x00", "\ud800", "null"))
        text = text[:start] + put + text[start + chooser.randrange(3) :]
        try:
            found, _ = texts(text)
        except InputError:
            continue
        assert all(isinstance(phrase, str) and phrase for phrases in found.values() for phrase in phrases)
    for end in range(len(forms[-1]) - 1):  # a reply that is cut has no half phrase
        try:
            found, _ = texts(forms[-1][:end])
        except InputError:
            continue
        assert {phrase for phrases in found.values() for phrase in phrases} <= known


# --- and back ---


@pytest.mark.parametrize("library", library_names())
def test_the_table_of_a_library_is_read_back(library: str) -> None:
    shipped = load_library(library)
    table = format_expansion(shipped, ("a remark: with, its own marks", "another"))
    assert len(table.splitlines()) == len(shipped.classes) + 2
    found, source = texts(table)
    assert source == "text"
    assert found == {entry.class_name.name: list(entry.kept) for entry in shipped.classes}


@pytest.mark.parametrize("library", library_names())
@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```"])
def test_the_json_of_a_library_is_read_back(library: str, around: str) -> None:
    shipped = load_library(library)
    found, source = read_phrases(around.replace("{}", json.dumps(expansion_to_json(shipped))))
    assert source == ("file" if around == "{}" else "reply")
    assert {name: [phrase.text for phrase in listed] for name, listed in found.items()} == {
        entry.class_name.name: [phrase.text for phrase in entry.subclasses] for entry in shipped.classes
    }


def test_table_by_hand() -> None:
    expansion = Expansion(
        (
            ClassExpansion(ClassName("dog"), (Phrase("poodle"), Phrase("cat", "dropped", "other_class"), Phrase("pug"))),
            ClassExpansion(ClassName("Katze", english="cat"), (Phrase("x", "dropped", "a"), Phrase("y", "dropped", "b"))),
            ClassExpansion(ClassName("Hund", english="hound"), (), "fallback", "refused: I\nwill not"),
            ClassExpansion(ClassName("sky")),
        )
    )  # fmt: skip
    assert format_expansion(expansion, ("fake-1 by fake: 1 requests", "two\nlines")) == (
        "# fake-1 by fake: 1 requests\n"
        "# two lines\n"
        "dog: poodle, pug  # dropped: cat (other_class)\n"
        "Katze:  # read as cat; dropped: x (a), y (b)\n"
        "Hund:  # read as hound; fallback: refused: I will not\n"
        "sky:"
    )
    assert format_expansion(Expansion(())) == ""


@pytest.mark.parametrize("separator", ["\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_class_is_one_line_whatever_a_reply_holds(separator: str) -> None:
    hostile = f"x{separator}cat: everything"
    entries = (
        ClassExpansion(ClassName("dog"), (Phrase(hostile, "dropped", hostile), Phrase("poodle"))),
        ClassExpansion(ClassName("cat"), (), "fallback", hostile),
    )
    table = format_expansion(Expansion(entries), (hostile,))
    assert len(table.splitlines()) == 3
    assert texts(table) == ({"dog": ["poodle"], "cat": []}, "text")


def test_the_table_of_an_edited_reply_is_an_edit_again() -> None:
    first = expand_names(PETS, f"Here: {json.dumps(BY_CLASS)}")
    table = format_expansion(first).replace("poodle", "husky") + "\n# done"
    assert kept(table) == {"dog": ("husky", "beagle"), "cat": tuple(CATS)}
