"""Counts and measures against torchmetrics, and size buckets against a walk over the pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from llmseg.errors import InputError
from llmseg.evaluation.boundaries import boundary_iou, count_boundaries
from llmseg.evaluation.counting import BUCKETS, ImageCounts, count_image, measure_counts
from llmseg.evaluation.measures import confusion_matrix

IGNORED = 255
CLASSES = 6  # of which 4 is only found and 5 is nowhere


def random_pair(seed: int, size: tuple[int, int] = (13, 17)) -> tuple[Tensor, Tensor]:
    """What was found, unknown here and there, and the truth, with pixels that are not counted."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 4, size, generator=generator)
    found = torch.where(
        torch.rand(size, generator=generator) < 0.6, truth, torch.randint(-1, 5, size, generator=generator)
    )
    truth[torch.rand(size, generator=generator) < 0.2] = -1
    return found, truth


def blotches(seed: int, size: tuple[int, int] = (40, 50)) -> Tensor:
    """A label map of regions of all sizes, with pixels of no known class. int64 [H,W]"""
    drawn = np.random.default_rng(seed)
    labels = np.zeros(size, dtype=np.int64)
    for _ in range(25):
        top, left = (int(drawn.integers(0, side)) for side in size)
        high, wide = (int(drawn.integers(1, 14)) for _ in range(2))
        labels[top : top + high, left : left + wide] = drawn.integers(-1, 4)
    return torch.from_numpy(labels)


