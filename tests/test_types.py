"""The records: what they say about themselves."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from slow_scores import make_bank, make_features

from llmseg import types
from llmseg.errors import InputError
from llmseg.types import UNKNOWN, ClassExpansion, ClassList, ClassName, Expansion, LabelMap, Phrase


def label_map(labels: list[list[list[int]]], names: tuple[str, ...]) -> LabelMap:
    tensor = torch.tensor(labels)
    empty = torch.full_like(tensor, -1)
    return LabelMap(tensor, names, ((0, 0, 0),) * len(names), torch.ones(tensor.shape), empty)


@pytest.mark.parametrize("name", [name for name in types.__all__ if name != "UNKNOWN"])
def test_records_are_frozen(name: str) -> None:
    record = getattr(types, name)
    first = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(object.__new__(record), first, None)


def test_class_list_names_in_label_order() -> None:
    classes = ClassList((ClassName("dog"), ClassName("sky", role="background"), ClassName("car")))
    assert classes.names == ("dog", "sky", "car")
    assert classes.background == 1
    assert ClassList((ClassName("dog"),)).background is None


def test_classes_that_only_compete_are_not_shown() -> None:
    negatives = tuple(ClassName(name, role="negative") for name in ("shadow", "fog"))
    classes = ClassList((ClassName("dog"), ClassName("sky", role="background"), *negatives))
    assert classes.names == ("dog", "sky", "shadow", "fog")
    assert classes.shown.names == ("dog", "sky")
    assert classes.shown.background == classes.background == 1
    assert ClassList((ClassName("dog"),)).shown == ClassList((ClassName("dog"),))


@pytest.mark.parametrize(("size", "window"), [((40, 56), 0), ((56, 40), 24), ((21, 45), 24)])
def test_the_grid_of_a_level_is_its_whole_patches(size: tuple[int, int], window: int) -> None:
    level = make_features(size, window=window, stride=16).levels[0]
    assert level.grid == (level.plan.size[0] // 8, level.plan.size[1] // 8)
    assert level.windows.shape[1:3] == (len(level.plan.tops), len(level.plan.lefts))
    assert level.windows.shape[3:5] == level.plan.cells


def test_weights_of_phrases_are_optional() -> None:
    assert make_bank([0, 1]).weights is None
    weights = make_bank([0, 1], weights=[1.0, 0.5]).weights
    assert weights is not None
    assert weights.tolist() == [1.0, 0.5]


@pytest.mark.parametrize(("status", "kept"), [("ok", True), ("user", True), ("dropped", False)])
def test_phrase_is_kept_unless_dropped(status: str, kept: bool) -> None:
    assert Phrase("poodle", status).kept is kept


def test_expansion_keeps_classes_and_drops_phrases() -> None:
    phrases = (Phrase("poodle"), Phrase("cat", "dropped", "other_class"), Phrase("beagle", "user"))
    expansion = Expansion((ClassExpansion(ClassName("dog"), phrases), ClassExpansion(ClassName("cat"))))
    assert expansion.classes[0].kept == ("poodle", "beagle")
    assert expansion.class_list.names == ("dog", "cat")
    assert expansion.provenance == {}


def test_mask_and_area_are_counts_of_pixels() -> None:
    result = label_map([[[0, 1, 1], [0, 0, UNKNOWN]], [[1, 1, 1], [1, 1, UNKNOWN]]], ("dog", "Red Car", "tree"))
    assert result.mask("dog").tolist() == [[[True, False, False], [True, True, False]], [[False] * 3] * 2]
    assert result.area() == pytest.approx({"dog": 3 / 12, "Red Car": 7 / 12, "tree": 0.0})
    assert result.mask("tree").sum() == 0


@pytest.mark.parametrize("name", ["Red Car", "red car", "  RED   car "])
def test_class_is_found_by_name_whatever_its_case(name: str) -> None:
    assert label_map([[[0]]], ("dog", "Red Car")).index(name) == 1


def test_unknown_class_names_the_nearest() -> None:
    result = label_map([[[0]]], ("dog", "car"))
    with pytest.raises(InputError) as caught:
        result.mask("carr")
    text = "class_name: unknown name 'carr'; expected one of dog, car. Did you mean 'car'?"
    assert str(caught.value) == text
    with pytest.raises(InputError) as caught:
        result.mask("zebra")
    assert str(caught.value) == "class_name: unknown name 'zebra'; expected one of dog, car."
