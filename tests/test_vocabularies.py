"""Phrases of columns: libraries, files, and controls of the same length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from llmseg.encoder import Encoder
from llmseg.errors import InputError, UnknownNameError
from llmseg.evaluation.vocabularies import CONTROLS, NEUTRAL, Vocabulary, expand_column, is_control, phrases_in_use
from llmseg.expansion import expand_names, save_expansion
from llmseg.library import library_classes
from llmseg.options import CONTROL
from llmseg.types import ClassExpansion, ClassList, ClassName, Expansion, Phrase

VOC = Vocabulary(library_classes("voc21"))


def lists(expansion: Expansion) -> dict[str, tuple[str, ...]]:
    return {entry.class_name.name: entry.kept for entry in expansion.classes}


def save(path: Path, entries: Sequence[ClassExpansion]) -> str:
    save_expansion(Expansion(tuple(entries)), path)
    return str(path)


def test_controls_are_those_of_the_table() -> None:
    assert set(CONTROLS) == set(CONTROL.names)


def test_off_is_class_names_alone() -> None:
    """Aliases count as phrases, so that a data set's own must not stand beside the name."""
    classes = ClassList((ClassName("car", aliases=("auto",)), ClassName("dog")))
    expansion = expand_column(Vocabulary(classes), "off")
    assert phrases_in_use(expansion) == [["car", [], []], ["dog", [], []]]


@pytest.mark.parametrize("source", ["auto", "voc21"])
def test_a_library_is_what_the_product_takes(source: str) -> None:
    assert lists(expand_column(VOC, source)) == lists(expand_names(VOC.classes, source))
    assert not any(entry.class_name.aliases for entry in expand_column(VOC, source).classes)


def test_auto_is_the_models_own(encoder: Encoder) -> None:
    classes = library_classes("emoji")
    own = expand_column(Vocabulary(classes, encoder.library, encoder.knows), "auto")
    assert lists(own) == lists(expand_names(classes, "emoji"))


@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_count_keeps_the_first(count: int) -> None:
    whole, some = (lists(expand_column(VOC, "auto", each)) for each in (None, count))
    assert some == {name: phrases[:count] for name, phrases in whole.items()}


def test_only_what_the_model_knows_is_counted() -> None:
    unknown = lists(expand_column(VOC, "auto"))["dog"][0]
    some = expand_column(Vocabulary(VOC.classes, knows=lambda text: text != unknown), "auto", 2)
    assert lists(some)["dog"] == lists(expand_column(VOC, "auto"))["dog"][1:3]


def test_a_file_says_phrases_aliases_and_policy(tmp_path: Path) -> None:
    path = save(
        tmp_path / "mine.json",
        [
            ClassExpansion(
                ClassName("Dogs", aliases=("hound",)),
                (Phrase("poodle", source="test"), Phrase("beagle", "dropped", source="test")),
            ),
            ClassExpansion(ClassName("cat", policy="keep"), (Phrase("siamese cat", source="test"),)),
            ClassExpansion(ClassName("unicorn"), (Phrase("white unicorn", source="test"),)),
        ],
    )
    classes = ClassList((ClassName("cat"), ClassName("dog", aliases=("puppy",)), ClassName("bird", aliases=("fowl",))))
    expansion = expand_column(Vocabulary(classes), path)
    assert phrases_in_use(expansion) == [
        ["cat", [], []],
        ["dog", ["hound"], [["poodle", "subclasses"]]],
        ["bird", [], []],
    ]
    assert expansion.class_list.names == ("cat", "dog", "bird"), "as the data set calls them"


@pytest.mark.parametrize("seed", [0, 1])
def test_a_placebo_is_as_long_as_the_list_and_says_nothing(encoder: Encoder, seed: int) -> None:
    vocabulary = Vocabulary(library_classes("emoji"), encoder.library, encoder.knows)
    real, placebo = (lists(expand_column(vocabulary, source, seed=seed)) for source in ("auto", "placebo"))
    for name, phrases in placebo.items():
        assert len(phrases) == len(set(phrases)) == len(real[name])
        for phrase in phrases:
            assert encoder.knows(phrase)
            assert phrase.startswith(f"{name} ")
            assert set(phrase.removeprefix(f"{name} ").split()) <= set(NEUTRAL)


def test_a_placebo_of_few_words() -> None:
    own = {phrase for phrases in lists(expand_column(VOC, "auto")).values() for phrase in phrases}
    with pytest.raises(InputError) as caught:
        expand_column(Vocabulary(VOC.classes, knows=lambda text: text in ("photo", "view") or text in own), "placebo")
    assert caught.value.place == "placebo"
    assert "expected words enough" in caught.value.problem


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_gives_every_class_the_list_of_another(seed: int) -> None:
    real, shuffled = (lists(expand_column(VOC, source, seed=seed)) for source in ("auto", "shuffled"))
    expanded = [name for name, phrases in real.items() if phrases]
    assert sorted(real[name] for name in expanded) == sorted(shuffled[name] for name in expanded)
    assert all(real[name] != shuffled[name] for name in expanded)
    assert not any(shuffled[name] for name in real if name not in expanded)


def test_shuffled_draws_by_its_seed() -> None:
    drawn = {str(lists(expand_column(VOC, "shuffled", seed=seed))) for seed in range(5)}
    assert len(drawn) > 1


def test_shuffled_needs_two_lists() -> None:
    with pytest.raises(InputError, match="1 classes with a list in 'auto'; expected at least two"):
        expand_column(Vocabulary(ClassList((ClassName("dog"), ClassName("zqx")))), "shuffled")


def test_aliases_are_those_people_wrote() -> None:
    classes = ClassList((ClassName("aeroplane", aliases=("flying machine",)), ClassName("dog")))
    found = lists(expand_column(Vocabulary(classes), "aliases:voc21"))
    assert found["aeroplane"][0] == "flying machine"
    assert "plane" in found["aeroplane"] or "airplane" in found["aeroplane"]
    assert not {"passenger jet", "fighter jet"} & set(found["aeroplane"]), "no subclasses"


def test_published_are_the_protocols_names() -> None:
    classes = ClassList((ClassName("dog"), ClassName("tv monitor")))
    vocabulary = Vocabulary(classes, published={"TV monitor": ("screen", "monitor")})
    assert lists(expand_column(vocabulary, "published")) == {"dog": (), "tv monitor": ("screen", "monitor")}
    with pytest.raises(InputError, match="no protocol with names of its own"):
        expand_column(Vocabulary(classes), "published")


def test_controls_of_another_list(tmp_path: Path) -> None:
    path = save(
        tmp_path / "mine.json",
        [ClassExpansion(ClassName("dog"), (Phrase("poodle", source="test"), Phrase("beagle", source="test")))],
    )
    vocabulary = Vocabulary(ClassList((ClassName("dog"), ClassName("cat"))))
    assert {name: len(found) for name, found in lists(expand_column(vocabulary, f"placebo:{path}")).items()} == {
        "dog": 2,
        "cat": 0,
    }
    assert [is_control(source) for source in ("off", f"placebo:{path}", "auto", path)] == [True, True, False, False]


def test_neither_library_nor_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'voc21'"):
        expand_column(VOC, "voc2")
    with pytest.raises(InputError, match="cannot read"):
        expand_column(VOC, str(tmp_path / "none.json"))
