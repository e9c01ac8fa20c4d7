"""What a user interface needs to tell, under the pointer, which class is there, how sure it is and which phrase won.

    the preview   the drawn picture, made smaller where it is large
    the map       a PNG of the labels' proportions: red and green number a cell (low byte first), blue is the confidence
    the table     rows of the legend, and cells: what the numbers in the map mean

Not here: where the files go (the nodes), what is shown of them (`web/viewer.js`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .files import png_bytes
from .palette import UNKNOWN_COLOUR
from .rendering import image_to_array, rank_labels
from .types import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

__all__ = ["Hover", "describe_pixels", "shrink"]

SIDE = 1024  # of a preview or a map, at most
CELLS = 0xFFFF  # that two bytes can number


class Hover(NamedTuple):
    """What is shown of one image.

    Args:
        preview: PNG.
        map: PNG.
        table: {"size": [width, height] of the labelled part of the preview, "rows": [{name, colour, share}] as in the
            legend, the largest first, "cells": [[row, class name, phrase]] in the order of the map's numbers}.
    """

    preview: bytes
    map: bytes
    table: dict[str, Any]


def describe_pixels(shown: LabelMap, result: LabelMap, pictures: Tensor, index: int = 0) -> Hover:
    """Make the files and the table of one image.

    Args:
        shown: the labels that were drawn: `result` itself, or its phrases or confidence.
        result: the classes, the confidence and the phrases behind them.
        pictures: drawn from `shown`, the labelled part at the top left. [B,3,H',W']
        index: which image of the batch.
    """
    import numpy as np
    from PIL import Image

    preview = shrink(image_to_array(pictures, index))
    height, width = shown.labels.shape[1:]
    scale = preview.width / pictures.shape[3]
    rows = rank_labels(shown.labels[index].cpu().numpy())
    # Every so many pixels, and not a mean: numbers of cells cannot be mixed.
    step = -(-max(height, width) // SIDE)
    every = (index, slice(None, None, step), slice(None, None, step))
    told = [each[every].cpu().numpy() for each in (shown.labels, result.labels, result.winning_phrase)]
    numbers, cells = _number_cells(np.stack(told))
    sure = (result.confidence[every].float().nan_to_num(0.0).clamp(0, 1) * 255).round().cpu().numpy()
    channels = np.stack([numbers & 0xFF, numbers >> 8, sure], axis=-1).astype(np.uint8)
    place = {label: row for row, (label, _) in enumerate(rows)}
    table = {
        "size": [round(width * scale), round(height * scale)],
        "rows": [_row(shown, label, share) for label, share in rows],
        "cells": [[place[label], *_tell(result, name, phrase)] for label, name, phrase in cells],
    }
    return Hover(png_bytes(preview), png_bytes(Image.fromarray(channels)), table)


def shrink(array: NDArray[np.uint8], side: int = SIDE) -> Image.Image:
    """A picture whose longer side is at most `side`. uint8 [H,W,3]"""
    from PIL import Image

    picture = Image.fromarray(array)
    scale = side / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _number_cells(told: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[list[int]]]:
    """Number every (drawn label, class, phrase) that there is.

    Args:
        told: the three of each pixel. [3,h,w]

    Returns:
        The number of each pixel [h,w], and what each number stands for.
    """
    import numpy as np

    drawn, labels, phrases = told + 1  # unknown becomes 0
    spans = [int(labels.max()) + 1, int(phrases.max()) + 1]
    codes, numbers = np.unique((drawn * spans[0] + labels) * spans[1] + phrases, return_inverse=True)
    if len(codes) > CELLS:  # more phrases won than can be numbered: the classes have to do
        return _number_cells(np.stack([told[0], told[1], np.full_like(told[2], -1)]))
    rest, phrase = np.divmod(codes, spans[1])
    cells = np.stack([*np.divmod(rest, spans[0]), phrase], axis=-1) - 1
    return numbers.reshape(drawn.shape), cells.tolist()


def _row(shown: LabelMap, label: int, share: float) -> dict[str, Any]:
    known = label >= 0
    colour = shown.palette[label] if known else UNKNOWN_COLOUR
    return {"name": shown.names[label] if known else "unknown", "colour": list(colour), "share": round(share, 6)}


def _tell(result: LabelMap, label: int, phrase: int) -> tuple[str, str]:
    """Class name and phrase; the class name alone where it won itself."""
    name = result.names[label] if label >= 0 else "unknown"
    return name, result.phrases[phrase] if phrase >= 0 and result.phrases[phrase] != name else ""
