"""`blocks`: refined block by block equals refined at once; winners only; what is not held is made when asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from slow_scores import make_scores, units
from torch.nn.functional import interpolate

from llmseg.assembly import assemble_classes
from llmseg.class_maps import HeldMaps
from llmseg.labels import label_pixels
from llmseg.refinement import blocks, refine_maps
from llmseg.refinement.blocks import BlockMaps, ChosenMaps, read_pixels, refine_in_blocks
from llmseg.sampling import Box

INDEX = [2, 0, 0, 1, 0, 2, 3]
SIZE = (72, 90)
SMALL = 20 * 20  # pixels of a block


@pytest.fixture
def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "MOST_BLOCK_PIXELS", SMALL)
    monkeypatch.setattr(blocks, "LEAST_BLOCK_PIXELS", 1)


@pytest.fixture
def nothing_held(monkeypatch):
    monkeypatch.setattr(blocks, "MOST_HELD", 0)


def class_maps(mode="max", **given):
    return assemble_classes(make_scores(INDEX, size=SIZE, names=units(4, seed=6), **given), mode)


def whole(maps):
    return Box(slice(0, maps.size[0]), slice(0, maps.size[1]))


def same(values, picture, image, place):
    return values


# --- what is refined ---


@pytest.mark.parametrize(("mode", "scoring"), [("max", "fast"), ("softmax_sum", "fast"), ("max", "exact")])
def test_pixels_are_the_enlarged_probabilities(mode, scoring):
    maps = class_maps(mode, scoring=scoring)
    pixels = read_pixels(maps)
    values = interpolate(maps.maps, size=SIZE, mode="bilinear", align_corners=False)
    wanted = values if maps.probabilities else (values * maps.logit_scale).softmax(1)
    for image in range(2):
        chosen = pixels.chosen[image]
        torch.testing.assert_close(pixels.read(image, whole(maps)), wanted[image, chosen], atol=1e-5, rtol=0)
        box = Box(slice(7, 30), slice(41, 90))
        torch.testing.assert_close(pixels.read(image, box), wanted[image, chosen][:, 7:30, 41:90], atol=1e-5, rtol=0)


def test_only_classes_that_win_enough_are_chosen():
    scores = torch.zeros(1, 5, 40, 50)
    scores[0, 3] = 0.5
    scores[0, 1, :1, :3] = 1.0  # three points of 2000: enough
    scores[0, 4, 39, 49] = 1.0  # one of 2000: not
    maps = replace(class_maps(), source=HeldMaps(scores))
    assert read_pixels(maps).chosen[0].tolist() == [1, 3]
    assert read_pixels(maps, scores=True).chosen[0].tolist() == [0, 1, 2, 3]


def test_where_nobody_wins_enough_all_winners_are_chosen(monkeypatch):
    monkeypatch.setattr(blocks, "LEAST_SHARE", 1.1)
    maps = class_maps()
    assert read_pixels(maps).chosen[0].tolist() == maps.maps[0].argmax(0).unique().tolist()


def test_a_class_that_is_gated_is_not_chosen():
    maps = replace(class_maps(), present=torch.tensor([[False, True, False, True], [False] * 4]))
    pixels = read_pixels(maps)
    assert set(pixels.chosen[0].tolist()) <= {1, 3}
    assert pixels.chosen[1].tolist() == []
    refined = refine_maps(maps, torch.rand(2, 3, *SIZE), "guided")
    assert refined.maps[0, [0, 2]].eq(0).all()
    assert refined.maps[1].eq(0).all()
    assert label_pixels(refined).labels[1].eq(-1).all()


# --- blocks ---


@pytest.mark.parametrize("name", ["pamr", "guided"])
def test_with_their_margins_blocks_equal_the_whole(images, name, monkeypatch, request):
    maps = class_maps()
    at_once = refine_maps(maps, images, name).maps
    request.getfixturevalue("small_blocks")
    torch.testing.assert_close(refine_maps(maps, images, name).maps, at_once, atol=1e-4, rtol=0)


@pytest.mark.parametrize("margin", [0, 7, 200])
def test_a_step_sees_each_block_with_its_margin(images, margin, small_blocks):
    seen = []

    def note(values, picture, image, place):
        assert picture.equal(images[image, :, place.rows, place.columns])
        assert values.shape[1:] == picture.shape[1:]
        seen.append((image, place))
        return values

    refined = refine_in_blocks(class_maps(), images, note, margin)
    tops, lefts = (tuple(range(0, side, 20)) for side in SIZE)
    wanted = [
        (
            image,
            Box(
                slice(max(0, top - margin), min(SIZE[0], top + 20 + margin)),
                slice(max(0, left - margin), min(SIZE[1], left + 20 + margin)),
            ),
        )
        for image in range(2)
        for top in tops
        for left in lefts
    ]
    assert seen == wanted
    untouched = refine_in_blocks(class_maps(), images, same, 0)
    torch.testing.assert_close(refined.maps, untouched.maps)


def test_more_classes_make_smaller_blocks(images, monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_PER_BLOCK", 4 * 900)
    monkeypatch.setattr(blocks, "LEAST_BLOCK_PIXELS", 1)
    sources = [BlockMaps(read_pixels(class_maps(), scores), images, same, 0) for scores in (True, False)]
    sizes = [source.blocks(0)[0].rows.stop for source in sources]
    assert sizes[0] == 30
    assert sizes[1] >= sizes[0]


# --- held or not ---


def test_what_fits_is_held_and_the_rest_made_when_asked_for(images, small_blocks, request):
    maps = class_maps()
    held = refine_maps(maps, images, "guided")
    assert isinstance(held.source, ChosenMaps)
    request.getfixturevalue("nothing_held")
    lazy = refine_maps(maps, images, "guided")
    assert isinstance(lazy.source, BlockMaps)
    assert lazy.source.shape == held.source.shape == (2, 4, *SIZE)
    torch.testing.assert_close(lazy.maps, held.maps)
    box = Box(slice(13, 47), slice(5, 81))
    torch.testing.assert_close(lazy.source.tile(1, box), held.source.tile(1, box))
    for area in (0.0, 0.3):
        one, other = (label_pixels(each, threshold=0.3, min_area=area) for each in (lazy, held))
        assert one.labels.equal(other.labels)
        assert one.winning_phrase.equal(other.winning_phrase)


def test_labels_ask_for_each_block_once(images, small_blocks, nothing_held):
    count = 0

    def note(values, picture, image, place):
        nonlocal count
        count += 1
        return values

    refined = refine_in_blocks(class_maps(), images, note, 5)
    assert count == 0
    label_pixels(refined)
    assert count == 2 * 4 * 5


def test_classes_that_are_not_held_have_nothing():
    values = torch.rand(2, 3, 4)
    maps = ChosenMaps((values,), (torch.tensor([1, 4]),), 6)
    tile = maps.tile(0, Box(slice(0, 2), slice(1, 4)))
    assert tile.shape == (2, 6, 3)
    assert tile[:, [1, 4]].equal(values[:, :2, 1:].transpose(0, 1))
    assert tile[:, [0, 2, 3, 5]].eq(0).all()
