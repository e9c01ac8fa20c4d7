"""SEGS, boxes and mask batches: their exact form, and that nothing of the label map is lost or made up."""

from __future__ import annotations

import json
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from test_regions import NAMES, make_labels, random_labels

from llmseg import InputError, LabelMap
from llmseg.exchange import SEG, Segs, list_bboxes, list_boxes, make_segs, stack_masks, surround
from llmseg.regions import find_regions

EVERY = list(range(len(NAMES)))


@pytest.fixture
def labels() -> LabelMap:
    """Two images of 6 x 10: a dog of 2 x 3 pixels at (4, 1); then nothing but sky."""
    values = torch.full((2, 6, 10), 2)
    values[0, 1:3, 4:7] = 0
    return make_labels(values, torch.full((2, 6, 10), 0.75))


def combine(segs: Segs) -> np.ndarray:
    """All regions in one picture, as Impact Pack's own nodes do it: pasted at their crops."""
    height, width = segs[0]
    mask = np.zeros((height, width), dtype=np.uint8)
    for seg in segs[1]:
        left, top, right, bottom = seg.crop_region
        mask[top:bottom, left:right] |= (seg.cropped_mask * 255).astype(np.uint8)
    return mask


def test_a_seg_has_the_fields_of_impact_pack_in_their_order() -> None:
    fields = ["cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label", "control_net_wrapper"]
    theirs: Any = namedtuple("SEG", fields, defaults=[None])
    assert SEG._fields == theirs._fields
    assert SEG._field_defaults == theirs._field_defaults
    assert SEG.__name__ == "SEG"


def test_segs_are_a_size_and_a_list_for_each_image(labels: LabelMap) -> None:
    first, second = make_segs(find_regions(labels, [0]))
    assert second == ((6, 10), [])
    (height, width), segs = first
    assert (height, width) == (6, 10)
    assert isinstance(segs, list)
    (seg,) = segs
    assert seg.bbox == (4, 1, 7, 3)
    assert type(seg.bbox) is tuple
    assert seg.crop_region == [1, 0, 10, 6]  # three times 3 x 2 about its middle
    assert seg.cropped_mask.dtype == np.float32
    assert seg.cropped_mask.shape == (6, 9)
    assert seg.cropped_mask.sum() == 6
    assert seg.cropped_mask[1:3, 3:6].min() == 1
    assert (seg.label, seg.confidence, seg.cropped_image, seg.control_net_wrapper) == ("dog", 0.75, None, None)


@pytest.mark.parametrize(
    ("factor", "region"), [(1, [4, 1, 7, 3]), (1.5, [3, 0, 7, 3]), (2, [2, 0, 8, 4]), (100, [0, 0, 10, 6])]
)
def test_crops_grow_about_the_middle_and_stay_inside(labels: LabelMap, factor: float, region: list[int]) -> None:
    (_, (seg,)), _ = make_segs(find_regions(labels, [0]), crop_factor=factor)
    assert seg.crop_region == region


@pytest.mark.parametrize("factor", [1, 1.1, 2.7, 30])
@pytest.mark.parametrize("by", ["component", "class"])
def test_pasted_together_the_regions_are_the_label_map_again(factor: float, by: str) -> None:
    result = random_labels(3)
    for image, segs in enumerate(make_segs(find_regions(result, [0, 3], by), crop_factor=factor)):
        there = ((result.labels[image] == 0) | (result.labels[image] == 3)).numpy()
        assert np.array_equal(combine(segs), there * 255)
        for seg in segs[1]:
            left, top, right, bottom = seg.crop_region
            assert 0 <= left <= seg.bbox[0] < seg.bbox[2] <= right <= segs[0][1]
            assert 0 <= top <= seg.bbox[1] < seg.bbox[3] <= bottom <= segs[0][0]
            assert seg.cropped_mask.shape == (bottom - top, right - left)
            assert all(type(side) is int for side in (*seg.crop_region, *seg.bbox))


