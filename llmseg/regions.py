"""`LabelMap` -> regions: connected pieces, or whole classes, with their boxes, areas and confidence.

Not here: how pieces are found (`components`), what other programs want of them (`exchange`), tables (`region_tables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .components import COMPONENTS, Numbering, find_runs
from .errors import InputError, UnknownNameError, lookup
from .names import parse_names
from .options import REGION, REGION_COUNT
from .types import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Box", "ImageRegions", "Region", "choose_classes", "find_regions"]


class Box(NamedTuple):
    """Pixels from `left` and `top` up to, but without, `right` and `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top


@dataclass(frozen=True)
class Region:
    """Some pixels of one class in one image.

    Args:
        number: what these pixels hold in `ImageRegions.numbers`.
        label: of the class.
        name: of the class.
        box: the smallest that holds them all.
        pixels: how many they are.
        confidence: mean probability of the most likely class, 0..1.
    """

    number: int
    label: int
    name: str
    box: Box
    pixels: int
    confidence: float


@dataclass(frozen=True)
class ImageRegions:
    """The regions of one image.

    Args:
        numbers: region of each pixel; those below 0 or of no listed region belong to none. [H,W]
        regions: in the order of the classes asked for, the largest of a class first.
    """

    numbers: NDArray[np.int64]
    regions: tuple[Region, ...]

    def mask(self, region: Region, box: Box) -> NDArray[np.bool_]:
        """Where a region is inside a box. [box height, box width]"""
        found: NDArray[np.bool_] = self.numbers[box.top : box.bottom, box.left : box.right] == region.number
        return found


def choose_classes(result: LabelMap, text: str) -> list[int]:
    """Labels of the classes that a person names, in that order; all of them for an empty text.

    Args:
        result: whose classes.
        text: names as in `names.parse_names`; upper and lower case are the same.

    Raises:
        UnknownNameError: a name that is no class of the label map.
        InputError: a name twice.
    """
    if not text.strip():
        return list(range(len(result.names)))
    folded = {name.casefold(): label for label, name in enumerate(result.names)}
    wanted = parse_names(text).names
    for name in wanted:
        if name.casefold() not in folded:
            raise UnknownNameError(name, result.names, place="class_names")
    return [folded[name.casefold()] for name in wanted]


def find_regions(
    result: LabelMap,
    classes: Sequence[int],
    by: str = REGION.default,
    *,
    min_area: float = 0.0,
    limit: int = int(REGION_COUNT.maximum),
) -> list[ImageRegions]:
    """Find the regions of some classes in every image.

    Args:
        result: the labels. [B,H,W]
        classes: labels of the classes wanted, in the order wanted.
        by: a name in `COMPONENTS`.
        min_area: least share of its image that a region covers, 0..1.
        limit: most regions of an image, at least 1; the largest are kept.

    Returns:
        One entry for each image, without regions where nothing was found. [B]

    Raises:
        UnknownNameError: an unknown way to tell regions apart.
        InputError: a number outside its limits.
    """
    number = lookup(COMPONENTS, by, place="regions")
    if not 0 <= min_area <= 1:
        raise InputError(f"{min_area!r}; expected a number from 0 to 1.", place="min_area")
    if limit < 1:
        raise InputError(f"{limit!r}; expected at least 1.", place="limit")
    return [_find_in_image(result, image, classes, number, min_area, limit) for image in range(len(result.labels))]


def _find_in_image(
    result: LabelMap,
    image: int,
    classes: Sequence[int],
    number: Numbering,
    min_area: float,
    limit: int,
) -> ImageRegions:
    import numpy as np

    rank = np.full(len(result.names) + 1, len(classes))  # the last one is read for unknown pixels
    rank[list(classes)] = range(len(classes))
    labels = result.labels[image].cpu().numpy()
    numbers, found = number(np.where(rank[labels] < len(classes), labels, -1))
    counts, boxes = _measure(numbers, len(found))
    inside = numbers >= 0
    confidence = result.confidence[image].float().cpu().numpy()[inside]
    sums = np.bincount(numbers[inside], weights=confidence, minlength=len(found))
    largest = np.argsort(-counts, kind="stable")
    kept = largest[counts[largest] >= min_area * labels.size][:limit]
    kept = kept[np.argsort(rank[found[kept]], kind="stable")]
    regions = tuple(
        Region(
            number=piece,
            label=int(found[piece]),
            name=result.names[found[piece]],
            box=Box(*boxes[piece].tolist()),
            pixels=int(counts[piece]),
            confidence=min(1.0, float(sums[piece] / counts[piece])),
        )
        for piece in kept.tolist()
    )
    return ImageRegions(numbers, regions)


def _measure(numbers: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels and box of each of `count` pieces; none is empty. [count], [count,4]"""
    import numpy as np

    starts = find_runs(numbers)[1]
    rows, lefts = starts.nonzero()
    lengths = np.diff(np.append(starts.ravel().nonzero()[0], numbers.size))
    pieces = numbers[starts]
    known = pieces >= 0
    pieces, rows, lefts, lengths = pieces[known], rows[known], lefts[known], lengths[known]
    pixels = np.zeros(count, dtype=np.int64)
    np.add.at(pixels, pieces, lengths)
    low, high = np.full((2, count), numbers.size), np.zeros((2, count), dtype=np.int64)
    for axis, (first, end) in enumerate(((lefts, lefts + lengths), (rows, rows + 1))):
        np.minimum.at(low[axis], pieces, first)
        np.maximum.at(high[axis], pieces, end)
    return pixels, np.stack((low[0], low[1], high[0], high[1]), axis=1)
