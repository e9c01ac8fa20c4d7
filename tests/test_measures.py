"""Intersection over union, against counting pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from llmseg.errors import InputError
from llmseg.evaluation.measures import (
    Interval,
    compare_classes,
    compare_miou,
    confusion_matrix,
    count_pixels,
    iou_per_class,
    mean_iou,
)


def naive_matrix(predicted: Tensor, truth: Tensor, classes: int, ignore: int | None) -> list[list[int]]:
    matrix = [[0] * (classes + 1) for _ in range(classes)]
    for guess, true in zip(predicted.flatten().tolist(), truth.flatten().tolist(), strict=True):
        if true != ignore:
            matrix[true][classes if guess < 0 else guess] += 1
    return matrix


def naive_iou(predicted: Tensor, truth: Tensor, label: int, ignore: int | None) -> float:
    intersection = union = 0
    for guess, true in zip(predicted.flatten().tolist(), truth.flatten().tolist(), strict=True):
        if true != ignore:
            intersection += guess == label and true == label
            union += guess == label or true == label
    return intersection / union if union else math.nan


@pytest.mark.parametrize("ignore", [None, 255, 0])
@pytest.mark.parametrize("seed", range(3))
def test_matrix_and_iou_equal_counting(seed: int, ignore: int | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    classes = 5  # of which the last never occurs
    predicted = torch.randint(-1, 4, (2, 7, 11), generator=generator)
    truth = torch.randint(0, 4, (2, 7, 11), generator=generator)
    if ignore == 255:
        truth[torch.rand(truth.shape, generator=generator) < 0.2] = 255
    matrix = confusion_matrix(predicted, truth, classes, ignore)
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == naive_matrix(predicted, truth, classes, ignore)
    expected = [naive_iou(predicted, truth, label, ignore) for label in range(classes)]
    assert iou_per_class(matrix).tolist() == pytest.approx(expected, nan_ok=True)
    occurring = [value for label, value in enumerate(expected) if bool((truth == label).any()) and label != ignore]
    assert mean_iou(matrix) == pytest.approx(sum(occurring) / len(occurring))


def test_by_hand() -> None:
    truth = torch.tensor([[0, 0, 1], [1, 1, 1]])
    predicted = torch.tensor([[0, 2, 1], [1, -1, 0]])
    matrix = confusion_matrix(predicted, truth, 3)
    assert matrix.tolist() == [[1, 0, 1, 0], [1, 2, 0, 1], [0, 0, 0, 0]]
    assert iou_per_class(matrix).tolist() == pytest.approx([1 / 3, 2 / 4, 0.0])
    assert mean_iou(matrix) == pytest.approx((1 / 3 + 1 / 2) / 2), "class 2 does not occur in the truth"


def test_matrices_of_images_add_up() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, truth = (torch.randint(0, 3, (2, 4, 6), generator=generator) for _ in range(2))
    parts = [confusion_matrix(predicted[image], truth[image], 3) for image in range(2)]
    assert torch.equal(sum(parts, torch.zeros_like(parts[0])), confusion_matrix(predicted, truth, 3))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    labels = torch.tensor([[0, 1, 1]], dtype=dtype)
    assert confusion_matrix(labels, labels, 2).tolist() == [[1, 0, 0], [0, 2, 0]]


def test_nothing_to_count() -> None:
    everything_ignored = confusion_matrix(torch.zeros(2, 2).long(), torch.full((2, 2), 255), 2, ignore=255)
    assert everything_ignored.sum() == 0
    assert math.isnan(mean_iou(everything_ignored))


@pytest.mark.parametrize(
    ("predicted", "truth", "text"),
    [
        ([0, 1], [0, 1, 1], "predicted: shape [2]; expected [3] as in truth."),
        ([0, 2], [0, 1], "predicted: label 2; expected labels below 2."),
        ([0, 1], [0, 255], "truth: label 255; expected labels below 2."),
        ([0, 1], [0, -1], "truth: label -1; expected labels from 0."),
    ],
)
def test_labels_that_do_not_fit(predicted: list[int], truth: list[int], text: str) -> None:
    with pytest.raises(InputError) as caught:
        confusion_matrix(torch.tensor(predicted), torch.tensor(truth), 2)
    assert str(caught.value) == text


def random_matrices(seed: int, images: int = 6, classes: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, classes, (images, 9, 9), generator=generator)
    guess = torch.where(torch.rand(truth.shape, generator=generator) < 0.6, truth, (truth + 1) % classes)
    return [confusion_matrix(g, t, classes) for g, t in zip(guess, truth, strict=True)]


@pytest.mark.parametrize("ignore", [None, 0])
def test_equal_to_torchmetrics(ignore: int | None) -> None:
    classification = pytest.importorskip("torchmetrics.functional.classification")
    generator = torch.Generator().manual_seed(4)
    truth = torch.randint(0, 6, (3, 20, 20), generator=generator)
    guess = torch.where(torch.rand(truth.shape, generator=generator) < 0.5, truth, (truth + 2) % 6)
    matrix = confusion_matrix(guess, truth, 6, ignore)
    theirs = classification.multiclass_jaccard_index(guess, truth, 6, average=None, ignore_index=ignore)
    kept = [label for label in range(6) if label != ignore]
    assert torch.allclose(iou_per_class(matrix)[kept].float(), theirs[kept], atol=1e-6)
    assert mean_iou(matrix) == pytest.approx(float(theirs[kept].mean()), abs=1e-6)


def test_difference_and_interval_equal_a_loop_over_draws() -> None:
    one, other = random_matrices(1), random_matrices(2)
    found = compare_miou(one, other, draws=200, seed=3)
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randint(6, (200, 6), generator=generator).tolist()

    def miou(matrices: list[Tensor], images: list[int]) -> float:
        return mean_iou(torch.stack([matrices[n] for n in images]).sum(0))

    differences = sorted(miou(one, images) - miou(other, images) for images in drawn)
    everything = list(range(6))
    assert found.value == pytest.approx(miou(one, everything) - miou(other, everything))
    assert found.low == pytest.approx(torch.tensor(differences).quantile(0.025).item(), abs=1e-6)
    assert found.high == pytest.approx(torch.tensor(differences).quantile(0.975).item(), abs=1e-6)


def test_a_method_against_itself_is_zero_and_some_classes_alone_count() -> None:
    matrices = random_matrices(5)
    assert compare_miou(matrices, matrices) == Interval(0.0, 0.0, 0.0)
    worse = [matrix.clone() for matrix in matrices]
    for matrix in worse:
        matrix[2, 3] += matrix[2, 2]
        matrix[2, 2] = 0
    assert compare_miou(matrices, worse, classes=[2]).above_zero
    assert compare_miou(matrices, worse, classes=[0, 1]) == Interval(0.0, 0.0, 0.0)


def test_matrices_that_do_not_pair() -> None:
    with pytest.raises(InputError) as caught:
        compare_miou(random_matrices(1), random_matrices(2)[:3])
    assert str(caught.value) == "matrices: 6 and 3 matrices; expected one of each method per image."


def test_pixels_of_other_images_are_not_compared() -> None:
    pixels = [count_pixels([torch.eye(3, 4).long()] * count) for count in (2, 3)]
    with pytest.raises(InputError, match="the same images and classes"):
        compare_classes(*pixels)


def test_pixels_by_hand() -> None:
    (true, found, both) = count_pixels([torch.tensor([[5, 2, 1], [3, 4, 0]])])
    assert (true.tolist(), found.tolist(), both.tolist()) == ([[8, 7]], [[8, 6]], [[5, 4]])


def test_no_class_at_all() -> None:
    pixels = count_pixels([torch.zeros(2, 3).long()])
    assert compare_classes(pixels, pixels, classes=[]) == (Interval(0, 0, 0), [])
