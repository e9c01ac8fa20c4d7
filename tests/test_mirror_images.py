"""Mirror images in `patch_features`: seen in the same windows, mirrored, and averaged with the others."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import interpolate

from llmseg.errors import UnknownNameError
from llmseg.patch_features import build_patch_features


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 56, 88, generator=torch.Generator().manual_seed(2))


FLIPPED = {
    "grid": {"layout": "grid", "window": 32, "stride": 24},
    "between patches": {"layout": "published", "window": 30, "stride": 13},
    "whole": {"layout": "published", "window": 0},
}


@pytest.mark.parametrize("case", FLIPPED)
def test_of_a_mirror_image_everything_is_mirrored(encoder, case):
    """Windows need not lie symmetrically: those of the mirror image lie where the mirrored ones do."""
    images = torch.rand(2, 3, 75, 101, generator=torch.Generator().manual_seed(4))
    options = {"attention": "naclip", "scales": "one", "resize": 60, **FLIPPED[case]}
    (level,) = build_patch_features(encoder, images, **options, flips="horizontal").levels
    (plain,) = build_patch_features(encoder, images, **options).levels
    assert level.plan == plain.plan
    assert level.windows.shape == plain.windows.shape
    resized = interpolate(images, size=plain.plan.size, mode="bilinear", antialias=options["layout"] == "grid")
    high, wide = (8 * cells for cells in plain.plan.cells)
    for (row, top), (column, left) in itertools.product(enumerate(plain.plan.tops), enumerate(plain.plan.lefts)):
        pixels = resized[:, :, top : top + high, left : left + wide]
        seen = (encoder.encode_patches(each, "naclip") for each in (pixels, pixels.flip(3)))
        wanted = (next(seen) + next(seen).flip(2)) / 2
        torch.testing.assert_close(level.windows[:, row, column], wanted, atol=1e-5, rtol=0)


def test_mirror_images_are_stitched_by_themselves(encoder):
    """Windows of 32 pixels, 24 apart, lie symmetrically on 104 pixels."""
    images = torch.rand(2, 3, 56, 104, generator=torch.Generator().manual_seed(5))
    options = {"attention": "stitched", "window": 32, "stride": 24, "resize": 0, "scales": "one"}
    one, other = (build_patch_features(encoder, each, **options).levels[0] for each in (images, images.flip(3)))
    (level,) = build_patch_features(encoder, images, **options, flips="horizontal").levels
    assert level.plan == one.plan
    torch.testing.assert_close(level.windows, (one.windows + other.windows.flip(4)) / 2, atol=1e-5, rtol=0)


def test_mirror_images_are_twice_the_windows(encoder, images):
    told = []
    options = {"window": 32, "stride": 24, "resize": 0, "scales": "three", "attention": "naclip"}
    build_patch_features(encoder, images, **options, on_batch=lambda *steps: told.append(steps))
    once = told[-1]
    build_patch_features(encoder, images, **options, flips="horizontal", on_batch=lambda *steps: told.append(steps))
    assert once[0] == once[1]
    assert told[-1] == (2 * once[0], 2 * once[1])


def test_unknown_flips_are_refused(encoder, images):
    with pytest.raises(UnknownNameError, match=r"^flips: unknown name 'vertical'; expected one of none, horizontal\."):
        build_patch_features(encoder, images, flips="vertical")
