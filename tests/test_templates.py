"""Sentences: each set fills in every phrase, with the article that belongs to it."""

from __future__ import annotations

import pytest

from llmseg.templates import TEMPLATES, fill_templates


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_frame_shows_the_phrase_once(name: str) -> None:
    frames = TEMPLATES[name]
    assert len(set(frames)) == len(frames)
    for frame, sentence in zip(frames, fill_templates("zebra", frames), strict=True):
        assert frame.count("{}") + frame.count("{a}") == 1
        assert sentence.count("zebra") == 1
        assert "{" not in sentence


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
