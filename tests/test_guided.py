"""`guided`: the guided filter against a linear model fitted in every window, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from slow_refiners import slow_guided

from llmseg.refinement import guided
from llmseg.refinement.guided import EVENNESS, RADIUS, box_mean, filter_guided


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("radius", "evenness", "size"),
    [(RADIUS, EVENNESS, (13, 21)), (2, 1e-2, (13, 21)), (3, 1e-4, (9, 4)), (1, 1e-3, (1, 7)), (0, 0.1, (3, 3))],
)
def test_it_is_its_formula(radius, evenness, size):
    maps, guide = noise(4, *size, seed=1), noise(3, *size, seed=2)
    wanted = slow_guided(maps, guide, radius, evenness)
    torch.testing.assert_close(filter_guided(maps, guide, radius, evenness).double(), wanted, atol=1e-4, rtol=0)


def test_flat_and_stepped_pictures_equal_the_formula():
    """Windows whose colours do not span all directions are the hard ones."""
    guide = torch.full((3, 12, 16), 0.3)
    guide[0, :, 8:], guide[1, 6:] = 0.9, 0.35
    maps = noise(2, 12, 16, seed=3)
    wanted = slow_guided(maps, guide, 4, 1e-4)
    torch.testing.assert_close(filter_guided(maps, guide, 4, 1e-4).double(), wanted, atol=1e-4, rtol=0)


def test_a_step_of_the_picture_becomes_one_of_the_map():
    guide = torch.zeros(3, 20, 40)
    guide[:, :, 20:] = 1
    blurred = torch.linspace(0, 1, 40).expand(1, 20, 40)
    refined = filter_guided(blurred, guide)[0, 10]
    before, after = float(blurred[0, 0, 20] - blurred[0, 0, 19]), float(refined[20] - refined[19])
    assert after > 8 * before


def test_a_flat_picture_gives_the_mean_of_the_means():
    maps = noise(2, 15, 15, seed=4)
    refined = filter_guided(maps, torch.full((3, 15, 15), 0.5), 3)
    torch.testing.assert_close(refined, box_mean(box_mean(maps, 3), 3), atol=1e-5, rtol=0)


def test_it_is_linear_and_keeps_constants():
    guide, one, other = noise(3, 14, 18), noise(2, 14, 18, seed=5), noise(2, 14, 18, seed=6)
    mixed = filter_guided(2 * one - other, guide)
    torch.testing.assert_close(mixed, 2 * filter_guided(one, guide) - filter_guided(other, guide), atol=1e-4, rtol=0)
    constant = torch.full((1, 14, 18), 0.7)
    torch.testing.assert_close(filter_guided(constant, guide), constant, atol=1e-5, rtol=0)


def test_how_many_maps_run_at_once_changes_nothing(monkeypatch):
    maps, guide = noise(5, 11, 12, seed=7), noise(3, 11, 12, seed=8)
    before = filter_guided(maps, guide)
    monkeypatch.setattr(guided, "NUMBERS_AT_ONCE", 2 * 11 * 12)
    torch.testing.assert_close(filter_guided(maps, guide), before, atol=1e-6, rtol=0)
    assert filter_guided(maps[:0], guide).shape == (0, 11, 12)


def test_a_long_row_is_summed_exactly_enough():
    maps, guide = noise(1, 3, 6000, seed=9), noise(3, 3, 6000, seed=10)
    wanted = filter_guided(maps.double(), guide.double())
    torch.testing.assert_close(filter_guided(maps, guide).double(), wanted, atol=1e-3, rtol=0)
