"""Classes to phrases, from a library, text or a file, and back without loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmseg.errors import InputError, UnknownNameError
from llmseg.expansion import (
    expand_from_library,
    expand_from_text,
    expand_names,
    expand_with,
    expansion_to_json,
    load_expansion,
    save_expansion,
)
from llmseg.expansion_text import format_expansion
from llmseg.library import expansion_from_json, library_classes, library_names, load_library
from llmseg.names import parse_names
from llmseg.types import Expansion

CLASSES = parse_names("dog | hound, car, sky, background")


def kept(expansion: Expansion) -> dict[str, tuple[str, ...]]:
    return {entry.class_name.name: entry.kept for entry in expansion.classes}


def dropped(expansion: Expansion) -> list[tuple[str, str, str]]:
    return [
        (entry.class_name.name, phrase.text, phrase.reason)
        for entry in expansion.classes
        for phrase in entry.subclasses
        if not phrase.kept
    ]


def test_text_by_hand() -> None:
    text = "# pets\n dog : poodle,  german_shepherd ,\nsky:\n\ncar: taxi # and more"
    expansion = expand_from_text(CLASSES, text)
    assert kept(expansion) == {"dog": ("poodle", "german shepherd"), "car": ("taxi",), "sky": (), "background": ()}
    assert {(item.status, item.source) for entry in expansion.classes for item in entry.subclasses} == {
        ("user", "text")
    }
    assert expansion.provenance == {"source": "text"}
    assert expansion.class_list == CLASSES


@pytest.mark.parametrize("text", ["DOG: poodle", "Hounds: poodle", '{"hound": ["poodle"]}', "dog:poodle"])
def test_class_is_found_by_name_or_alias(text: str) -> None:
    assert kept(expand_from_text(CLASSES, text))["dog"] == ("poodle",)


def test_lines_for_one_class_add_up() -> None:
    text = "dog: poodle\nhound: beagle\nDog: husky\ndog: corgi"
    assert sorted(kept(expand_from_text(CLASSES, text))["dog"]) == ["beagle", "corgi", "husky", "poodle"]


def test_collisions_are_dropped_with_their_reason() -> None:
    expansion = expand_from_text(CLASSES, "dog: Hound, car, poodle, Poodle, DOG, husky\ncar: dog, hound, husky")
    assert kept(expansion) == {"dog": ("poodle", "husky"), "car": ("husky",), "sky": (), "background": ()}
    assert dropped(expansion) == [
        ("dog", "Hound", "class_name"),
        ("dog", "car", "other_class"),
        ("dog", "Poodle", "duplicate"),
        ("dog", "DOG", "class_name"),
        ("car", "dog", "other_class"),
        ("car", "hound", "other_class"),
    ]


def test_class_that_is_to_be_kept_is_never_split() -> None:
    assert kept(expand_from_text(CLASSES, "background: wall, floor"))["background"] == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "dgo: poodle",
            "subclasses: unknown name 'dgo'; expected one of dog, car, sky, background. Did you mean 'dog'?",
        ),
        ("dog: a\npoodle", "subclasses: line 2, 'poodle'; expected 'class: subclass, subclass'."),
        (": a", "subclasses: line 1, ': a'; expected 'class: subclass, subclass'."),
        ("[1, 2]", "subclasses: not an expansion; expected an object with a list 'classes'."),
        ('{"dog": "poodle"}', "subclasses, class 1: subclasses 'poodle'; expected a list."),
        ('{"dog": [7]}', "subclasses, class 1: subclass 7; expected text or an object with a 'text'."),
        (
            '{"dog": [], "DOG": []}',
            "subclasses: 'DOG' stands twice; expected every class and alias once. Remove one of them.",
        ),
        (
            '{"dog": [',
            "subclasses: not valid JSON (Expecting value: line 1 column 10 (char 9)); expected an expansion.",
        ),
    ],
)
def test_text_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        expand_from_text(CLASSES, text)
    assert str(caught.value) == message


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"classes":['])
def test_nesting_without_end(opening: str) -> None:
    with pytest.raises(InputError, match=r"^subclasses: not valid JSON \(.*\); expected an expansion\.$"):
        expand_from_text(CLASSES, opening * 200_000)


@pytest.mark.parametrize("library", library_names())
def test_library_gives_its_own_phrases(library: str) -> None:
    shipped = load_library(library)
    expansion = expand_from_library(library_classes(library), library)
    assert expansion.provenance == {"source": f"library {library}"}
    for ours, theirs in zip(expansion.classes, shipped.classes, strict=True):
        assert set(ours.kept) <= set(theirs.kept)
        assert ours.class_name == theirs.class_name


def test_sources() -> None:
    classes = parse_names("DOG, zeppelin, puppy dog | cat")
    automatic = expand_names(classes)
    assert "poodle" in kept(automatic)["DOG"]
    assert kept(automatic)["zeppelin"] == ()
    assert "tabby cat" in kept(automatic)["puppy dog"], "found by its alias"
    assert expand_names(classes, "everyday") == automatic == expand_from_library(classes)
    assert automatic.provenance == {"source": "library everyday"}
    assert set(kept(expand_names(classes, "off")).values()) == {()}
    assert expand_names(classes, "off") == expand_from_library(classes, "off")
    assert kept(expand_names(classes, "DOG: poodle"))["DOG"] == ("poodle",)
    assert kept(expand_names(classes, '{"DOG": ["poodle"]}'))["DOG"] == ("poodle",)


@pytest.mark.parametrize("own", ["emoji", "coco81"])
def test_auto_is_the_library_of_the_model(own: str) -> None:
    classes = parse_names("dog, zeppelin")
    named = expand_names(classes, own)
    assert expand_names(classes, "auto", own) == expand_with(classes, "auto", own_library=own) == named
    assert named.provenance == {"source": f"library {own}"}
    assert expand_names(classes, "voc21", own) == expand_names(classes, "voc21"), "a named one goes before it"


def test_source_that_is_no_library() -> None:
    listed = "auto, off, emoji, cityscapes19, voc21, context60, coco81, ade150, cocostuff171, everyday"
    with pytest.raises(UnknownNameError) as caught:
        expand_names(CLASSES, "emojy")
    assert str(caught.value) == f"library: unknown name 'emojy'; expected one of {listed}. Did you mean 'emoji'?"


def test_library_meets_other_neighbours() -> None:
    expansion = expand_from_library(parse_names("dogs, Poodle, bicycle, mountain, wine"), "voc21")
    assert kept(expansion)["dogs"][0] == "golden retriever"
    assert kept(expansion)["Poodle"] == (), "no class of the library"
    assert dropped(expansion) == [
        ("dogs", "poodle", "other_class"),
        ("bicycle", "mountain bike", "other_class_word"),
    ]


def test_what_is_left_of_a_library_list_may_be_too_little() -> None:
    expansion = expand_from_library(parse_names("kangaroo, red kangaroo"), "everyday")
    assert dropped(expansion) == [
        ("kangaroo", "red kangaroo", "other_class"),
        ("kangaroo", "grey kangaroo", "too_few"),
    ]


def test_what_a_person_wrote_obeys_the_exact_rules_only() -> None:
    classes = parse_names("bed, sofa")
    lists = "bed: sofa bed, bed of a sofa, beds, water bed\nsofa: water bed"
    assert kept(expand_from_text(classes, lists)) == {
        "bed": ("sofa bed", "bed of a sofa", "water bed"),
        "sofa": ("water bed",),
    }
    as_json = json.dumps({"bed": ["sofa bed", "Sofa Beds"]})
    assert kept(expand_from_text(classes, as_json)) == {"bed": ("sofa bed",), "sofa": ()}


def test_wording_as_typed_goes_before_the_folded_one() -> None:
    classes = parse_names("hot dog, hotdog")
    assert kept(expand_from_text(classes, "hotdog: corn dog\nhot dog: chili dog\nHot-Dogs: bun")) == {
        "hot dog": ("chili dog", "bun"),
        "hotdog": ("corn dog",),
    }


EXPANSIONS = [
    expand_from_text(CLASSES, "dog: poodle, car\nsky: cloud"),
    expand_names(parse_names("dog, caf\u00e9 \U0001f98a (a sense), other"), "off"),
    load_library("emoji"),
]


@pytest.mark.parametrize("expansion", EXPANSIONS, ids=["text", "unicode", "library"])
def test_json_round_trip(expansion: Expansion, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "expansion.json"
    save_expansion(expansion, path)
    assert load_expansion(path) == expansion
    assert expansion_from_json(json.loads(json.dumps(expansion_to_json(expansion))), place="p") == expansion
    pasted = expand_from_text(expansion.class_list, path.read_text(encoding="utf-8"))
    assert {k: v for k, v in kept(pasted).items() if v} == {k: v for k, v in kept(expansion).items() if v}


@pytest.mark.parametrize("expansion", EXPANSIONS, ids=["text", "unicode", "library"])
def test_text_round_trip(expansion: Expansion) -> None:
    assert kept(expand_from_text(expansion.class_list, format_expansion(expansion))) == kept(expansion)


def test_format_by_hand() -> None:
    expansion = expand_from_text(CLASSES, "dog: poodle, car, beagle\ncar: dog")
    assert format_expansion(expansion) == (
        "dog: poodle, beagle  # dropped: car (other_class)\ncar:  # dropped: dog (other_class)\nsky:\nbackground:"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{}", "x.json: not an expansion; expected an object with a list 'classes'."),
        ('{"classes": []}', "x.json: no class in 'classes'; expected one or more."),
        ("dog", "x.json: not valid JSON (Expecting value: line 1 column 1 (char 0)); expected an expansion."),
        ('{"classes": [{"name": 1}]}', "x.json, class 1: name 1; expected text."),
    ],
)
def test_file_that_is_no_expansion(data: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(data, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_expansion(tmp_path / "x.json")
    assert str(caught.value) == message


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(InputError) as caught:
        load_expansion(path)
    text = f"expansion: cannot read {str(path)!r}: No such file or directory; expected a text file."
    assert str(caught.value) == text


def test_a_loaded_file_is_judged_like_any_source(tmp_path):
    file = tmp_path / "x.json"
    classes = [
        {"name": "dog", "subclasses": ["poodle", "poodle", "car"]},
        {"name": "car", "policy": "keep", "subclasses": ["taxi"]},
    ]
    file.write_text(json.dumps({"classes": classes, "provenance": {"by": "hand"}}), encoding="utf-8")
    loaded = load_expansion(file)
    assert [(item.text, item.reason) for item in loaded.classes[0].subclasses] == [
        ("poodle", ""),
        ("poodle", "duplicate"),
        ("car", "other_class"),
    ]
    assert loaded.classes[1].subclasses == ()
    assert loaded.provenance == {"by": "hand"}


@pytest.mark.parametrize("library", ["auto", "off", "coco81"])
def test_names_that_no_encoder_reads_are_told_in_one_line(library: str, caplog: pytest.LogCaptureFixture) -> None:
    expand_from_library(parse_names("\u72ac, dog, caf\u00e9, \u0441\u043e\u0431\u0430\u043a\u0430"), library)
    assert caplog.messages == [
        "class names in another script: '\u72ac', '\u0441\u043e\u0431\u0430\u043a\u0430'; encoders read English. "
        "Write the English names, or ask a language model, which translates."
    ]
