"""Label maps against the truth, image by image: counts that add up, and the measures of any number of images.

Counts are kept by the size of the true regions, small, medium and large, so that one pass over a data set answers how
well small things are found. Counts of images are independent of each other: they may be stored and drawn again.

Not here: intersections and unions (`measures`, `boundaries`), intervals, data sets (`datasets`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..components import label_components
from ..errors import InputError
from ..types import UNKNOWN
from .boundaries import boundary_iou, count_boundaries
from .measures import confusion_matrix, iou_per_class, mean_iou

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["BUCKETS", "ImageCounts", "Measures", "count_image", "measure_counts"]

LIMITS = (0.01, 0.05)  # of the picture: below the first small, above the second large
BUCKETS: Mapping[str, str] = MappingProxyType(
    {
        "small": "regions below 1 % of their picture",
        "medium": "regions of 1 to 5 % of their picture",
        "large": "regions above 5 % of their picture",
    }
)


@dataclass(frozen=True)
class ImageCounts:
    """Pixels of one image, or of several added up.

    Args:
        by_size: for each size in `BUCKETS`, the pixels of true regions of that size by true class (rows) and by class
            found (columns, the last one unknown). int64 [S,C,C+1]
        boundaries: pixels in both outlines' bands and in either one, as from `boundaries.count_boundaries`. int64 [C,2]
    """

    by_size: Tensor
    boundaries: Tensor

    @property
    def matrix(self) -> Tensor:
        """Regions of all sizes together, as from `measures.confusion_matrix`. int64 [C,C+1]"""
        return self.by_size.sum(0)


@dataclass(frozen=True)
class Measures:
    """How good label maps are, all images together.

    Args:
        miou: mean over the classes that occur in the truth, 0..1; NaN where no pixel was counted.
        accuracy: share of the counted pixels whose class is right, 0..1; NaN as above.
        boundary_miou: the mean of `boundary_iou` over the same classes.
        iou, boundary_iou: of each class, 0..1; NaN for one that is nowhere, true or found. C of them
        by_size: mean IoU on the pixels of true regions of each size in `BUCKETS`, as if there were no others: a wrong
            pixel counts against the class found there in the bucket of the region it lies in, and in no other.
    """

    miou: float
    accuracy: float
    boundary_miou: float
    iou: tuple[float, ...]
    boundary_iou: tuple[float, ...]
    by_size: Mapping[str, float]


def count_image(labels: Tensor, truth: Tensor, classes: int) -> ImageCounts:
    """Count one label map.

    Args:
        labels: what was found, `UNKNOWN` (-1) where nothing. int64 [H,W]
        truth: what is there; pixels of `UNKNOWN` are not counted. int64 [H,W]
        classes: C.

    Raises:
        InputError: shapes differ, or a label is C or more, or below -1 in the truth.
    """
    import torch

    labels, truth = labels.cpu(), truth.cpu()
    boundaries = count_boundaries(labels, truth, classes)  # which refuses other shapes
    lowest, highest = (int(truth.min()), int(truth.max())) if truth.numel() else (0, 0)
    if lowest < UNKNOWN or highest >= classes:
        wrong = lowest if lowest < UNKNOWN else highest
        raise InputError(f"label {wrong}; expected {UNKNOWN} to {classes - 1}.", place="truth")
    bucket = torch.from_numpy(_find_buckets(truth.numpy()))
    matrices = []
    for number in range(len(BUCKETS)):
        here = bucket == number
        matrices.append(confusion_matrix(labels[here], truth[here], classes))
    return ImageCounts(torch.stack(matrices), boundaries)


def _find_buckets(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The size of the region that each pixel lies in, by its position in `BUCKETS`; -1 for none. [H,W]"""
    import numpy as np

    pieces, labels = label_components(truth)
    areas = np.bincount(pieces[pieces >= 0], minlength=len(labels)) / max(1, truth.size)
    low, high = LIMITS
    sizes = (areas >= low).astype(np.int64) + (areas > high)
    return np.append(sizes, -1)[pieces]  # piece -1 takes the last


def measure_counts(counts: Sequence[ImageCounts]) -> Measures:
    """The measures of some images: intersections and unions are summed over all of them first.

    Raises:
        InputError: no image.
    """
    if not counts:
        raise InputError("no image; expected at least one.", place="counts")
    by_size, bands = counts[0].by_size.clone(), counts[0].boundaries.clone()
    for each in counts[1:]:  # one at a time: they may be made when asked for
        by_size += each.by_size
        bands += each.boundaries
    matrix = by_size.sum(0)
    occurs = matrix.sum(1) > 0
    outlines = boundary_iou(bands)
    return Measures(
        miou=mean_iou(matrix),
        accuracy=float(matrix[:, :-1].diag().sum() / matrix.sum()),
        boundary_miou=float(outlines[occurs].nanmean()),
        iou=tuple(iou_per_class(matrix).tolist()),
        boundary_iou=tuple(outlines.tolist()),
        by_size=MappingProxyType({name: mean_iou(part) for name, part in zip(BUCKETS, by_size, strict=True)}),
    )
