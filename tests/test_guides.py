"""`guides`: masks of regions that somebody connected, and which of them are refused."""

from __future__ import annotations

import pytest
import torch
from slow_refiners import slow_owner

from llmseg.errors import InputError
from llmseg.refinement.guides import take_regions

MASKS = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0))


def test_one_image_has_one_set():
    (owner,) = take_regions(MASKS, 1, (5, 6))
    assert owner.equal(slow_owner(MASKS))


def test_several_images_have_a_set_each_as_large_as_they_like():
    sets = [MASKS, MASKS[:1] > 0.3, MASKS[:0]]
    for owner, masks in zip(take_regions(sets, 3, (5, 6)), sets, strict=True):
        assert owner.equal(slow_owner(masks.float()))


@pytest.mark.parametrize(
    ("regions", "count", "text"),
    [
        (
            MASKS,
            2,
            "4 masks for 2 images; expected one image, whose masks they are. Refine images with regions one by one.",
        ),
        ([MASKS], 2, "1 sets of masks; expected one for each of the 2 images."),
        (MASKS.transpose(1, 2), 1, "shape [4, 6, 5]; expected masks of the image's size [N,5,6]."),
        (MASKS[0], 1, "shape [5, 6]; expected masks of the image's size [N,5,6]."),
    ],
)
def test_other_masks_are_refused(regions, count, text):
    with pytest.raises(InputError) as caught:
        take_regions(regions, count, (5, 6))
    assert str(caught.value) == f"regions: {text}"