def test_crops_of_the_picture_are_copies_in_the_form_of_an_image(labels: LabelMap) -> None:
    images = torch.rand(2, 3, 6, 10)
    (_, (seg,)), _ = make_segs(find_regions(labels, [0]), images, crop_factor=1)
    assert seg.cropped_image is not None
    assert seg.cropped_image.shape == (1, 2, 3, 3)
    assert seg.cropped_image.dtype == torch.float32
    assert seg.cropped_image.is_contiguous()
    assert torch.equal(seg.cropped_image[0].permute(2, 0, 1), images[0, :, 1:3, 4:7])
    before = images.clone()
    seg.cropped_image.zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("shape", "factor", "message"),
    [
        ((1, 3, 6, 10), 3.0, "image: 1 images; expected 2, one per label map."),
        ((2, 3, 6, 9), 3.0, "image: 6 x 9 pixels; expected the 6 x 10 of the labels."),
        (None, 0.5, "crop_factor: 0.5; expected at least 1."),
        (None, float("nan"), "crop_factor: nan; expected at least 1."),
    ],
)
def test_what_does_not_fit_is_told(
    labels: LabelMap, shape: tuple[int, ...] | None, factor: float, message: str
) -> None:
    with pytest.raises(InputError) as error:
        make_segs(find_regions(labels, [0]), None if shape is None else torch.zeros(shape), crop_factor=factor)
    assert str(error.value) == message


def test_boxes_are_one_list_of_dictionaries_for_each_image(labels: LabelMap) -> None:
    boxes = list_boxes(find_regions(labels, [0]))
    assert boxes == [[{"x": 4, "y": 1, "width": 3, "height": 2, "label": "dog", "score": 0.75}], []]
    assert json.loads(json.dumps(boxes)) == boxes  # plain numbers only


def test_bboxes_are_four_numbers_in_either_layout() -> None:
    found = find_regions(random_labels(5), [1, 0])
    boxes = list_boxes(found)
    flat, nested = list_bboxes(found), list_bboxes(found, "xyxy")
    assert flat == [(box["x"], box["y"], box["width"], box["height"]) for image in boxes for box in image]
    assert nested == [
        [[box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]] for box in image] for image in boxes
    ]
    assert len(nested) == 2
    with pytest.raises(InputError, match="bbox_layout: unknown name 'xy'; expected one of xywh, xyxy"):
        list_bboxes(found, "xy")


def test_the_box_around_all_is_the_whole_picture_where_nothing_is_found(labels: LabelMap) -> None:
    assert surround(find_regions(labels, [0])) == {"x": 4, "y": 1, "width": 3, "height": 2}
    assert surround(find_regions(labels, [1])) == {"x": 0, "y": 0, "width": 10, "height": 6}
    two = torch.full((2, 6, 10), 2)
    two[0, 1, 2] = two[1, 4, 8] = 0
    assert surround(find_regions(make_labels(two), [0])) == {"x": 2, "y": 1, "width": 7, "height": 4}


def test_a_mask_for_each_class_and_image_is_in_step_with_a_repeated_image_batch() -> None:
    result = random_labels(1)
    masks, names = stack_masks(result, [2, 0])
    assert names == ["sky", "sky", "dog", "dog"]
    images = torch.arange(2).repeat(2)  # how ComfyUI repeats a batch
    for mask, image, name in zip(masks, images.tolist(), names, strict=True):
        assert torch.equal(mask, result.mask(name)[image])


def test_a_union_is_one_mask_for_each_image() -> None:
    result = random_labels(1)
    masks, names = stack_masks(result, [0, 3], "union")
    assert torch.equal(masks, result.mask("dog") | result.mask("sea"))
    assert names == ["dog, sea"] * 2
    masks, _ = stack_masks(result, EVERY, "union")
    assert torch.equal(masks, result.labels >= 0)


def test_an_absent_class_is_all_zero(labels: LabelMap) -> None:
    masks, _ = stack_masks(labels, [3])
    assert masks.shape == (2, 6, 10)
    assert not masks.any()
    with pytest.raises(InputError, match="masks: unknown name 'all'; expected one of each, union"):
        stack_masks(labels, [3], "all")
