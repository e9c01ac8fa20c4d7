"""`painting`: few classes stand out, each is masked by itself, the best score is painted last."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg import painting
from llmseg.crf import DenseCrf
from llmseg.errors import InputError
from llmseg.painting import close_masks, mask_classes, present_classes


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def labels_of(flags):
    return flags.nonzero()[:, 0].tolist()


# --- which classes are present ---


def slow_gate(scores, background, top, most):
    """The published loop, over numbers."""
    order = sorted(range(len(scores)), key=lambda label: -scores[label])[:top]
    mean = sum(scores[label] for label in order) / len(order)
    variance = sum((scores[label] - mean) ** 2 for label in order) / (len(order) - 1)
    present = []
    for label in order[:most]:
        if label == background:
            continue
        if scores[label] < mean + math.sqrt(variance):
            break
        present.append(label)
    return sorted(present)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("classes", "top", "most"), [(3, 30, 5), (21, 10, 5), (60, 30, 5), (60, 60, 2), (60, 4, 9)])
@pytest.mark.parametrize("background", [None, 0, 2])
def test_the_gate_is_the_published_loop(classes, top, most, background, seed):
    scores = noise(classes, seed=seed) ** 3
    present = present_classes(scores, background, top, most)
    assert (present.dtype, tuple(present.shape)) == (torch.bool, (classes,))
    assert labels_of(present) == slow_gate(scores.double().tolist(), background, top, most)


def test_a_gate_by_hand():
    """Mean 0.25, standard deviation 0.197: above 0.447."""
    scores = torch.tensor([0.5, 0.1, 0.2, 0.1, 0.5, 0.1])
    assert labels_of(present_classes(scores, None)) == [0, 4]
    assert labels_of(present_classes(scores, background=0)) == [4]
    assert labels_of(present_classes(scores, None, most=1)) == [0]


def test_the_background_takes_one_of_the_places():
    scores = torch.tensor([0.9, 0.8, 0.7, *[0.0] * 20])
    assert labels_of(present_classes(scores, background=0, most=2)) == [1]


@pytest.mark.parametrize("classes", [1, 4, 7])
def test_equal_scores_are_all_as_good_as_their_mean(classes):
    assert labels_of(present_classes(torch.full((classes,), 0.1), None)) == list(range(min(classes, 5)))


def test_of_two_classes_neither_stands_out():
    assert labels_of(present_classes(torch.tensor([0.9, 0.1]), None)) == []


def test_a_background_alone_is_nothing():
    assert labels_of(present_classes(torch.tensor([0.9]), background=0)) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(bad):
    with pytest.raises(InputError, match=r"^class_score: holds NaN or infinity; expected numbers\.$"):
        present_classes(torch.tensor([0.1, bad]), None)


# --- closing ---


def slow_closing(mask, side):
    """Pixel by pixel, looking only at pixels inside. [H,W]"""
    reach = side // 2

    def over_squares(mask, rule):
        changed = mask.clone()
        for y in range(mask.shape[0]):
            for x in range(mask.shape[1]):
                square = mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
                changed[y, x] = rule(square)
        return changed

    return over_squares(over_squares(mask, torch.any), torch.all)


@pytest.mark.parametrize("side", [1, 3, 7])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.9])
def test_closing_is_a_dilation_and_an_erosion(side, share):
    masks = noise(2, 19, 26) < share
    closed = close_masks(masks, side)
    assert closed.dtype == torch.bool
    for number in range(2):
        assert closed[number].equal(slow_closing(masks[number], side))


def test_a_narrow_gap_is_closed_and_a_wide_one_is_not():
    masks = torch.ones(1, 20, 40, dtype=torch.bool)
    masks[:, :, 10:16] = False  # 6 wide
    masks[:, :, 26:33] = False  # 7 wide
    expected = masks.clone()
    expected[:, :, 10:16] = True
    assert close_masks(masks).equal(expected)


def test_a_dot_stays_a_dot_and_nothing_stays_nothing():
    masks = torch.zeros(2, 15, 18, dtype=torch.bool)
    masks[0, 7, 8] = True
    assert close_masks(masks).equal(masks)
    assert close_masks(masks[:0]).shape == (0, 15, 18)


# --- masks ---


@pytest.fixture
def scene():
    """A bright right side, and maps of 3 x 5 patches that know it roughly: left, right, the same everywhere."""
    image = torch.zeros(3, 60, 100)
    image[..., 55:] = 0.9
    right = torch.tensor([0.0, 0.1, 0.4, 0.9, 1.0]).expand(3, 5)
    return torch.stack([7 - right, 0.2 * right - 3, torch.full((3, 5), 0.3)]), image


def test_masks_keep_to_the_edge_of_the_image(scene):
    maps, image = scene
    masks = mask_classes(maps, torch.tensor([True, True, True]), image, side=50)
    assert (masks.dtype, tuple(masks.shape)) == (torch.bool, (3, 60, 100))
    right = (torch.arange(100) >= 55).expand(60, 100)
    assert (masks[1] == right).double().mean() > 0.97  # half a pixel of 50
    assert (masks[0] == ~right).double().mean() > 0.97


def test_a_map_that_is_the_same_everywhere_masks_nothing(scene):
    assert not mask_classes(scene[0], torch.tensor([False, False, True]), scene[1], side=50).any()


def test_absent_classes_have_no_mask_and_no_say(scene):
    maps, image = scene
    everything = mask_classes(maps, torch.tensor([True, True, True]), image, side=50)
    maps[0] = math.nan
    masks = mask_classes(maps, torch.tensor([False, True, False]), image, side=50)
    assert not masks[[0, 2]].any()
    assert masks[1].equal(everything[1])
    assert not mask_classes(maps, torch.tensor([False, False, False]), image).any()


def test_masks_do_not_depend_on_the_range_of_a_map(scene):
    maps, image = scene
    present = torch.tensor([True, True, False])
    given = mask_classes(maps, present, image, side=50)
    stretched = mask_classes(maps * torch.tensor([4.0, 0.5, 1.0]).view(3, 1, 1) + 8, present, image, side=50)
    assert (given == stretched).double().mean() > 0.999


def test_classes_are_taken_in_groups_that_change_nothing(scene, monkeypatch):
    present = torch.tensor([True, True, True])
    whole = mask_classes(scene[0], present, scene[1], side=50)
    monkeypatch.setattr(painting, "CLASSES_AT_ONCE", 1)
    assert mask_classes(scene[0], present, scene[1], side=50).equal(whole)


def slow_colours(image, side):
    """Resize, ToTensor and Normalize of torchvision, undone, as uint8."""
    picture = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())
    pixels = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    colours = []
    for plane, mean, deviation in zip(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True):
        mean, deviation = np.float32(mean), np.float32(deviation)
        given = (plane.astype(np.float32) / np.float32(255) - mean) / deviation
        colours.append(((given * deviation + mean) * np.float32(255)).astype(np.uint8))
    return np.stack(colours)


def test_masks_are_the_published_steps():
    """Stretched, repeated, CRF, closed, nearest; on another grid, side and image than 18, 288 and square."""
    maps, image = noise(3, 4, 6) * 2 - 1, noise(3, 30, 60, seed=1)
    field = DenseCrf(torch.from_numpy(slow_colours(image, 48)))
    masks = mask_classes(maps, torch.tensor([True, False, True]), image, side=48)
    assert not masks[1].any()
    for label in (0, 2):
        stretched = (maps[label] - maps[label].min()) / (maps[label].max() - maps[label].min())
        repeated = stretched.repeat_interleave(12, 0).repeat_interleave(8, 1)
        closed = close_masks(field.infer(torch.stack([1 - repeated, repeated]), 3).argmax(0)[None].bool())[0]
        expected = [[closed[y * 48 // 30, x * 48 // 60] for x in range(60)] for y in range(30)]
        assert masks[label].equal(torch.tensor(expected))
        assert masks[label].any()


def test_maps_that_are_no_numbers_are_refused(scene):
    maps, image = scene
    maps[1, 0, 0] = math.nan
    with pytest.raises(InputError, match=r"^probability: holds NaN or infinity; expected numbers\.$"):
        mask_classes(maps, torch.tensor([False, True, False]), image, side=50)
    with pytest.raises(InputError, match=r"^image: holds NaN or infinity; expected numbers\.$"):
        mask_classes(maps, torch.tensor([True, False, False]), image * math.nan, side=50)
