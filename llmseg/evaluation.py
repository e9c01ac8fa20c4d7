"""How good a label map is: intersection over union from a confusion matrix over a whole data set.

Not here: data sets and protocols, statistics over images. Source: the PASCAL VOC measure, as
mmsegmentation accumulates it: intersections and unions are summed over all images first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["confusion_matrix", "iou_per_class", "mean_iou"]


def confusion_matrix(predicted: Tensor, truth: Tensor, classes: int, ignore: int | None = None) -> Tensor:
    """Count pixels by true class (rows) and predicted class (columns). int64 [C,C+1]

    The last column counts pixels left unknown (label below 0): they are wrong for their true class
    and belong to no other. Matrices of several images add up.

    Args:
        predicted: labels. int64, any shape
        truth: the same shape.
        classes: C.
        ignore: true label whose pixels are not counted.

    Raises:
        InputError: shapes differ, or a label is C or more.
    """
    import torch

    if predicted.shape != truth.shape:
        raise InputError(f"shape {list(predicted.shape)}; expected {list(truth.shape)} as in truth.", place="predicted")
    counted = torch.ones_like(truth, dtype=torch.bool) if ignore is None else truth != ignore
    truth, predicted = truth[counted].long(), predicted[counted].long()
    for place, labels in (("truth", truth), ("predicted", predicted)):
        if labels.numel() and int(labels.max()) >= classes:
            raise InputError(f"label {int(labels.max())}; expected labels below {classes}.", place=place)
    if truth.numel() and int(truth.min()) < 0:
        raise InputError(f"label {int(truth.min())}; expected labels from 0.", place="truth")
    columns = torch.where(predicted < 0, classes, predicted)
    codes = truth * (classes + 1) + columns
    return codes.bincount(minlength=classes * (classes + 1)).view(classes, classes + 1)


def iou_per_class(matrix: Tensor) -> Tensor:
    """Intersection over union of each class, 0..1; NaN for a class neither true nor predicted. [C]"""
    square = matrix[:, : len(matrix)].double()
    intersection = square.diag()
    union = matrix.sum(1) + square.sum(0) - intersection
    return intersection / union  # 0/0 is NaN, as wanted


def mean_iou(matrix: Tensor) -> float:
    """Mean over the classes that occur in the truth, 0..1; a class only predicted is not averaged."""
    occurs = matrix.sum(1) > 0
    return float(iou_per_class(matrix)[occurs].mean())
