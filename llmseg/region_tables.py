"""What is where as a table: class, share of the image, confidence, number of regions; for people and for programs.

Not here: the areas of a whole batch as a person's summary (`rendering.format_areas`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from .components import label_components
from .errors import InputError, lookup
from .options import TABLE
from .types import UNKNOWN, LabelMap

__all__ = ["TABLES", "Row", "count_regions", "format_regions"]

UNKNOWN_NAME = "unknown"


@dataclass(frozen=True)
class Row:
    """One class in one image.

    Args:
        image: its number in the batch, from 1.
        name: of the class, or unknown for pixels that belong to none.
        share: of the image's pixels, 0..1.
        confidence: mean probability of the most likely class over these pixels; None where there are none.
        regions: connected pieces that are large enough; None for unknown pixels, which are no class.
    """

    image: int
    name: str
    share: float
    confidence: float | None
    regions: int | None


def count_regions(result: LabelMap, classes: Sequence[int], *, min_area: float = 0.0) -> list[Row]:
    """Measure some classes in every image, and the unknown pixels after them where an image has any.

    Args:
        result: the labels. [B,H,W]
        classes: labels of the classes, in the order wanted.
        min_area: least share of its image that a region covers to be counted, 0..1; shares count every pixel.

    Raises:
        InputError: a share outside 0..1.
    """
    if not 0 <= min_area <= 1:
        raise InputError(f"{min_area!r}; expected a number from 0 to 1.", place="min_area")
    return [row for image in range(len(result.labels)) for row in _count_in_image(result, image, classes, min_area)]


def _count_in_image(result: LabelMap, image: int, classes: Sequence[int], min_area: float) -> list[Row]:
    import numpy as np

    labels = result.labels[image].cpu().numpy()
    confidence = result.confidence[image].double().cpu().numpy()
    slots = len(result.names) + 1  # the first one is for unknown pixels
    counts = np.bincount(labels.ravel() + 1, minlength=slots)
    sums = np.bincount(labels.ravel() + 1, weights=confidence.ravel(), minlength=slots)
    numbers, found = label_components(labels)
    large = np.bincount(numbers[numbers >= 0], minlength=len(found)) >= min_area * labels.size
    pieces = np.bincount(found[large] + 1, minlength=slots)
    rows = []
    for label in [*classes, UNKNOWN] if counts[0] else classes:
        count = int(counts[label + 1])
        sure = round(float(sums[label + 1]) / count, 4) if count else None
        name = UNKNOWN_NAME if label == UNKNOWN else result.names[label]
        number = None if label == UNKNOWN else int(pieces[label + 1])
        rows.append(Row(image + 1, name, round(count / labels.size, 6), sure, number))
    return rows


def format_regions(rows: Sequence[Row], layout: str = TABLE.default) -> str:
    """Write a table in the way that a name in `TABLES` says.

    Raises:
        UnknownNameError: an unknown way.
    """
    return lookup(TABLES, layout, place="format")(rows)


def _write_text(rows: Sequence[Row]) -> str:
    """Columns, a paragraph for each image of several; only what was found, the largest first, unknown last."""
    images = sorted({row.image for row in rows})
    parts = []
    for image in images:
        found = [row for row in rows if row.image == image and row.share > 0]
        found.sort(key=lambda row: (row.regions is None, -row.share))
        lines = [f"image {image}"] if len(images) > 1 else []
        lines.append("  share  confidence  regions  class")
        for row in found:
            regions = "" if row.regions is None else row.regions
            lines.append(f"{row.share:7.2%}  {row.confidence:10.2f}  {regions:>7}  {row.name}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _write_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "class", "share", "confidence", "regions"])
    writer.writerows([row.image, row.name, f"{row.share:f}", row.confidence, row.regions] for row in rows)
    return text.getvalue()


def _write_json(rows: Sequence[Row]) -> str:
    entries = [{"class" if key == "name" else key: value for key, value in asdict(row).items()} for row in rows]
    return json.dumps({"schema": 1, "rows": entries}, ensure_ascii=False)


TABLES: Mapping[str, Callable[[Sequence[Row]], str]] = {"text": _write_text, "csv": _write_csv, "json": _write_json}
