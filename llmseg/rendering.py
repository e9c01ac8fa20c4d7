"""Pictures of results: overlay and legend. Everything is numpy and Pillow.

Not here: which colour a class has (`palette`), files (`files`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import InputError
from .options import OPACITY
from .palette import INK, PAPER, UNKNOWN_COLOUR, Colour
from .types import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

__all__ = ["draw_legend", "draw_overlay", "draw_results", "format_areas", "image_to_array", "overlay_image"]


LEGEND_ENTRIES = 16  # a longer legend would be larger than the picture


def draw_overlay(
    image: NDArray[np.uint8], labels: NDArray[np.int64], palette: Sequence[Colour], opacity: float = OPACITY.default
) -> NDArray[np.uint8]:
    """Colour an image by label, with a dark line between regions.

    Args:
        image: RGB. uint8 [H,W,3]
        labels: class of each pixel, below 0 for unknown. [H,W]
        palette: one colour per class. [C]
        opacity: 0 shows the image, 1 the colours.

    Returns:
        RGB. uint8 [H,W,3]

    Raises:
        InputError: the image has another size than the labels.
    """
    import numpy as np

    if image.shape != (*labels.shape, 3):
        raise InputError(f"shape {list(image.shape)}; expected {[*labels.shape, 3]} as the labels.", place="image")

    table = np.array([*palette, UNKNOWN_COLOUR], dtype=np.float32)  # label -1 reads the last row
    mixed = image * (1 - opacity) + table[np.maximum(labels, -1)] * opacity
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    mixed[edge] *= 1 - 0.6 * opacity
    return (mixed + 0.5).clip(0, 255).astype(np.uint8)


def draw_legend(entries: Sequence[tuple[str, Colour]], height: int) -> Image.Image:
    """Colour swatches with their texts, one a line, on paper at least `height` pixels high."""
    from PIL import Image, ImageDraw, ImageFont

    size = 13
    line, margin, swatch = size + 7, 8, size
    font = ImageFont.load_default(size)
    widths = [font.getlength(text) for text, _ in entries]
    width = round(max(widths, default=0)) + swatch + 3 * margin
    legend = Image.new("RGB", (width, max(height, line * len(entries) + 2 * margin)), PAPER)
    draw = ImageDraw.Draw(legend)
    for row, (text, colour) in enumerate(entries):
        top = margin + row * line
        draw.rectangle((margin, top, margin + swatch - 1, top + swatch - 1), fill=colour, outline=INK)
        draw.text((2 * margin + swatch, top + swatch / 2), text, fill=INK, font=font, anchor="lm")
    return legend


def overlay_image(
    result: LabelMap, image: NDArray[np.uint8], index: int = 0, opacity: float = OPACITY.default
) -> Image.Image:
    """One picture coloured by class, the legend of the classes found beside it.

    Args:
        result: the labels.
        image: the picture they belong to. uint8 [H,W,3]
        index: which image of the batch.
        opacity: 0 shows the picture, 1 the colours.
    """
    import numpy as np
    from PIL import Image

    labels = result.labels[index].cpu().numpy()
    drawn = Image.fromarray(draw_overlay(image, labels, result.palette, opacity))
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    entries: list[tuple[str, Colour]] = []
    for label, count in zip(found[order].tolist(), counts[order].tolist(), strict=True):
        if len(entries) == LEGEND_ENTRIES:
            entries.append((f"and {len(found) - len(entries)} more", PAPER))
            break
        name, colour = ("unknown", UNKNOWN_COLOUR) if label < 0 else (result.names[label], result.palette[label])
        entries.append((f"{name}  {count / labels.size:.1%}", colour))
    legend = draw_legend(entries, drawn.height)
    canvas = Image.new("RGB", (drawn.width + legend.width, legend.height), PAPER)
    canvas.paste(drawn, (0, 0))
    canvas.paste(legend, (drawn.width, 0))
    return canvas


def draw_results(result: LabelMap, images: Tensor, *, opacity: float = OPACITY.default, legend: bool = True) -> Tensor:
    """Overlays of a whole batch, all of the size of the largest legend.

    Args:
        result: labels of the batch.
        images: RGB in 0..1, of any size. [B,3,H,W]
        opacity: 0 shows the image, 1 the colours.
        legend: whether the classes found are listed beside each image.

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
            drawn.append(overlay_image(result, array, index, opacity))
        else:
            labels = result.labels[index].cpu().numpy()
            drawn.append(Image.fromarray(draw_overlay(array, labels, result.palette, opacity)))
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
