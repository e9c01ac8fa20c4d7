"""`superpixels`: pieces of like colour by scikit-image, and what is said where it is missing."""

from __future__ import annotations

import sys

import pytest
import torch

from llmseg.errors import InputError
from llmseg.refinement import superpixels
from llmseg.refinement.superpixels import cut_superpixels, mask_superpixels


def test_pieces_cover_the_picture_and_keep_to_its_colours():
    pytest.importorskip("skimage")
    picture = torch.full((3, 32, 48), 0.2)
    picture[0, :, 21:] = 0.9  # an edge that is no multiple of a piece's side
    pieces = cut_superpixels(picture)
    assert (pieces.shape, pieces.dtype) == ((32, 48), torch.int64)
    numbers = pieces.unique()
    assert numbers.tolist() == list(range(len(numbers)))
    assert 12 <= len(numbers) <= 48  # 24 squares of 8 x 8
    assert not set(pieces[:, :21].unique().tolist()) & set(pieces[:, 21:].unique().tolist())


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)])
def test_a_tiny_picture_is_cut_too(size):
    pytest.importorskip("skimage")
    assert cut_superpixels(torch.rand(3, *size)).shape == size


@pytest.mark.parametrize("count", [1, 7, 30])
def test_masks_share_out_the_pixels(count):
    pytest.importorskip("skimage")
    picture = torch.linspace(0, 1, 20)[:, None] * torch.linspace(0, 1, 31) * torch.ones(1, 3, 1, 1)
    masks = mask_superpixels(picture, count)
    assert (masks.shape[1:], masks.dtype) == ((20, 31), torch.bool)
    assert masks.sum(0).eq(1).all()
    assert masks.flatten(1).any(1).all()
    assert count / 2 <= len(masks) <= 2 * count


def test_several_pictures_and_too_many_masks_are_refused(monkeypatch):
    with pytest.raises(InputError) as caught:
        mask_superpixels(torch.zeros(3, 3, 4, 4), 5)
    assert str(caught.value) == "image: 3 images; expected one. Cut images one by one."
    monkeypatch.setattr(superpixels, "MOST_NUMBERS", 79)
    with pytest.raises(InputError) as caught:
        mask_superpixels(torch.zeros(1, 3, 4, 4), 5)
    assert str(caught.value) == (
        "count: 5 masks of 4 x 4 pixels; expected at most 79 pixels in all. Choose fewer, or a smaller picture."
    )


@pytest.mark.parametrize(
    ("cut", "place"),
    [
        (lambda: cut_superpixels(torch.zeros(3, 4, 4)), "refiner"),
        (lambda: mask_superpixels(torch.zeros(1, 3, 4, 4), 5), "superpixels"),
    ],
)
def test_without_the_package_one_line_says_how_to_get_it(monkeypatch, cut, place):
    for name in ("skimage", "skimage.segmentation"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError) as caught:
        cut()
    assert str(caught.value).startswith(f"{place}: superpixels need the package scikit-image, which cannot be ")
    assert str(caught.value).endswith("Run: pip install scikit-image")
