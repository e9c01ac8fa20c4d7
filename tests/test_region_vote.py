"""`region_vote`: overlapping masks become one region a pixel, and regions vote, against loops over pixels."""

from __future__ import annotations

import torch
from slow_refiners import slow_owner, slow_vote
from torch.nn.functional import one_hot

from llmseg.refinement.region_vote import NOBODY, count_pixels, count_regions, own_pixels, share_regions, sum_regions


def rectangles(count, height, width, seed=0):
    """Masks that overlap and leave pixels out. [N,H,W]"""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, height, width)
    for mask in masks:
        top, left, high, wide = (int(torch.randint(1, side, (), generator=generator)) for side in (height, width, 6, 7))
        mask[top : top + high, left : left + wide] = 1
    return masks


def test_the_smallest_mask_has_a_pixel_and_of_equal_ones_the_last():
    masks = rectangles(12, 15, 17)
    owner = own_pixels(masks)
    assert owner.equal(slow_owner(masks))
    assert (owner == NOBODY).any()
    assert len(owner.unique()) > 5
    twice = torch.ones(2, 3, 3)
    assert own_pixels(twice).eq(1).all()


def test_what_is_not_above_a_half_is_outside():
    masks = torch.tensor([[[0.5, 0.51, float("nan"), 1.0]]])
    assert own_pixels(masks)[0].tolist() == [-1, 0, -1, 0]
    assert own_pixels(torch.zeros(0, 2, 2)).eq(NOBODY).all()


def test_regions_take_their_most_frequent_label():
    labels = torch.randint(0, 4, (15, 17), generator=torch.Generator().manual_seed(1))
    owner = own_pixels(rectangles(12, 15, 17))
    votes = one_hot(labels, 4).movedim(-1, 0).float()
    count = count_regions(owner)
    shares = sum_regions(votes, owner, count) / count_pixels(owner, count).clamp(min=1)[:, None]
    voted = share_regions(votes, owner, shares)
    wanted, share = slow_vote(labels, owner)
    assert voted.argmax(0).equal(wanted)
    assert not wanted.equal(labels)
    torch.testing.assert_close(voted.amax(0).double(), share, atol=1e-6, rtol=0)


def test_sums_are_those_of_each_region():
    values = torch.rand(3, 15, 17, generator=torch.Generator().manual_seed(2))
    owner = own_pixels(rectangles(5, 15, 17))
    sums = sum_regions(values, owner, 6)  # nobody is in the sixth
    for number in range(6):
        torch.testing.assert_close(sums[number], values[:, owner == number].sum(1))
        assert count_pixels(owner, 6)[number] == (owner == number).sum()


def test_without_regions_values_stay():
    values, nobody = torch.rand(2, 4, 5), torch.full((4, 5), NOBODY)
    assert count_regions(nobody) == 0
    assert share_regions(values, nobody, torch.zeros(0, 2)).equal(values)
