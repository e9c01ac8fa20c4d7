"""`refinement`: every refiner keeps the record, the bilateral one keeps to the edges of the picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from llmseg import options, refinement
from llmseg.errors import InputError, UnknownNameError
from llmseg.refinement import COLOUR, DISTANCE, FINER, RADIUS, REFINERS, refine_bilaterally, refine_maps
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


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(1))


def test_the_table_is_the_listed_one():
    assert set(REFINERS) == set(options.REFINER.names)


@pytest.mark.parametrize("name", REFINERS)
def test_a_refiner_keeps_everything_but_the_maps(maps, images, name):
    refined = refine_maps(maps, images, name)
    assert refined.maps.shape[:2] == maps.maps.shape[:2]
    assert replace(refined, maps=maps.maps) == maps


@pytest.mark.parametrize("name", REFINERS)
def test_a_refiner_stays_between_the_values_it_is_given(maps, images, name):
    refined = refine_maps(maps, images, name).maps.flatten(2)
    given = maps.maps.flatten(2)
    assert bool((refined.amin(2) >= given.amin(2) - 1e-6).all())
    assert bool((refined.amax(2) <= given.amax(2) + 1e-6).all())


def test_auto_is_the_models_own(maps, images):
    assert refine_maps(maps, images) is maps
    own = replace(maps, refiner="bilateral")
    assert refine_maps(own, images).maps.equal(refine_bilaterally(own, images).maps)


def test_nothing_is_changed_in_place(maps, images):
    before = maps.maps.clone(), images.clone()
    refine_bilaterally(maps, images)
    assert maps.maps.equal(before[0])
    assert images.equal(before[1])


# --- bilateral ---


def slow_twin(maps, image, colour, distance):
    """Point by point, neighbour by neighbour. [C,h,w], [3,4h,4w] -> [C,4h,4w]"""
    classes, height, width = maps.shape
    cells = image.reshape(3, height, FINER, width, FINER).mean((2, 4))
    refined = torch.zeros(classes, height * FINER, width * FINER, dtype=torch.float64)
    for y in range(height * FINER):
        for x in range(width * FINER):
            total = 0.0
            for row in range(max(0, y // FINER - RADIUS), min(height, y // FINER + RADIUS + 1)):
                for column in range(max(0, x // FINER - RADIUS), min(width, x // FINER + RADIUS + 1)):
                    away = ((y + 0.5) / FINER - 0.5 - row) ** 2 + ((x + 0.5) / FINER - 0.5 - column) ** 2
                    unlike = (image[:, y, x] - cells[:, row, column]).square().sum()
                    weight = torch.exp(-away / (2 * distance**2) - unlike / (2 * colour**2))
                    refined[:, y, x] += weight * maps[:, row, column]
                    total += weight
            refined[:, y, x] /= total
    return refined


@pytest.mark.parametrize(("colour", "distance"), [(COLOUR, DISTANCE), (0.5, 1.0)])
def test_bilateral_is_its_formula(maps, colour, distance):
    images = torch.rand(2, 3, 4 * FINER, 5 * FINER, generator=torch.Generator().manual_seed(2))
    refined = refine_bilaterally(maps, images, colour, distance).maps
    for number in range(2):
        expected = slow_twin(maps.maps[number].double(), images[number].double(), colour, distance)
        assert torch.allclose(refined[number].double(), expected, atol=1e-5)


def test_bands_change_nothing(maps, images, monkeypatch):
    whole = refine_bilaterally(maps, images).maps
    monkeypatch.setattr(refinement, "NUMBERS_PER_BAND", 1)  # a row of patches a band
    assert torch.allclose(refine_bilaterally(maps, images).maps, whole, atol=1e-6)


def test_bilateral_keeps_to_the_edge_of_the_picture(maps):
    """A black and a white half whose edge runs through the middle of a patch, which is told to be both."""
    images = torch.zeros(2, 3, 32, 40)
    images[..., 20:] = 1
    halves = torch.zeros(2, 3, 4, 5)
    halves[:, 0, :, :2] = halves[:, 1, :, 3:] = 1
    halves[:, :2, :, 2] = 0.5
    labels = refine_bilaterally(replace(maps, maps=halves), images).maps.argmax(1)
    assert bool((labels[..., : 5 * FINER // 2] == 0).all())
    assert bool((labels[..., 5 * FINER // 2 :] == 1).all())


def test_colours_far_from_all_patches_are_no_division_by_zero(maps):
    images = (torch.arange(32 * 40).reshape(32, 40) % 2).float().expand(2, 3, 32, 40)
    assert bool(refine_bilaterally(maps, images, colour=1e-3).maps.isfinite().all())


# --- refused ---


def test_an_unknown_refiner_is_refused(maps):
    with pytest.raises(UnknownNameError) as caught:
        refine_maps(maps, torch.zeros(2, 3, 32, 40), "none ")
    assert str(caught.value) == "refiner: unknown name 'none '; expected one of none, bilateral. Did you mean 'none'?"


def test_other_images_are_refused(maps):
    with pytest.raises(InputError, match=r"^image: 1 images; expected the 2 of the maps\.$"):
        refine_maps(maps, torch.zeros(1, 3, 32, 40))


def test_a_picture_of_another_size_is_refused(maps):
    with pytest.raises(InputError, match=r"^image: 40 x 32 pixels; expected the 32 x 40 of the maps\.$"):
        refine_maps(maps, torch.zeros(2, 3, 40, 32))


def test_maps_that_would_fill_the_memory_are_refused(maps, images):
    huge = replace(maps, maps=torch.zeros(()).expand(2, 171, 1024, 1024))
    with pytest.raises(InputError, match=r"^refiner: 171 classes on 1024 x 1024 patches are too many to refine"):
        refine_maps(huge, images, "bilateral")
