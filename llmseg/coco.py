"""One image's labels in COCO's JSON: one run-length encoded mask for each class that was found, and the way back.

COCO counts pixels column by column; its string of counts holds five bits a letter. Category numbers are labels plus
one, because programs that train on such files keep 0 for what is no category.

Not here: which file, its names (`label_files`). Sources: https://cocodataset.org/#format-data and the mask code of
pycocotools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .types import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["decode_mask", "encode_mask", "labels_from_coco", "labels_to_coco"]

MOST_PIXELS = 2**26  # a file of a few bytes may claim any size; a label takes eight
MOST_CLASSES = 2**16
GROUP, MORE, SIGN, FIRST_LETTER = 0x1F, 0x20, 0x10, 48  # of the string of counts
LONGEST_COUNT = 7  # letters, 35 bits


def labels_to_coco(result: LabelMap, index: int = 0, file_name: str = "") -> dict[str, Any]:
    """The labels of one image as a COCO document; unknown pixels belong to no annotation.

    Args:
        result: the labels. [B,H,W]
        index: which image of the batch.
        file_name: of the picture, as readers of the document look for it.
    """
    import numpy as np

    labels = result.labels[index].cpu().numpy()
    height, width = labels.shape
    found = [label for label in np.unique(labels).tolist() if label >= 0]
    return {
        "images": [{"id": 1, "file_name": file_name, "height": height, "width": width}],
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(result.names)],
        "annotations": [_annotation(labels == label, label + 1, number) for number, label in enumerate(found, 1)],
    }


def _annotation(mask: NDArray[np.bool_], category: int, number: int) -> dict[str, Any]:
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "image_id": 1,
        "category_id": category,
        "segmentation": encode_mask(mask),
        "area": int(mask.sum()),
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "iscrowd": 0,
    }


def labels_from_coco(document: Mapping[str, Any], place: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels and class names of a document with one image; where masks overlap, the later one counts.

    Args:
        document: parsed JSON.
        place: the file's name, for messages.

    Returns:
        Labels, -1 where no mask is, and the names behind them in the order of their categories. [H,W], [C]

    Raises:
        InputError: not such a document, several images, polygons, or masks that do not fit.
    """
    import numpy as np

    try:
        (image,) = document["images"]
        size = _checked_size([image["height"], image["width"]])
        categories = {entry["id"]: entry["name"] for entry in document["categories"]}
        if not 0 < len(categories) <= MOST_CLASSES or not all(isinstance(name, str) for name in categories.values()):
            raise ValueError(f"{len(categories)} categories")
        position = {number: label for label, number in enumerate(categories)}
        labels = np.full(size, -1, dtype=np.int64)
        for entry in document["annotations"]:
            if (given := _checked_size(entry["segmentation"]["size"])) != size:
                raise ValueError(f"a mask of {given} pixels in an image of {size}")
            labels[decode_mask(entry["segmentation"])] = position[entry["category_id"]]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        problem = f"not the labels of one image in COCO's form ({repr(error)[:120]})"
        raise InputError(
            f"{problem}; expected images, categories and run-length encoded masks.", place=place
        ) from error
    return labels, tuple(categories.values())


def _checked_size(size: Sequence[Any]) -> tuple[int, int]:
    height, width = size
    if not all(type(side) is int and side > 0 for side in (height, width)) or height * width > MOST_PIXELS:
        raise ValueError(f"size {size!r}")
    return height, width


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask as COCO's compressed run lengths. [H,W]

    >>> import numpy as np
    >>> encode_mask(np.eye(3, dtype=bool))
    {'size': [3, 3], 'counts': '013000'}
    """
    import numpy as np

    pixels = mask.T.ravel()
    changes = np.flatnonzero(np.diff(pixels)) + 1
    edges = [0, *([0] if pixels[0] else []), *changes.tolist(), len(pixels)]  # runs start with pixels outside
    runs = [end - start for start, end in pairwise(edges)]
    # From the fourth on, COCO writes how much a run differs from the one before the last.
    written = [run - runs[place - 2] if place > 2 else run for place, run in enumerate(runs)]
    return {"size": list(mask.shape), "counts": "".join(map(_letters, written))}


def _letters(number: int) -> str:
    """A whole number in groups of five bits, the lowest first, as letters."""
    text = ""
    while True:
        group, number = number & GROUP, number >> 5
        more = number != (-1 if group & SIGN else 0)
        text += chr(FIRST_LETTER + (group | (MORE if more else 0)))
        if not more:
            return text


def decode_mask(encoded: Mapping[str, Any]) -> NDArray[np.bool_]:
    """A mask from COCO's run lengths, compressed or as a list of numbers. [H,W]

    Raises:
        ValueError, TypeError, KeyError: not run lengths, or of another size than they claim.
    """
    import numpy as np

    height, width = _checked_size(encoded["size"])
    counts = encoded["counts"]
    runs = _read_runs(counts, height * width + 1) if isinstance(counts, str) else list(counts)
    if not all(type(run) is int and run >= 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"run lengths that are not those of {height} x {width} pixels")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def _read_runs(text: str, most: int) -> list[int]:
    runs: list[int] = []
    number = shift = 0
    for letter in text:
        group = ord(letter) - FIRST_LETTER
        if not 0 <= group < 2 * MORE or shift >= 5 * LONGEST_COUNT or len(runs) >= most:
            raise ValueError(f"{letter!r} in a string of counts")
        number |= (group & GROUP) << shift
        shift += 5
        if not group & MORE:
            number -= (1 << shift) if group & SIGN else 0
            runs.append(number + runs[-2] if len(runs) > 2 else number)
            number = shift = 0
    return runs