def walk_regions(truth: list[list[int]]) -> list[list[str]]:
    """The bucket of each pixel, by flooding every region from its first pixel; "" for unknown ones."""
    height, width = len(truth), len(truth[0])
    bucket = [[""] * width for _ in range(height)]
    for top in range(height):
        for left in range(width):
            if bucket[top][left] or truth[top][left] < 0:
                continue
            region, border = {(top, left)}, [(top, left)]
            while border:
                y, x = border.pop()
                for below in (y - 1, y, y + 1):
                    for right in (x - 1, x, x + 1):
                        inside = 0 <= below < height and 0 <= right < width
                        if inside and truth[below][right] == truth[top][left] and (below, right) not in region:
                            region.add((below, right))
                            border.append((below, right))
            hundredths = 100 * len(region)
            name = "small" if hundredths < height * width else "large" if hundredths > 5 * height * width else "medium"
            for y, x in region:
                bucket[y][x] = name
    return bucket


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_measures_equal_torchmetrics(seed: int, images: int) -> None:
    metrics = pytest.importorskip("torchmetrics.classification")
    pairs = [random_pair(100 * seed + number, (13, 17 + number)) for number in range(images)]
    measures = measure_counts([count_image(*pair, CLASSES) for pair in pairs])

    found = torch.cat([pair[0].flatten() for pair in pairs])
    truth = torch.cat([pair[1].flatten() for pair in pairs])
    found = torch.where(found < 0, CLASSES, found)  # unknown: a class of its own, which the truth never has
    truth = torch.where(truth < 0, IGNORED, truth)
    several = {"num_classes": CLASSES + 1, "ignore_index": IGNORED}
    iou = metrics.MulticlassJaccardIndex(average=None, **several)(found, truth)[:CLASSES].tolist()
    occurs = [bool((truth == label).any()) for label in range(CLASSES)]
    expected = [value if occurs[label] or label == 4 else math.nan for label, value in enumerate(iou)]
    assert measures.iou == pytest.approx(expected, nan_ok=True, abs=1e-6)
    assert occurs == [True] * 4 + [False] * 2
    assert measures.miou == pytest.approx(np.mean(iou[:4]), abs=1e-6)
    accuracy = metrics.MulticlassAccuracy(average="micro", **several)(found, truth)
    assert measures.accuracy == pytest.approx(float(accuracy), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_sizes_equal_a_walk_over_the_regions(seed: int) -> None:
    truth = blotches(seed)
    found = torch.where(
        torch.rand(truth.shape, generator=torch.Generator().manual_seed(seed)) < 0.7, truth, blotches(seed + 50)
    )
    bucket = walk_regions(truth.tolist())
    expected = torch.zeros(len(BUCKETS), CLASSES, CLASSES + 1, dtype=torch.int64)
    for y, row in enumerate(truth.tolist()):
        for x, true in enumerate(row):
            if true >= 0:
                expected[list(BUCKETS).index(bucket[y][x]), true, int(found[y, x])] += 1  # -1 is the last column
    counts = count_image(found, truth, CLASSES)
    assert torch.equal(counts.by_size, expected)
    assert counts.by_size.dtype == torch.int64
    assert all(expected.sum((1, 2)) > 0), "the picture has regions of all sizes"
    assert torch.equal(counts.matrix, confusion_matrix(found, truth, CLASSES, ignore=-1))
    assert torch.equal(counts.boundaries, count_boundaries(found, truth, CLASSES))


@pytest.mark.parametrize(("pixels", "name"), [(9, "small"), (10, "medium"), (50, "medium"), (51, "large")])
def test_limits_of_the_sizes(pixels: int, name: str) -> None:
    truth = torch.full((20, 50), -1)
    truth.view(-1)[:pixels] = 1  # 1000 pixels; the region is one row, or a row and a pixel below it
    measures = measure_counts([count_image(truth, truth, 2)])
    assert {size for size, value in measures.by_size.items() if value == 1} == {name}
    assert sum(map(math.isnan, measures.by_size.values())) == 2


def test_a_wrong_pixel_counts_where_it_lies() -> None:
    truth = torch.zeros(10, 20, dtype=torch.int64)  # large
    truth[0, 0] = 1  # small
    found = truth.clone()
    found[9, :10] = 1  # ten wrong pixels of the large region
    found[0, 0] = 0
    measures = measure_counts([count_image(found, truth, 2)])
    assert measures.by_size["small"] == 0
    assert measures.by_size["large"] == pytest.approx(189 / 199), "class 1 has no large region, so it is not averaged"
    assert measures.iou == pytest.approx((189 / 200, 0.0))


def test_boundaries_of_several_images() -> None:
    pairs = [(blotches(seed), blotches(seed + 9)) for seed in range(3)]
    measures = measure_counts([count_image(*pair, CLASSES) for pair in pairs])
    bands = sum(count_boundaries(*pair, CLASSES) for pair in pairs)
    expected = boundary_iou(bands)
    assert measures.boundary_iou == pytest.approx(expected.tolist(), nan_ok=True)
    assert math.isnan(measures.boundary_iou[5])
    assert measures.boundary_miou == pytest.approx(float(expected[:4].mean()))


def test_nothing_known_is_not_a_number() -> None:
    nothing = torch.full((4, 5), -1)
    measures = measure_counts([count_image(torch.zeros(4, 5, dtype=torch.int64), nothing, 2)])
    assert all(map(math.isnan, (measures.miou, measures.accuracy, measures.boundary_miou, *measures.by_size.values())))


def test_one_pixel() -> None:
    pixel = torch.zeros(1, 1, dtype=torch.int64)
    counts = count_image(pixel, pixel, 1)
    assert isinstance(counts, ImageCounts)
    assert counts.by_size.tolist() == [[[0, 0]], [[0, 0]], [[1, 0]]]


def test_what_cannot_be_counted() -> None:
    pixels = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(InputError, match=r"^truth: label 2; expected -1 to 1\.$"):
        count_image(pixels, pixels + 2, 2)
    with pytest.raises(InputError, match=r"^truth: label -2; expected -1 to 1\.$"):
        count_image(pixels, pixels - 2, 2)
    with pytest.raises(InputError, match=r"^predicted: label 2; expected labels below 2\.$"):
        count_image(pixels + 2, pixels, 2)
    with pytest.raises(InputError, match=r"^predicted: shape \[2, 3\]; expected \[H,W\] \[3, 2\]\.$"):
        count_image(pixels, pixels.T, 2)
    with pytest.raises(InputError, match=r"^counts: no image; expected at least one\.$"):
        measure_counts([])
