"""Sentences: each set fills in every phrase, with the article that belongs to it; frames that people type."""

from __future__ import annotations

import pytest

from llmseg.errors import InputError, UnknownNameError
from llmseg.templates import MOST_FRAMES, TEMPLATES, choose_frames, fill_templates, parse_frames

COUNTS = {"bare": 1, "single": 1, "captions6": 6, "short7": 7, "openai80": 80, "surgery85": 85}


def test_sets_are_as_long_as_their_names_say() -> None:
    assert {name: len(frames) for name, frames in TEMPLATES.items()} == COUNTS


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_frame_shows_the_phrase_once(name: str) -> None:
    frames = TEMPLATES[name]
    assert len(set(frames)) == len(frames)
    for frame, sentence in zip(frames, fill_templates("zebra", frames), strict=True):
        assert frame.count("{}") + frame.count("{a}") == 1
        assert frame == " ".join(frame.split())
        assert sentence.count("zebra") == 1
        assert "{" not in sentence


def test_the_eighty_are_those_of_clip() -> None:
    theirs = pytest.importorskip("open_clip.zero_shot_metadata")
    assert fill_templates("cat", TEMPLATES["openai80"]) == [frame("cat") for frame in theirs.OPENAI_IMAGENET_TEMPLATES]
    assert fill_templates("cat", TEMPLATES["short7"]) == [frame("cat") for frame in theirs.SIMPLE_IMAGENET_TEMPLATES]
    assert all(frame.endswith(".") for frame in TEMPLATES["openai80"])


def test_larger_sets_hold_the_smaller_ones() -> None:
    assert set(TEMPLATES["single"]) | set(TEMPLATES["short7"]) <= set(TEMPLATES["openai80"])
    assert TEMPLATES["surgery85"][:80] == TEMPLATES["openai80"]
    assert all(frame.endswith(" {} in the scene.") for frame in TEMPLATES["surgery85"][80:])


@pytest.mark.parametrize(
    ("phrase", "sentence"), [("owl", "an owl"), ("umbrella", "an umbrella"), ("Ibis", "an Ibis"), ("dog", "a dog")]
)
def test_article(phrase: str, sentence: str) -> None:
    assert fill_templates(phrase, ["{a}"]) == [sentence]


@pytest.mark.parametrize("phrase", ["{}", "{a}", "{0.__class__}", "%s {a} {}"])
def test_braces_in_a_phrase_stay_text(phrase: str) -> None:
    assert fill_templates(phrase, ["<{}>", "<{a}>"]) == [f"<{phrase}>", f"<a {phrase}>"]


def test_set_by_hand() -> None:
    assert fill_templates("owl", TEMPLATES["captions6"]) == [
        "owl",
        "an owl",
        "a photo of an owl",
        "a picture of an owl",
        "an image of an owl",
        "a photo of owl",
    ]


# --- custom frames ---


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_set_of_the_table_is_chosen_whatever_stands_in_the_field(name: str) -> None:
    assert choose_frames(name, "no frame at all") == (name, TEMPLATES[name])


def test_frames_are_typed_one_a_line() -> None:
    text = "\n  a map with  {}.\n\na drawing of {a}\r\na map with {}.\n{0} of {}\n"
    assert parse_frames(text) == ("a map with {}.", "a drawing of {a}", "{0} of {}")


def test_the_name_of_custom_frames_says_which_they_are() -> None:
    name, frames = choose_frames("custom", "a map with {}.\n{}")
    assert name == "custom:" + name[-8:]
    assert int(name[-8:], 16) >= 0
    assert frames == ("a map with {}.", "{}")
    assert choose_frames("custom", "a map with {}.\n\n {}\n{}") == (name, frames)
    assert choose_frames("custom", "{}\na map with {}.")[0] != name


def test_as_many_frames_as_allowed() -> None:
    lines = [f"{number} of {{}}" for number in range(MOST_FRAMES)]
    assert parse_frames("\n".join(lines)) == tuple(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "custom_templates: no frames; expected 1 to 1000, one a line, such as 'a drawing of a {}.'"),
        (" \n\t\n", "custom_templates: no frames; expected 1 to 1000, one a line, such as 'a drawing of a {}.'"),
        (
            "{}\n" * 1001,
            "custom_templates: 1001 frames; expected 1 to 1000, one a line, such as 'a drawing of a {}.'",
        ),
        (
            "{}\n\na photo",
            "custom_templates, line 3: 'a photo' has no place for the phrase; "
            "expected one {}, or one {a} for the phrase with its article.",
        ),
        (
            "{} and {a}",
            "custom_templates, line 1: '{} and {a}' has 2 places for the phrase; "
            "expected one {}, or one {a} for the phrase with its article.",
        ),
        (
            "{}" + "x" * 300,
            f"custom_templates, line 1: '{{}}{'x' * 58}...' has 302 characters; expected at most 300. Shorten it.",
        ),
    ],
)
def test_frames_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_frames("custom", text)
    assert str(caught.value) == message


def test_unknown_set() -> None:
    with pytest.raises(UnknownNameError) as caught:
        choose_frames("costum")
    assert str(caught.value) == (
        "templates: unknown name 'costum'; expected one of "
        "bare, single, captions6, short7, openai80, surgery85, custom. Did you mean 'custom'?"
    )
