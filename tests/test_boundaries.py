"""Boundary IoU, against walking over pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from llmseg.errors import InputError
from llmseg.evaluation.boundaries import band_width, boundary_iou, count_boundaries, outline_band


def naive_band(mask: list[list[bool]], width: int) -> list[list[bool]]:
    """Peel off one layer after another: a pixel with a neighbour outside goes."""
    height, length = len(mask), len(mask[0])
    left = [row[:] for row in mask]
    for _ in range(width):
        inside = [row[:] for row in left]
        for y in range(height):
            for x in range(length):
                around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
                left[y][x] = all(0 <= v < height and 0 <= u < length and inside[v][u] for v, u in around)
    return [[mask[y][x] and not left[y][x] for x in range(length)] for y in range(height)]


def shapes(seed: int, height: int = 15, width: int = 21) -> Tensor:
    """Blobs: noise made coarse."""
    coarse = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0, 0]


@pytest.mark.parametrize("width", [1, 2, 4, 40])
@pytest.mark.parametrize("seed", range(3))
def test_band_equals_peeling(seed: int, width: int) -> None:
    mask = shapes(seed) > 0.4
    band = outline_band(mask.long(), torch.zeros_like(mask), width)
    assert (band & mask).tolist() == naive_band(mask.tolist(), width)
    assert (band & ~mask).tolist() == naive_band((~mask).tolist(), width)


@pytest.mark.parametrize("size", [(15, 21), (21, 15)])
@pytest.mark.parametrize("ignore", [None, 2])
def test_counts_equal_counting(size: tuple[int, int], ignore: int | None) -> None:
    truth, predicted = ((shapes(seed, *size) * 4).long() for seed in (0, 1))
    predicted[:3, :3] = -1
    counts = count_boundaries(predicted, truth, 5, ignore, width=2)
    hidden = torch.zeros_like(truth, dtype=torch.bool) if ignore is None else truth == ignore
    for label in range(5):
        bands = [torch.tensor(naive_band(((each == label) | hidden).tolist(), 2)) for each in (predicted, truth)]
        guess, true = (band & ~hidden for band in bands)
        there = bool((predicted == label).any() or (truth == label).any())
        expected = [int((guess & true).sum()), int((guess | true).sum())] if there else [0, 0]
        assert counts[label].tolist() == expected, label


def test_a_shifted_square() -> None:
    """Width 1: outlines of 6 x 6 squares, one a pixel to the right, share ten pixels of each long side."""
    truth = torch.zeros(20, 20, dtype=torch.int64)
    predicted = truth.clone()
    truth[5:11, 5:11] = 1
    predicted[5:11, 6:12] = 1
    both = 2 * 5 + 0  # top and bottom rows overlap in five pixels; the upright sides nowhere else
    either = 20 + 20 - both
    assert count_boundaries(predicted, truth, 2, width=1)[1].tolist() == [both, either]


def test_the_same_labels_are_perfect_and_absent_classes_nan() -> None:
    truth = (shapes(0) * 3).long()
    iou = boundary_iou(count_boundaries(truth, truth, 5))
    assert iou[: int(truth.max()) + 1].tolist() == [1.0] * (int(truth.max()) + 1)
    assert math.isnan(float(iou[4]))


@pytest.mark.parametrize(("size", "width"), [((1, 1), 1), ((192, 256), 6), ((480, 640), 16), ((640, 480), 16)])
def test_width_is_two_per_cent_of_the_diagonal(size: tuple[int, int], width: int) -> None:
    assert band_width(size) == width


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"^predicted: shape \[2, 3\]; expected \[H,W\] \[3, 2\]\.$"):
        count_boundaries(torch.zeros(2, 3), torch.zeros(3, 2), 1)
