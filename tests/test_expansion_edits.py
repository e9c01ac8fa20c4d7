"""What a person decided: entries of a lock file, and edits by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.expansion import expand_from_text, load_expansion, save_expansion
from llmseg.expansion_edits import edit_expansion, hold_lock, locked_entries
from llmseg.expansion_text import format_expansion
from llmseg.names import parse_names
from llmseg.types import ClassExpansion, ClassList, ClassName, Expansion, Phrase


def entry(name: str, *phrases: str, status: str = "ok", reason: str = "", **fields: Any) -> ClassExpansion:
    """A class as a language model expanded it."""
    listed = tuple(Phrase(text, source="llm fake-1") for text in phrases)
    return ClassExpansion(ClassName(name, **fields), listed, status, reason)


def kept(expansion: Expansion) -> dict[str, tuple[str, ...]]:
    return {found.class_name.name: found.kept for found in expansion.classes}


def dropped(expansion: Expansion) -> list[tuple[str, str]]:
    return [(item.text, item.reason) for found in expansion.classes for item in found.subclasses if not item.kept]


PETS = Expansion((entry("dog", "poodle", "beagle"), entry("cat", "tabby", "siamese"), entry("sky")), {"source": "llm"})

# --- edits ---


@pytest.mark.parametrize(
    ("text", "dog", "cat"),
    [
        ("", ("poodle", "beagle"), ("tabby", "siamese")),
        (" \n# nothing\n", ("poodle", "beagle"), ("tabby", "siamese")),
        ("dog:", ("poodle", "beagle"), ("tabby", "siamese")),
        ("dog: husky, pug", ("husky", "pug"), ("tabby", "siamese")),
        ("dog: +husky", ("poodle", "beagle", "husky"), ("tabby", "siamese")),
        ("dog: -poodle", ("beagle",), ("tabby", "siamese")),
        ("dog: +husky, -poodle, + pug", ("beagle", "husky", "pug"), ("tabby", "siamese")),
        ("DOGS: -Poodles\ncat: +sphynx", ("beagle",), ("tabby", "siamese", "sphynx")),
        ("dog: -poodle, -beagle", (), ("tabby", "siamese")),
        ("dog: -poodle\ndog: +pug", ("beagle", "pug"), ("tabby", "siamese")),
        ("dog: -zebra", ("poodle", "beagle"), ("tabby", "siamese")),
        ("dog: +poodle", ("poodle", "beagle"), ("tabby", "siamese")),
        ("dog: -poodle, +poodle", ("beagle", "poodle"), ("tabby", "siamese")),
        ("dog: +cat, +dogs", ("poodle", "beagle"), ("tabby", "siamese")),
        ("dog: +, -", ("poodle", "beagle"), ("tabby", "siamese")),
        ("dog: husky, +pug", ("husky", "pug"), ("tabby", "siamese")),
        ("dog: wire-haired terrier, -poodle", ("wire-haired terrier",), ("tabby", "siamese")),
        ('{"dog": ["+husky", "-poodle"]}', ("beagle", "husky"), ("tabby", "siamese")),
        ("dog, +husky\ncat, -tabby", ("poodle", "beagle", "husky"), ("siamese",)),
    ],
)
def test_edits(text: str, dog: tuple[str, ...], cat: tuple[str, ...]) -> None:
    assert kept(edit_expansion(PETS, text)) == {"dog": dog, "cat": cat, "sky": ()}


def test_what_is_removed_stays_with_its_reason() -> None:
    edited = edit_expansion(PETS, "dog: -poodle, +husky")
    assert edited.classes[0].subclasses == (
        Phrase("poodle", "dropped", "edited", "llm fake-1"),
        Phrase("beagle", source="llm fake-1"),
        Phrase("husky", "user", source="text"),
    )
    assert format_expansion(edited).splitlines()[0] == "dog: beagle, husky  # dropped: poodle (edited)"


def test_the_other_classes_and_where_it_came_from_stay() -> None:
    edited = edit_expansion(PETS, "dog: +husky")
    assert edited.classes[1:] == PETS.classes[1:]
    assert edited.provenance == PETS.provenance
    assert edited.class_list == PETS.class_list
    assert edit_expansion(PETS, "") == PETS


def test_what_was_dropped_before_keeps_its_reason_and_can_come_back() -> None:
    dog = ClassExpansion(ClassName("dog"), (Phrase("poodle"), Phrase("lap dog", "dropped", "not_visible")))
    removed = edit_expansion(Expansion((dog,)), "dog: -lap dog")
    assert dropped(removed) == [("lap dog", "not_visible")]
    assert kept(edit_expansion(Expansion((dog,)), "dog: +lap dog")) == {"dog": ("poodle", "lap dog")}


def test_what_a_person_types_obeys_the_exact_rules_only() -> None:
    edited = edit_expansion(PETS, "dog: poodle, wireless robot, cat, Poodle, cat dog, dogs")
    assert edited.classes[0].kept == ("poodle", "wireless robot", "cat dog")
    assert dropped(edited) == [("cat", "other_class"), ("Poodle", "duplicate"), ("dogs", "class_name")]


def test_a_new_wording_meets_what_other_classes_have() -> None:
    edited = edit_expansion(PETS, "cat: +poodle")
    assert edited.classes[1].kept == ("tabby", "siamese", "poodle"), "a person may give two classes the same phrase"
    assert edited.classes[0].kept == ("poodle", "beagle")


def test_a_class_that_is_kept_whole_takes_no_edits() -> None:
    background = Expansion((*PETS.classes, ClassExpansion(ClassName("background", role="background", policy="keep"))))
    assert kept(edit_expansion(background, "background: wall, +floor"))["background"] == ()


def test_edits_again_and_again() -> None:
    once = edit_expansion(PETS, "dog: +husky, -poodle")
    assert kept(edit_expansion(once, "dog: +husky, -poodle")) == kept(once)
    assert kept(edit_expansion(once, format_expansion(once))) == kept(once)
    assert kept(edit_expansion(once, "dog: -husky, +poodle"))["dog"] == ("beagle", "poodle")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dgo: +husky", "subclasses: unknown name 'dgo'; expected one of dog, cat, sky. Did you mean 'dog'?"),
        ("dog: x\n+husky", "subclasses: line 2, '+husky'; expected 'class: subclass, subclass'."),
        ('{"dog": "+husky"}', "subclasses, class 1: subclasses '+husky'; expected a list."),
        ('{"zebra": []}', "subclasses: unknown name 'zebra'; expected one of dog, cat, sky."),
    ],
)
def test_edits_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        edit_expansion(PETS, text)
    assert str(caught.value) == message


def test_an_expansion_without_classes() -> None:
    assert edit_expansion(Expansion(()), "") == Expansion(())


# --- locks ---


def test_no_lock() -> None:
    assert locked_entries(parse_names("dog"), None) == {}
    assert locked_entries(parse_names("dog"), Expansion(())) == {}
    assert hold_lock(PETS, None) is PETS
    assert hold_lock(PETS, Expansion((entry("zebra", "x", "y"),))) is PETS


@pytest.mark.parametrize(("asked", "held"), [("dog", "dog"), ("Dogs", "dog"), ("dog", "DOG"), ("tv_sets", "TV set")])
def test_a_class_is_found_by_its_name_and_keeps_the_users(asked: str, held: str) -> None:
    (name,) = parse_names(asked).names
    found = locked_entries(parse_names(f"{asked}, cat"), Expansion((entry(held, "poodle", "beagle"),)))
    assert found == {name: entry(name, "poodle", "beagle")}


def test_the_lock_fills_in_what_the_user_leaves_open() -> None:
    lock = Expansion((entry("mouse", "x", "y", sense="rodent", english="mouse animal", role="stuff"),))
    (plain,) = locked_entries(parse_names("mouse"), lock).values()
    assert (plain.class_name.sense, plain.class_name.english) == ("rodent", "mouse animal")
    assert plain.class_name.role == "thing", "the role is the user's"
    (aliased,) = locked_entries(parse_names("mouse | computer mouse"), lock).values()
    assert aliased.class_name.aliases == ("computer mouse",)
    (sensed,) = locked_entries(parse_names("mouse (device)"), lock).values()
    assert sensed.class_name.sense == "device"


def test_dropped_phrases_and_sources_of_a_lock_are_kept() -> None:
    held = ClassExpansion(ClassName("dog"), (Phrase("poodle", "user", source="text"), Phrase("x", "dropped", "edited")))
    assert locked_entries(parse_names("dog"), Expansion((held,))) == {"dog": held}


def test_a_class_that_fell_back_is_not_locked() -> None:
    lock = Expansion((entry("dog", status="fallback", reason="refused: no"), entry("cat", "tabby", "sphynx")))
    assert list(locked_entries(parse_names("dog, cat"), lock)) == ["cat"]
    assert kept(hold_lock(PETS, lock)) == {"dog": ("poodle", "beagle"), "cat": ("tabby", "sphynx"), "sky": ()}


def test_a_class_that_is_locked_empty_stays_empty() -> None:
    assert kept(hold_lock(PETS, Expansion((entry("dog"),))))["dog"] == ()


def test_a_lock_goes_before_what_was_found() -> None:
    fallen = replace(PETS, classes=(entry("dog", status="fallback", reason="offline"), *PETS.classes[1:]))
    held = hold_lock(fallen, Expansion((entry("Dog", "husky", "pug"),), {"source": "elsewhere"}))
    assert held.classes[0] == entry("dog", "husky", "pug")
    assert held.classes[1:] == PETS.classes[1:]
    assert held.provenance == PETS.provenance


def test_locked_phrases_are_held_against_the_other_classes() -> None:
    lock = Expansion((entry("dog", "husky", "pug", "sky", "cat dog", "two sky"),))
    held = hold_lock(PETS, lock)
    assert held.classes[0].kept == ("husky", "pug")
    assert dropped(held) == [
        ("sky", "other_class"),
        ("cat dog", "other_class_word"),
        ("two sky", "other_class_word"),
    ]


def test_what_a_person_typed_into_a_lock_gives_way_to_names_only() -> None:
    typed = tuple(Phrase(text, "user", source="text") for text in ("husky", "tabby", "sky", "cat dog"))
    held = hold_lock(PETS, Expansion((ClassExpansion(ClassName("dog"), typed),)))
    assert held.classes[0].kept == ("husky", "tabby", "cat dog")


def test_an_edit_that_is_saved_is_a_lock(tmp_path: Path) -> None:
    edited = edit_expansion(PETS, "dog: husky, pug\ncat: -tabby, +sphynx")
    save_expansion(edited, tmp_path / "lock.json")
    lock = load_expansion(tmp_path / "lock.json")
    assert kept(hold_lock(PETS, lock)) == {"dog": ("husky", "pug"), "cat": ("siamese", "sphynx"), "sky": ()}
    assert set(locked_entries(PETS.class_list, lock)) == {"dog", "cat", "sky"}


def test_a_lock_written_by_hand(tmp_path: Path) -> None:
    lists = {"classes": [{"name": "dog", "subclasses": ["husky", "pug"]}, {"name": "zebra", "subclasses": []}]}
    (tmp_path / "lock.json").write_text(json.dumps(lists), encoding="utf-8")
    classes = parse_names("dog, cat")
    held = hold_lock(expand_from_text(classes, "cat: tabby, siamese"), load_expansion(tmp_path / "lock.json"))
    assert kept(held) == {"dog": ("husky", "pug"), "cat": ("tabby", "siamese")}


def test_an_edit_of_a_class_that_fell_back_is_locked() -> None:
    fallen = Expansion((entry("dog", status="fallback", reason="offline"), entry("cat", status="fallback")))
    edited = edit_expansion(fallen, "dog: husky, pug")
    assert list(locked_entries(edited.class_list, edited)) == ["dog"]


def test_the_exact_name_goes_first() -> None:
    lock = Expansion((entry("hot dog", "corn dog"), entry("hotdog", "chili dog")))
    found = locked_entries(parse_names("hotdog, hot dog"), lock)
    assert {name: held.kept for name, held in found.items()} == {"hotdog": ("chili dog",), "hot dog": ("corn dog",)}


def test_the_users_own_english_goes_first() -> None:
    asked = ClassList((ClassName("Hund", english="dog"),))
    assert locked_entries(asked, Expansion((entry("hund", "x"),)))["Hund"].class_name.english == "dog"


def test_removing_what_is_not_there_is_told(caplog: pytest.LogCaptureFixture) -> None:
    edit_expansion(Expansion((entry("dog", "poodle", "husky"),)), "dog: -zebra, -Poodles")
    assert caplog.messages == ["'dog' has no phrase that reads like ['zebra']; nothing removed."]


def test_an_entry_serves_one_class_and_an_alias_will_do() -> None:
    lock = Expansion((entry("hot dog", "corn dog"), entry("couch", "chesterfield")))
    found = locked_entries(parse_names("hot dog, hotdog, sofa | couch"), lock)
    assert {name: held.kept for name, held in found.items()} == {"hot dog": ("corn dog",), "sofa": ("chesterfield",)}


def test_what_fell_beside_other_neighbours_is_judged_again() -> None:
    fallen = (Phrase("tiger cat", "dropped", "other_class_word"), Phrase("tabby", "dropped", "edited"))
    lock = Expansion((ClassExpansion(ClassName("cat"), fallen),))
    assert kept(hold_lock(Expansion((entry("cat"), entry("sky"))), lock))["cat"] == ("tiger cat",)
    assert kept(hold_lock(Expansion((entry("cat"), entry("tiger"))), lock))["cat"] == ()
