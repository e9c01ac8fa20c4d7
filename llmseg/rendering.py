"""Pictures of results: overlay and legend. Everything is numpy and Pillow.

Not here: which colour a class has (`palette`), how a legend is laid out (`legends`), files (`files`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .errors import InputError
from .legends import LegendEntry, attach_legend
from .options import AUTO_NUMBER, CONTOUR, OPACITY
from .palette import INK, PAPER, UNKNOWN_COLOUR, Colour
from .types import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

__all__ = ["draw_overlay", "draw_results", "format_areas", "image_to_array", "overlay_image"]

LINE_EVERY = 1024  # pixels of the long side for each pixel of a line that is to stay visible
BAND = 1 << 20  # pixels coloured at once


def draw_overlay(
    image: NDArray[np.uint8],
    labels: NDArray[np.int64],
    palette: Sequence[Colour],
    opacity: float = OPACITY.default,
    contour: int = AUTO_NUMBER,
) -> NDArray[np.uint8]:
    """Colour an image by label, with lines between regions.

    Args:
        image: RGB. uint8 [H,W,3]
        labels: class of each pixel, below 0 for unknown. [H,W]
        palette: one colour per class. [C]
        opacity: 0 shows the image, 1 the colours.
        contour: -1 for a dark line that fades with the colours; 0 for none; else the width of an outline inside each
            region, in its class's colour whatever the opacity is.

    Returns:
        RGB. uint8 [H,W,3]

    Raises:
        InputError: the image has another size than the labels.
    """
    import numpy as np

    if image.shape != (*labels.shape, 3):
        raise InputError(f"shape {list(image.shape)}; expected {[*labels.shape, 3]} as the labels.", place="image")

    table = np.array([*palette, UNKNOWN_COLOUR], dtype=np.float32)  # label -1 reads the last row
    drawn = np.empty_like(image)
    edge = _edges(labels)
    line = _widen(edge, 0, -(-max(labels.shape) // LINE_EVERY) - 1)
    outline = _widen(edge, contour, contour - 1) & (labels >= 0) if contour > 0 else None
    step = max(1, BAND // max(1, labels.shape[1]))
    for top in range(0, len(labels), step):  # so that a large picture needs no array of floats
        rows = slice(top, top + step)
        colours = table[np.maximum(labels[rows], -1)]
        mixed = image[rows] * (1 - opacity) + colours * opacity
        if contour < 0:
            mixed[line[rows]] *= 1 - 0.6 * opacity
        elif outline is not None:
            mixed[outline[rows]] = colours[outline[rows]]
            if contour > 1:  # a dark parting shows on colours that are like the picture
                mixed[line[rows]] = INK
        drawn[rows] = (mixed + 0.5).clip(0, 255).astype(np.uint8)
    return drawn


def _edges(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels that differ from the one to the left or above. [H,W]"""
    import numpy as np

    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return edge


def _widen(mask: NDArray[np.bool_], before: int, after: int) -> NDArray[np.bool_]:
    """A mask grown by so many pixels to the left and up, and to the right and down. [H,W]"""
    for axis in (0, 1):
        source, mask = mask.swapaxes(0, axis), mask.copy()
        grown = mask.swapaxes(0, axis)
        for step in range(1, before + 1):
            grown[:-step] |= source[step:]
        for step in range(1, after + 1):
            grown[step:] |= source[:-step]
    return mask


def overlay_image(
    result: LabelMap,
    image: NDArray[np.uint8],
    index: int = 0,
    opacity: float = OPACITY.default,
    contour: int = int(CONTOUR.default),
) -> Image.Image:
    """One picture coloured by class, the legend of the classes found beside it, or below where it is wide.

    Args:
        result: the labels.
        image: the picture they belong to. uint8 [H,W,3]
        index: which image of the batch.
        opacity: 0 shows the picture, 1 the colours.
        contour: how the regions are outlined, as in `draw_overlay`.
    """
    from PIL import Image

    labels = result.labels[index].cpu().numpy()
    drawn = Image.fromarray(draw_overlay(image, labels, result.palette, opacity, contour))
    entries = [
        LegendEntry("unknown", UNKNOWN_COLOUR, f"{share:.1%}")
        if label < 0
        else LegendEntry(result.names[label], result.palette[label], f"{share:.1%}", label)
        for label, share in rank_labels(labels)
    ]
    return attach_legend(drawn, entries)


def rank_labels(labels: NDArray[np.int64]) -> list[tuple[int, float]]:
    """The labels found in one image and the share of its pixels that each covers, the largest first."""
    import numpy as np

    counts = np.bincount(np.maximum(labels, -1).ravel() + 1)
    order = np.argsort(-counts, kind="stable")
    return [(int(label) - 1, int(counts[label]) / labels.size) for label in order if counts[label]]


def draw_results(
    result: LabelMap,
    images: Tensor,
    *,
    opacity: float = OPACITY.default,
    contour: int = int(CONTOUR.default),
    legend: bool = True,
    on_image: Callable[[int, Image.Image], None] | None = None,
) -> Tensor:
    """Overlays of a whole batch, all of the size of the largest legend.

    Args:
        result: labels of the batch.
        images: RGB in 0..1, of any size. [B,3,H,W]
        opacity: 0 shows the image, 1 the colours.
        contour: how the regions are outlined, as in `draw_overlay`.
        legend: whether the classes found are listed beside each image.
        on_image: called with (images done, the last of them).

    Returns:
        RGB in 0..1. [B,3,H',W']

    Raises:
        InputError: another number of images than of label maps.
    """
    import numpy as np
    import torch
    from PIL import Image

    if len(images) != len(result.labels):
        raise InputError(f"{len(images)} images; expected {len(result.labels)}, one per label map.", place="image")
    drawn = []
    for index in range(len(images)):
        array = image_to_array(images, index)
        height, width = result.labels.shape[1:]
        if array.shape[:2] != (height, width):
            array = np.asarray(Image.fromarray(array).resize((width, height), Image.Resampling.LANCZOS))
        if legend:
            drawn.append(overlay_image(result, array, index, opacity, contour))
        else:
            labels = result.labels[index].cpu().numpy()
            drawn.append(Image.fromarray(draw_overlay(array, labels, result.palette, opacity, contour)))
        if on_image is not None:
            on_image(index + 1, drawn[-1])
    size = (max(picture.width for picture in drawn), max(picture.height for picture in drawn))
    arrays = [np.asarray(_pad(picture, size)) for picture in drawn]
    return torch.tensor(np.stack(arrays), dtype=torch.float32).permute(0, 3, 1, 2) / 255


def format_areas(result: LabelMap) -> str:
    """The classes found and the share of all pixels that each covers, largest first and unknown last, one a line."""
    areas = sorted(result.area().items(), key=lambda item: -item[1])
    unknown = float((result.labels < 0).sum()) / result.labels.numel()
    found = [(name, share) for name, share in [*areas, ("unknown", unknown)] if share > 0]
    return "\n".join(f"{share:7.2%}  {name}" for name, share in found)


def image_to_array(images: Tensor, index: int = 0) -> NDArray[np.uint8]:
    """One picture of a batch, 0..1 [B,3,H,W] -> uint8 [H,W,3]"""
    import numpy as np

    scaled = (images[index].clamp(0, 1) * 255).round().permute(1, 2, 0)
    return scaled.cpu().numpy().astype(np.uint8)


def _pad(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    from PIL import Image

    canvas = Image.new("RGB", size, PAPER)
    canvas.paste(picture, (0, 0))
    return canvas
