"""`feedback`: the labels of patches and how they bind patches, against loops over pixels and pairs."""

from __future__ import annotations

import math

import pytest
import torch
from slow_parts import slow_affinity, slow_enlarge, slow_labels, unit

from llmseg import feedback as module
from llmseg.attention import ATTENTION, Feedback
from llmseg.feedback import label_affinity, patch_labels

PUBLISHED = ATTENTION["resclip"].feedback
HALF_STEP = 2.0**-12  # of a half float below one


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_labels(height, width, count, seed=0):
    return torch.randint(0, count, (height, width), generator=torch.Generator().manual_seed(seed))


# --- labels ---


@pytest.mark.parametrize("phrases", [1, 4, 40], ids=["one", "few", "more than numbers in a vector"])
@pytest.mark.parametrize("threshold", [0.11, 0.6])
@pytest.mark.parametrize(("grid", "size"), [((3, 5), (12, 20)), ((5, 2), (22, 11)), ((1, 3), (5, 12))])
def test_labels_of_patches_equal_a_loop_over_pixels(grid, size, threshold, phrases):
    features, words = unit(noise(*grid, 16, seed=1)), unit(noise(phrases, 16, seed=2))
    guide = noise(3, *size, seed=3)
    got = patch_labels(features, words, guide, Feedback(share=0.7, gain=1.8, threshold=threshold))
    assert got.equal(slow_labels(features, words, guide, threshold))


@pytest.mark.parametrize("logit_scale", [5.0, 20.0])
def test_what_is_unlikely_depends_on_the_logit_scale(logit_scale):
    features, words, guide = unit(noise(3, 4, 16, seed=1)), unit(noise(5, 16, seed=2)), noise(3, 12, 16, seed=3)
    settings = Feedback(share=0.7, gain=1.8, threshold=0.4, logit_scale=logit_scale)
    assert patch_labels(features, words, guide, settings).equal(slow_labels(features, words, guide, 0.4, logit_scale))


def test_unlikely_pixels_go_to_the_first_phrase():
    features, words = unit(noise(3, 4, 16, seed=1)), unit(noise(5, 16, seed=2))
    guide = noise(3, 12, 16, seed=3)
    sure = patch_labels(features, words, guide, Feedback(share=0, gain=1, threshold=0))
    assert sure.unique().numel() > 1
    assert not patch_labels(features, words, guide, Feedback(share=0, gain=1, threshold=1.1)).any()


def test_how_many_pixels_are_scored_at_once_changes_nothing(monkeypatch):
    features, words, guide = unit(noise(3, 4, 16, seed=1)), unit(noise(5, 16, seed=2)), noise(3, 12, 16, seed=3)
    before = patch_labels(features, words, guide, PUBLISHED)
    monkeypatch.setattr(module, "PIXELS_AT_ONCE", 7)
    assert patch_labels(features, words, guide, PUBLISHED).equal(before)


def test_the_slow_enlarging_is_the_usual_one():
    maps = noise(3, 4, 2)
    wanted = torch.nn.functional.interpolate(
        maps.permute(2, 0, 1)[None], size=(11, 18), mode="bilinear", align_corners=False
    )[0]
    torch.testing.assert_close(slow_enlarge(maps, (11, 18)).float(), wanted)


# --- affinity ---


@pytest.mark.parametrize("count", [1, 2, 3, 9])
@pytest.mark.parametrize("grid", [(3, 5), (5, 3), (4, 9), (1, 8), (7, 1), (1, 2), (1, 1)])
def test_affinity_equals_a_loop_over_pairs(grid, count):
    labels = random_labels(*grid, count, seed=count)
    got = label_affinity(labels)
    torch.testing.assert_close(got, slow_affinity(labels).float(), atol=HALF_STEP + 1e-6, rtol=0)
    assert got.equal(got.half().float())  # a label map is half a float wide
    assert got.max() == 1


def test_affinity_by_hand():
    # The way from the first to the last leaves their label; it is the longest, so that counts exp(-1).
    affinity = torch.tensor([[1, 0, math.exp(-1)], [0, 1, 0], [math.exp(-1), 0, 1]])
    tap = math.exp(-1 / 50)  # three taps, as there are three patches
    blur = torch.tensor([[1, tap, 0], [tap, 1, tap], [0, tap, 1]]) / (1 + 2 * tap)
    rows = affinity @ blur
    rows = rows / rows.sum(1, keepdim=True)
    wanted = rows / rows.max()
    torch.testing.assert_close(label_affinity(torch.tensor([[3, 8, 3]])), wanted, atol=HALF_STEP, rtol=0)


def test_points_halfway_between_patches_are_rounded_to_even():
    # Halfway from the first to the last is (0.5, 1): the patch in row 0, whose label alone decides.
    inside, outside = torch.tensor([[5, 5, 6], [6, 6, 5]]), torch.tensor([[5, 6, 6], [6, 6, 5]])
    for labels in (inside, outside, inside.flip(1), outside.flip(1)):
        wanted = slow_affinity(labels).float()
        torch.testing.assert_close(label_affinity(labels), wanted, atol=HALF_STEP + 1e-6, rtol=0)
    assert label_affinity(inside)[0, 5] > label_affinity(outside)[0, 5]


@pytest.mark.parametrize("points", [1, 500])
def test_how_many_paths_are_walked_at_once_changes_nothing(monkeypatch, points):
    labels = random_labels(4, 9, 3)
    before = label_affinity(labels)
    monkeypatch.setattr(module, "POINTS_AT_ONCE", points)
    assert label_affinity(labels).equal(before)


def test_only_which_labels_are_equal_counts():
    labels = random_labels(4, 6, 4)
    renamed = torch.tensor([17, 3, 250, 8])[labels]
    assert label_affinity(renamed).equal(label_affinity(labels))
