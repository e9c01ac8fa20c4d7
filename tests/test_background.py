"""`background`: what competes beside the classes, and that it never moves a label."""

from __future__ import annotations

import pytest

from llmseg.background import SURROUNDINGS, add_background
from llmseg.errors import InputError, UnknownNameError
from llmseg.names import parse_names
from llmseg.types import ClassExpansion, Expansion, Phrase


def expand(text, **subclasses):
    return Expansion(
        tuple(
            ClassExpansion(entry, tuple(map(Phrase, subclasses.get(entry.name, ()))))
            for entry in parse_names(text).classes
        )
    )


def test_nothing_wanted_changes_nothing():
    expansion = expand("dog, cat")
    assert add_background(expansion) == expansion


def test_surroundings_become_a_class_at_the_end():
    classes = add_background(expand("dog, cat"), background="surroundings").classes
    assert [entry.class_name.name for entry in classes] == ["dog", "cat", "background"]
    added = classes[2]
    assert (added.class_name.role, added.class_name.wording) == ("background", SURROUNDINGS[0])
    assert added.kept == SURROUNDINGS


def test_surroundings_join_the_background_that_was_asked_for_where_it_stands():
    classes = add_background(expand("background, dog", background=["fog"]), background="surroundings").classes
    assert [entry.class_name.name for entry in classes] == ["background", "dog"]
    assert classes[0].kept == ("fog", *SURROUNDINGS)


@pytest.mark.parametrize("text", ["tree, dog", "plant | tree, dog", "Tree, dog"])
def test_what_was_asked_for_is_no_surrounding(text):
    assert "tree" not in add_background(expand(text), background="surroundings").classes[-1].kept


def test_a_phrase_of_a_class_is_no_surrounding():
    assert (
        "wood" not in add_background(expand("plant, dog", plant=["wood"]), background="surroundings").classes[-1].kept
    )


def test_names_the_encoder_does_not_know_are_left_out():
    added = add_background(expand("dog"), background="surroundings", known={"grass", "sea"}.__contains__).classes[-1]
    assert (added.class_name.wording, added.kept) == ("grass", ("grass", "sea"))
    assert len(add_background(expand("dog"), background="surroundings", known=lambda name: False).classes) == 1


def test_negatives_stand_behind_everything_and_are_not_shown():
    expansion = add_background(expand("dog, cat"), background="surroundings", negatives="wolf, fox | vixen")
    roles = [entry.class_name.role for entry in expansion.classes]
    assert roles == ["thing", "thing", "background", "negative", "negative"]
    assert expansion.class_list.shown.names == ("dog", "cat", "background")
    assert expansion.classes[-1].class_name.aliases == ("vixen",)


def test_a_negative_that_was_asked_for_is_refused():
    with pytest.raises(InputError) as caught:
        add_background(expand("dog"), negatives="Dog")
    assert str(caught.value) == (
        "negatives: 'Dog' is asked for as well; expected names of other things. Remove it from one of them."
    )


def test_an_unknown_background_is_refused():
    with pytest.raises(UnknownNameError, match="^background: unknown name 'sky'; expected one of listed, surroundings"):
        add_background(expand("dog"), "sky")


def test_there_are_26_different_surroundings():
    assert len(set(SURROUNDINGS)) == 26
