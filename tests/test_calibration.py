"""`calibration`: outliers, mending and smoothing equal loops over tokens, image by image."""

from __future__ import annotations

import pytest
import torch
from slow_parts import slow_mend, slow_outliers, slow_smooth, slow_spread, unit

from llmseg.calibration import cosines, find_outliers, mend_outliers, smooth, spread


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def similar(batch=2, patches=24, seed=0):
    """Cosines of tokens that have something in common, so that some are above and some below any limit. [B,P,P]"""
    return cosines(noise(batch, patches, 8, seed=seed) + 0.8)


# --- outliers ---


@pytest.mark.parametrize("patches", [1, 2, 3, 15, 25, 31, 32, 40, 90])
def test_outliers_equal_a_loop_over_tokens(patches):
    tokens = noise(2, patches, 16, seed=patches)
    wanted = torch.stack([slow_outliers(image) for image in tokens])
    assert find_outliers(tokens).equal(wanted)


def test_outliers_of_tokens_at_all_distances_equal_a_loop_over_tokens():
    # Here it matters that distances are squared before they are averaged.
    tokens = noise(10, 40, 4, seed=5) * noise(10, 40, 1, seed=6).exp()
    wanted = torch.stack([slow_outliers(image) for image in tokens])
    assert find_outliers(tokens).equal(wanted)


@pytest.mark.parametrize(("patches", "count"), [(1, 0), (2, 0), (15, 0), (21, 0), (40, 2), (196, 10)])
def test_a_twentieth_are_outliers_where_there_are_enough(patches, count):
    # The two farthest apart of a few tokens tie, and a tie at the limit is not beyond it.
    found = find_outliers(noise(3, patches, 16, seed=5))
    assert found.dtype == torch.bool
    assert found.sum(1).tolist() == [count] * 3


def test_planted_outliers_are_found():
    tokens = noise(1, 100, 16, seed=1)
    tokens[0, [7, 50, 93]] += torch.tensor([[30.0], [-40.0], [55.0]])
    assert set(find_outliers(tokens)[0].nonzero().flatten().tolist()) > {7, 50, 93}


def test_tokens_all_alike_have_no_outliers():
    assert not find_outliers(torch.ones(2, 40, 8)).any()


def test_outliers_do_not_depend_on_other_images():
    tokens = noise(3, 50, 16) * torch.tensor([1.0, 100.0, 0.01])[:, None, None]
    together = find_outliers(tokens)
    assert together.equal(torch.cat([find_outliers(image[None]) for image in tokens]))
    assert together[0].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_outliers_of_half_precision_are_found_in_full(dtype):
    tokens = noise(2, 50, 16).to(dtype)
    assert find_outliers(tokens).equal(find_outliers(tokens.float()))


# --- mending ---


@pytest.mark.parametrize("grid", [(5, 8), (8, 5), (1, 7), (6, 1), (1, 1)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 1.0])
def test_mending_equals_a_loop_over_patches(grid, share):
    patches = grid[0] * grid[1]
    tokens = noise(2, patches, 6)
    outliers = torch.rand(2, patches, generator=torch.Generator().manual_seed(1)) < share
    wanted = torch.stack([slow_mend(*image, grid) for image in zip(tokens, outliers, strict=True)])
    torch.testing.assert_close(mend_outliers(tokens, outliers, grid), wanted)


def test_mending_by_hand():
    tokens = torch.tensor([[[1.0], [100.0], [3.0], [200.0], [5.0], [6.0]]])  # 2 x 3
    outliers = torch.tensor([[False, True, False, True, False, False]])
    mended = mend_outliers(tokens, outliers, (2, 3)).flatten().tolist()
    assert mended == pytest.approx([1, (1 + 3 + 5 + 6) / 4, 3, (1 + 5) / 2, 5, 6])


def test_an_outlier_among_outliers_stays():
    tokens = noise(1, 12, 4)
    assert mend_outliers(tokens, torch.ones(1, 12, dtype=torch.bool), (3, 4)).equal(tokens)


# --- smoothing ---


def test_cosines_are_those_of_every_image_by_itself():
    tokens = noise(2, 7, 5) * 3
    wanted = torch.stack([unit(image) @ unit(image).T for image in tokens])
    torch.testing.assert_close(cosines(tokens), wanted)


@pytest.mark.parametrize("least", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("patches", [1, 5, 24])
def test_smoothing_equals_a_loop_over_tokens(patches, least):
    tokens, similarity = noise(2, patches, 6, seed=3), similar(patches=patches)
    wanted = torch.stack([slow_smooth(*image, least) for image in zip(tokens, similarity, strict=True)])
    torch.testing.assert_close(smooth(tokens, similarity, least), wanted, atol=1e-5, rtol=0)


def test_smoothing_by_hand():
    similarity = torch.tensor([[[1.0, 0.5, 0.39], [0.5, 1.0, 0.0], [0.39, 0.0, 1.0]]])
    tokens = torch.tensor([[[3.0], [6.0], [9.0]]])
    smoothed = smooth(tokens, similarity, 0.4).flatten().tolist()
    assert smoothed == pytest.approx([(3 + 0.5 * 6) / 1.5, (0.5 * 3 + 6) / 1.5, 9], rel=1e-5)


@pytest.mark.parametrize("patches", [1, 5, 24])
def test_spreading_equals_a_loop_over_tokens_and_is_the_same_for_all_heads(patches):
    similarity, values = similar(patches=patches), noise(2, 3, patches, 4, seed=4)
    wanted = torch.stack([slow_spread(image, 3.0) @ own for image, own in zip(similarity, values, strict=True)])
    torch.testing.assert_close(spread(similarity, values, 3.0), wanted, atol=1e-5, rtol=0)


def test_spreading_measures_each_image_by_its_own_mean():
    similarity, values = torch.cat([similar(1), similar(1, seed=1) * 0.1]), noise(2, 3, 24, 4, seed=4)
    alone = torch.cat([spread(similarity[[n]], values[[n]], 3.0) for n in range(2)])
    torch.testing.assert_close(spread(similarity, values, 3.0), alone)
