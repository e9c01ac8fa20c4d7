"""`pamr`: the same as a matrix between pixels, filled pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from slow_parts import slow_pamr, slow_pamr_step

from llmseg import pamr as module
from llmseg.pamr import neighbour_weights, pamr, propagate


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def guide():
    return noise(3, 14, 23, seed=1)


@pytest.fixture(scope="module")
def maps():
    return noise(5, 14, 23, seed=2)


# --- twins ---


@pytest.mark.parametrize(("height", "width"), [(20, 20), (14, 23), (23, 9), (1, 12), (1, 1)])
def test_refined_maps_equal_the_matrix(height, width):
    maps, guide = noise(4, height, width, seed=2), noise(3, height, width, seed=1)
    torch.testing.assert_close(pamr(maps, guide), slow_pamr(maps, guide).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dilations", [(1,), (2, 5), (1, 2, 4, 8, 12, 24)])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_other_steps_and_dilations_equal_the_matrix(maps, guide, steps, dilations):
    wanted = slow_pamr(maps, guide, steps, dilations).float()
    torch.testing.assert_close(pamr(maps, guide, steps, dilations), wanted, atol=1e-5, rtol=0)


def test_a_picture_flat_in_places_equals_the_matrix(maps):
    guide = torch.zeros(3, 14, 23)
    guide[:, 5:9, 10:] = torch.tensor([1.0, 0.0, 2.0])[:, None, None]
    torch.testing.assert_close(pamr(maps, guide), slow_pamr(maps, guide).float(), atol=1e-5, rtol=0)


def test_one_step_by_hand_moves_everything_to_the_neighbour_of_like_colour():
    guide = torch.tensor([0.0, 0.0, 9.0, 0.0, 0.0]).expand(3, 1, 5)
    maps = torch.tensor([[[1.0, 2.0, 4.0, 8.0, 16.0]]])
    # Rows above and below repeat the only one: pixel 1 sees pixels 0, 1 and 2 three, two and three times.
    refined = pamr(maps, guide, steps=1, dilations=(1,))[0, 0]
    assert refined[1].item() == pytest.approx((3 * 1 + 2 * 2) / 5, abs=1e-2)
    assert refined[2].item() == pytest.approx(4.0, abs=1e-2)  # sees itself where rows are repeated


# --- weights ---


@pytest.mark.parametrize("dilations", [(8, 16), (1,), (1, 2, 4)])
def test_weights_of_a_pixel_sum_to_one(guide, dilations):
    weights = neighbour_weights(guide, dilations)
    assert weights.shape == (8 * len(dilations), 14, 23)
    torch.testing.assert_close(weights.sum(0), torch.ones(14, 23))


def test_a_row_of_the_matrix_sums_to_one(guide):
    torch.testing.assert_close(slow_pamr_step(guide).sum(1), torch.ones(14 * 23, dtype=torch.float64))


@pytest.mark.parametrize("factor", [0.25, 50.0])
def test_a_factor_or_an_offset_per_colour_changes_nothing(maps, guide, factor):
    other = guide * torch.tensor([factor, 1.0, 3.0])[:, None, None] + torch.tensor([2.0, -1.0, 0.0])[:, None, None]
    torch.testing.assert_close(pamr(maps, other), pamr(maps, guide), atol=1e-4, rtol=0)


# --- maps ---


def test_a_constant_map_stays(guide):
    maps = torch.tensor([1.0, -2.5])[:, None, None].expand(2, 14, 23)
    torch.testing.assert_close(pamr(maps, guide), maps)


def test_maps_stay_between_their_least_and_largest(maps, guide):
    refined = pamr(maps, guide)
    assert bool((refined.amax((1, 2)) <= maps.amax((1, 2))).all())
    assert bool((refined.amin((1, 2)) >= maps.amin((1, 2))).all())


def test_it_is_linear_so_features_may_be_refined_for_scores(guide):
    features, phrases = noise(6, 14, 23, seed=3), noise(9, 6, seed=4)
    scores = torch.einsum("kd,dhw->khw", phrases, features)
    through = torch.einsum("kd,dhw->khw", phrases, pamr(features, guide))
    torch.testing.assert_close(through, pamr(scores, guide), atol=1e-5, rtol=0)


@pytest.mark.parametrize("numbers", [1, 2 * 14 * 23, 10**9])
def test_how_many_channels_run_at_once_changes_nothing(monkeypatch, maps, guide, numbers):
    before = pamr(maps, guide)
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", numbers)
    assert pamr(maps, guide).equal(before)


def test_maps_are_not_written_to(maps, guide):
    before = maps.clone()
    propagate(maps, neighbour_weights(guide))
    assert maps.equal(before)


def test_no_maps_give_none(guide):
    assert pamr(torch.zeros(0, 14, 23), guide).shape == (0, 14, 23)


def test_bands_of_rows_change_no_weight(monkeypatch):
    guide = torch.rand(3, 13, 9, generator=torch.Generator().manual_seed(4))
    whole = neighbour_weights(guide)
    monkeypatch.setattr(module, "NUMBERS_PER_BAND", 1)
    torch.testing.assert_close(neighbour_weights(guide), whole, atol=1e-6, rtol=0)  # sums round in their own order
