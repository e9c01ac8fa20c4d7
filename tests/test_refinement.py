"""`refinement`: every refiner keeps the record; an unknown one is refused."""

from __future__ import annotations

import pytest
import torch

from llmseg import options
from llmseg.errors import UnknownNameError
from llmseg.refinement import REFINERS, refine_maps
from llmseg.types import ClassList, ClassMaps, ClassName


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(0)
    return ClassMaps(
        maps=torch.rand(2, 3, 4, 5, generator=generator),
        winning_phrase=torch.zeros(2, 3, 4, 5, dtype=torch.int64),
        class_score=torch.rand(2, 3, generator=generator),
        classes=ClassList(tuple(ClassName(name) for name in "abc")),
        phrases=("a", "b", "c"),
        size=(32, 40),
        logit_scale=20.0,
        mode="max",
    )


def test_the_table_is_the_listed_one():
    assert set(REFINERS) == set(options.REFINER.names)


@pytest.mark.parametrize("name", REFINERS)
def test_a_refiner_keeps_shape_and_everything_but_the_maps(maps, name):
    refined = refine_maps(maps, torch.rand(2, 3, 32, 40), name)
    assert refined.maps.shape == maps.maps.shape
    assert (refined.classes, refined.phrases, refined.size) == (maps.classes, maps.phrases, maps.size)


def test_none_is_the_default_and_changes_nothing(maps):
    before = maps.maps.clone()
    assert refine_maps(maps, torch.rand(2, 3, 32, 40)) is maps
    assert maps.maps.equal(before)


def test_an_unknown_refiner_is_refused(maps):
    with pytest.raises(UnknownNameError) as caught:
        refine_maps(maps, torch.zeros(2, 3, 32, 40), "none ")
    assert str(caught.value) == "refiner: unknown name 'none '; expected one of none. Did you mean 'none'?"
