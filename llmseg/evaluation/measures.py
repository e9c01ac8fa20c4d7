"""How good a label map is, and how sure one may be that another is better.

Intersection over union comes from a confusion matrix over a whole data set; the paired bootstrap draws
images, with both label maps of an image, so that easy and hard images do not count as a difference.

Not here: data sets and protocols. Sources: the PASCAL VOC measure, as mmsegmentation accumulates it:
intersections and unions are summed over all images first; Efron and Tibshirani, "An Introduction to the
Bootstrap" (1993), percentile intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ClassPixels",
    "Interval",
    "compare_classes",
    "compare_miou",
    "confusion_matrix",
    "count_pixels",
    "iou_per_class",
    "mean_iou",
]

DRAWS = 1000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A measured number and the interval that holds it with the stated confidence."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether even the lower end is above zero."""
        return self.low > 0


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


def compare_miou(
    better: Sequence[Tensor],
    worse: Sequence[Tensor],
    *,
    classes: Sequence[int] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Mean IoU of one method minus that of another on the same images, with a 95 % interval.

    A class that no image of a draw holds is left out of that draw's mean, for both methods.

    Args:
        better, worse: a confusion matrix per image, as from `confusion_matrix`. N of [C,C+1]
        classes: labels whose IoU is averaged; all by default.
        draws: resamples of the images.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        InputError: no image, or not one matrix of each method per image.
    """
    if not better or len(better) != len(worse):
        problem = f"{len(better)} and {len(worse)} matrices; expected one of each method per image."
        raise InputError(problem, place="matrices")
    keep = list(range(len(better[0]))) if classes is None else list(classes)
    return compare_classes(count_pixels(better), count_pixels(worse), classes=keep, draws=draws, seed=seed)[0]


class ClassPixels(NamedTuple):
    """Pixels of each class in each image: true, found, and both at once. float64 [N,C] each

    All that IoU needs, and so much smaller than confusion matrices that thousands of images fit into memory.
    """

    true: Tensor
    found: Tensor
    both: Tensor


def count_pixels(matrices: Iterable[Tensor]) -> ClassPixels:
    """The pixels of each class from one confusion matrix per image, which may come one by one. N of [C,C+1]"""
    import torch

    rows = [(each.sum(1), each[:, :-1].sum(0), each[:, :-1].diag()) for each in matrices]
    return ClassPixels(*(torch.stack(column).double() for column in zip(*rows, strict=True)))


def compare_classes(
    better: ClassPixels,
    worse: ClassPixels,
    *,
    classes: Sequence[int] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Interval, list[Interval]]:
    """As `compare_miou`, and the same for each class by itself.

    Args:
        better, worse: of the same images.
        classes: labels whose IoU is averaged; all by default.
        draws, seed: as in `compare_miou`.

    Returns:
        Difference of the mean IoU, and of the IoU of each of `classes`; 0 in a draw whose images do not hold it.

    Raises:
        InputError: no image, or other images.
    """
    import torch

    if not len(better.true) or better.true.shape != worse.true.shape:
        shapes = f"{list(better.true.shape)} and {list(worse.true.shape)}"
        raise InputError(f"shapes {shapes}; expected the same images and classes, at least one.", place="counts")
    generator = torch.Generator().manual_seed(seed)
    count = len(better.true)
    drawn = torch.randint(count, (draws, count), generator=generator)
    weights = torch.zeros(draws + 1, count, dtype=torch.float64)
    weights[0] = 1  # the data as they are
    weights[1:].scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    chosen = range(better.true.shape[1]) if classes is None else classes
    keep = torch.tensor(list(chosen), dtype=torch.int64)
    (iou, occurs), (other, _) = (_weighted_iou(each, weights, keep) for each in (better, worse))
    divisor = occurs.sum(1).clamp(min=1)
    return _interval(iou.sum(1) / divisor - other.sum(1) / divisor), [_interval(each) for each in (iou - other).T]


def _weighted_iou(pixels: ClassPixels, weights: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """IoU under each weighting of the images, 0 where the class is not, and where it is. [W,N] -> two [W,C]"""
    import torch

    true, found, both = (weights @ each[:, keep] for each in pixels)
    occurs = true > 0
    return torch.where(occurs, both / (true + found - both).clamp(min=1), 0.0), occurs


def _interval(differences: Tensor) -> Interval:
    """The first number with the interval that the others give. [W]"""
    import torch

    tail = (1 - CONFIDENCE) / 2
    low, high = differences[1:].quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(float(differences[0]), low, high)
