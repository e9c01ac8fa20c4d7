"""Contact sheets: the images that went best, worst, and otherwise than before, small enough for one page.

Not here: the page (`page`), where pictures come from (`Pictures`, which whoever ran the experiment has).
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ...errors import InputError, LLMSegError
from ...hovering import shrink
from ...palette import Colour, make_palette
from ...rendering import draw_overlay, rank_labels
from ...types import UNKNOWN, LabelMap
from .digest import Digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Pictures", "Sheet", "Shown", "build_sheets"]

IMAGES = 4  # in a sheet
SIDE, SMALLEST = 320, 192  # pixels of the long side: a smaller picture is made larger, whose labels then stay crisp
QUALITY = 76  # of JPEG: 64 pictures of photographs are about 1.5 MB
OPACITY = 0.7
LISTED = 12  # classes in a legend


class Pictures(Protocol):
    """Gives what a sheet shows, image by image."""

    def image(self, sample: str) -> NDArray[np.uint8]:
        """The picture. [H,W,3]"""
        ...

    def truth(self, sample: str) -> LabelMap:
        """What is there. [1,H,W]"""
        ...

    def labels(self, sample: str, column: str) -> LabelMap:
        """What was found. [1,H,W]"""
        ...


@dataclass(frozen=True)
class Shown:
    """One image.

    Args:
        sample: its name.
        before, after: its mean IoU under the baseline and under the column that is looked at closely.
        size: of every panel in pixels, width first.
        panels: what a picture shows, and the picture as JPEG.
        legend: classes seen in any of them, the largest first, and their colours.
        hidden: how many classes the legend leaves out.
        problem: why there are no panels; empty where there are.
    """

    sample: str
    before: float
    after: float
    size: tuple[int, int] = (0, 0)
    panels: tuple[tuple[str, bytes], ...] = ()
    legend: tuple[tuple[str, Colour], ...] = ()
    hidden: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Sheet:
    """Some images that have something in common, which the title says."""

    title: str
    images: tuple[Shown, ...]


def build_sheets(digest: Digest, pictures: Pictures) -> list[Sheet]:
    """Choose images and draw them; one whose files cannot be read any more says so."""
    drawn: dict[int, Shown] = {}
    for number in sorted({number for _, numbers in _choose(digest) for number in numbers}):
        drawn[number] = _show(digest, pictures, number)
    return [Sheet(title, tuple(drawn[number] for number in numbers)) for title, numbers in _choose(digest)]


def _choose(digest: Digest) -> list[tuple[str, list[int]]]:
    """Titles and images: most changed first, then worst and best. Without repetition where there are few images."""
    before, after = digest.baseline.image_miou, digest.chosen.image_miou
    chosen: list[tuple[str, list[int]]] = []
    known = [number for number, miou in enumerate(after) if not math.isnan(miou)]
    change = [after[number] - before[number] for number in range(len(after))]
    if digest.best:
        gained = [number for number in known if change[number] > 0]
        lost = [number for number in known if change[number] < 0]
        chosen.append(("Gained most", sorted(gained, key=lambda number: -change[number])[:IMAGES]))
        chosen.append(("Lost most", sorted(lost, key=lambda number: change[number])[:IMAGES]))
    taken = {number for _, numbers in chosen for number in numbers} if len(known) <= 4 * IMAGES else set()
    rest = sorted((number for number in known if number not in taken), key=lambda number: after[number])
    worst = rest[: min(IMAGES, -(-len(rest) // 2))]
    best = [number for number in reversed(rest) if number not in worst][:IMAGES]
    chosen += [("Worst", worst), ("Best", best)]
    return [(title, numbers) for title, numbers in chosen if numbers]


def _show(digest: Digest, pictures: Pictures, number: int) -> Shown:
    sample = digest.results.samples[number]
    shown = Shown(sample, digest.baseline.image_miou[number], digest.chosen.image_miou[number])
    columns = dict.fromkeys((digest.baseline.name, digest.chosen.name))
    try:
        image = _resize(pictures.image(sample))
        maps = [("truth", pictures.truth(sample)), *((name, pictures.labels(sample, name)) for name in columns)]
        panels, legend = _draw(image, maps, digest.names)
    except LLMSegError as error:
        return replace(shown, problem=str(error))
    return replace(
        shown,
        size=(image.shape[1], image.shape[0]),
        panels=tuple(panels),
        legend=tuple(legend[:LISTED]),
        hidden=max(0, len(legend) - LISTED),
    )


def _draw(
    image: NDArray[np.uint8], maps: Sequence[tuple[str, LabelMap]], names: Sequence[str]
) -> tuple[list[tuple[str, bytes]], list[tuple[str, Colour]]]:
    """The picture, then the picture under each label map, all in the colours of the data set's classes."""
    import numpy as np

    palette = make_palette(len(names))
    grey = np.repeat(
        image.mean(2, keepdims=True).astype(np.uint8), 3, axis=2
    )  # so that colours are those of the legend
    panels = [("picture", _to_jpeg(image))]
    grids = []
    for title, labels in maps:
        grid = labels.labels[0].cpu().numpy()
        if not grid.size or grid.max() >= len(names):
            raise InputError(f"labels up to {grid.max(initial=-1)}; expected below {len(names)}.", place=title)
        rows, columns = (
            np.arange(length) * known // length for length, known in zip(image.shape[:2], grid.shape, strict=True)
        )
        grids.append(grid[rows[:, None], columns[None]])
        panels.append((title, _to_jpeg(draw_overlay(grey, grids[-1], palette, OPACITY))))
    seen = [label for label, _ in rank_labels(np.concatenate(grids)) if label != UNKNOWN]
    return panels, [(names[label], palette[label]) for label in seen]


def _resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture at the size of a sheet. uint8 [h,w,3]"""
    import numpy as np
    from PIL import Image

    small = shrink(image, SIDE)
    times = -(-SMALLEST // max(small.size))
    if times > 1:
        small = small.resize((small.width * times, small.height * times), Image.Resampling.BICUBIC)
    return np.asarray(small)


def _to_jpeg(array: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()
