"""`bilateral`: joint bilateral upsampling against a loop over points, and that it keeps to the edges of the picture."""

from __future__ import annotations

import pytest
import torch

from llmseg.refinement import bilateral
from llmseg.refinement.bilateral import COLOUR, DISTANCE, FINER, RADIUS, upsample_bilaterally


@pytest.fixture
def maps():
    return torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def image():
    return torch.rand(3, 32, 40, generator=torch.Generator().manual_seed(1))


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


@pytest.mark.parametrize(
    ("colour", "distance", "grid"), [(COLOUR, DISTANCE, (4, 5)), (0.5, 1.0, (3, 2)), (0.1, 2.0, (1, 7))]
)
def test_it_is_its_formula(colour, distance, grid):
    generator = torch.Generator().manual_seed(2)
    maps = torch.rand(2, *grid, generator=generator)
    image = torch.rand(3, grid[0] * FINER, grid[1] * FINER, generator=generator)
    refined = upsample_bilaterally(maps, image, colour, distance)
    expected = slow_twin(maps.double(), image.double(), colour, distance)
    torch.testing.assert_close(refined.double(), expected, atol=1e-5, rtol=0)


def test_by_hand():
    """One patch: whatever the picture, all its points are the patch."""
    refined = upsample_bilaterally(torch.tensor([0.3, 0.7]).view(2, 1, 1), torch.rand(3, 8, 8))
    torch.testing.assert_close(refined, torch.tensor([0.3, 0.7]).view(2, 1, 1).expand(2, FINER, FINER))


def test_values_stay_between_those_of_the_patches(maps, image):
    refined = upsample_bilaterally(maps, image)
    assert refined.shape == (3, 4 * FINER, 5 * FINER)
    assert bool((refined.amin((1, 2)) >= maps.amin((1, 2)) - 1e-6).all())
    assert bool((refined.amax((1, 2)) <= maps.amax((1, 2)) + 1e-6).all())


def test_bands_change_nothing(maps, image, monkeypatch):
    whole = upsample_bilaterally(maps, image)
    monkeypatch.setattr(bilateral, "NUMBERS_PER_BAND", 1)  # a row of patches a band
    torch.testing.assert_close(upsample_bilaterally(maps, image), whole, atol=1e-6, rtol=0)


def test_it_keeps_to_the_edge_of_the_picture():
    """A black and a white half whose edge runs through the middle of a patch, which is told to be both."""
    image = torch.zeros(3, 32, 40)
    image[..., 20:] = 1
    halves = torch.zeros(3, 4, 5)
    halves[0, :, :2] = halves[1, :, 3:] = 1
    halves[:2, :, 2] = 0.5
    labels = upsample_bilaterally(halves, image).argmax(0)
    assert bool((labels[..., : 5 * FINER // 2] == 0).all())
    assert bool((labels[..., 5 * FINER // 2 :] == 1).all())


def test_colours_far_from_all_patches_are_no_division_by_zero(maps):
    image = (torch.arange(32 * 40).reshape(32, 40) % 2).float().expand(3, 32, 40)
    assert bool(upsample_bilaterally(maps, image, colour=1e-3).isfinite().all())


def test_nothing_is_changed_in_place(maps, image):
    before = maps.clone(), image.clone()
    upsample_bilaterally(maps, image)
    assert maps.equal(before[0])
    assert image.equal(before[1])
