"""A label map held against the truth: what was found of each class, and a table of it.

Classes are matched by name. A class that the truth does not have is wrong wherever it was found, and is named. Pixels
that the truth leaves unknown are not counted.

Not here: the measures (`measures`, `boundaries`), data sets.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import InputError, lookup
from ..options import MEASURES
from ..types import UNKNOWN, LabelMap
from .boundaries import boundary_iou, count_boundaries
from .measures import confusion_matrix, iou_per_class, mean_iou

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MEASURE_TABLES", "ClassMeasure", "Comparison", "compare_labels", "find_mistakes", "format_comparison"]


@dataclass(frozen=True)
class ClassMeasure:
    """How well one class was found, all images together.

    Args:
        name: of the class.
        share: of the counted pixels that it truly covers, 0..1.
        iou, boundary_iou: intersection over union of the masks, and of the bands along their outlines, 0..1; NaN for a
            class neither true nor found.
        precision: share of the pixels labelled so that are so; NaN where none was.
        recall: share of its pixels that were labelled so; NaN where it has none.
    """

    name: str
    share: float
    iou: float
    boundary_iou: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Comparison:
    """A label map against the truth.

    Args:
        classes: those of the truth, in its order.
        miou, boundary_miou: means over the classes that occur in the truth, 0..1.
        accuracy: share of the counted pixels whose class is right, 0..1.
        pixels: that were counted.
        strangers: classes found that the truth does not have, and their share of the counted pixels.
    """

    classes: tuple[ClassMeasure, ...]
    miou: float
    boundary_miou: float
    accuracy: float
    pixels: int
    strangers: tuple[tuple[str, float], ...]


def compare_labels(result: LabelMap, truth: LabelMap) -> Comparison:
    """Measure a label map.

    Args:
        result: what was found. [B,H,W]
        truth: what is there; unknown pixels are not counted. [B,H,W]

    Raises:
        InputError: another number or size of images, or a truth without any known pixel.
    """
    import torch

    found = _translate(result, truth)
    there = truth.labels.to(found.device)
    count = len(truth.names)
    matrix = confusion_matrix(found, there, count, ignore=UNKNOWN).cpu()
    if not matrix.sum():
        raise InputError("no pixel of a known class; expected some.", place="truth")
    bands = sum(
        (count_boundaries(*pair, count) for pair in zip(found, there, strict=True)),
        start=torch.zeros(count, 2, dtype=torch.int64),
    )
    total, square = matrix.sum(), matrix[:, :count].double()
    occurs = matrix.sum(1) > 0
    columns = (
        (matrix.sum(1) / total).tolist(),
        iou_per_class(matrix).tolist(),
        boundary_iou(bands).tolist(),
        (square.diag() / square.sum(0)).tolist(),
        (square.diag() / matrix.sum(1)).tolist(),
    )
    return Comparison(
        classes=tuple(ClassMeasure(*row) for row in zip(truth.names, *columns, strict=True)),
        miou=mean_iou(matrix),
        boundary_miou=float(boundary_iou(bands)[occurs].nanmean()),
        accuracy=float(square.diag().sum() / total),
        pixels=int(total),
        strangers=_strangers(result, truth),
    )


def find_mistakes(result: LabelMap, truth: LabelMap) -> LabelMap:
    """The true class wherever another one was found, unknown everywhere else. [B,H,W]

    Raises:
        InputError: another number or size of images.
    """
    import torch

    found = _translate(result, truth)
    there = truth.labels.to(found.device)
    wrong = torch.where(found == there, UNKNOWN, there)
    return replace(truth, labels=wrong, confidence=(wrong != UNKNOWN).float())


def _translate(result: LabelMap, truth: LabelMap) -> Tensor:
    """The labels of `result` in the numbers of `truth`; unknown where that has no such class. [B,H,W]"""
    import torch

    if result.labels.shape != truth.labels.shape:
        given, wanted = (" x ".join(map(str, each.labels.shape)) for each in (result, truth))
        raise InputError(f"{given} (images x height x width); expected {wanted} as in truth.", place="label_map")
    places = {name.casefold(): label for label, name in enumerate(truth.names)}
    table = [UNKNOWN, *(places.get(name.casefold(), UNKNOWN) for name in result.names)]
    return torch.tensor(table, device=result.labels.device)[result.labels + 1]


def _strangers(result: LabelMap, truth: LabelMap) -> tuple[tuple[str, float], ...]:
    known = {name.casefold() for name in truth.names}
    counted = result.labels[truth.labels.to(result.labels.device) != UNKNOWN]
    sizes = counted[counted >= 0].bincount(minlength=len(result.names)).tolist()
    listed = zip(result.names, sizes, strict=True)
    return tuple((name, size / counted.numel()) for name, size in listed if size and name.casefold() not in known)


def format_comparison(comparison: Comparison, layout: str = MEASURES.default) -> str:
    """Write a comparison in the way that a name in `MEASURE_TABLES` says.

    Raises:
        UnknownNameError: an unknown way.
    """
    return lookup(MEASURE_TABLES, layout, place="format")(comparison)


HEADER = ("class", "share", "iou", "boundary_iou", "precision", "recall")


def _numbers(measure: ClassMeasure) -> tuple[float, ...]:
    return measure.share, measure.iou, measure.boundary_iou, measure.precision, measure.recall


def _write_text(comparison: Comparison) -> str:
    """Classes that occur, the largest first, after the means; then what was found that is not there."""
    lines = [
        f"{comparison.miou:7.2%}  mean IoU",
        f"{comparison.boundary_miou:7.2%}  mean boundary IoU",
        f"{comparison.accuracy:7.2%}  pixels right",
        "",
        "  share      IoU  boundary  precision   recall  class",
    ]
    there = [measure for measure in comparison.classes if measure.share > 0]
    for measure in sorted(there, key=lambda each: -each.share):
        share, iou, boundary, precision, recall = (_percent(number) for number in _numbers(measure))
        lines.append(f"{share:>7}  {iou:>7}  {boundary:>8}  {precision:>9}  {recall:>7}  {measure.name}")
    wrong = [each.name for each in comparison.classes if not each.share and not math.isnan(each.iou)]
    lines += [f"found, but nowhere true: {name}" for name in wrong]
    lines += [f"found, but no class of the truth: {name} ({share:.2%})" for name, share in comparison.strangers]
    return "\n".join(lines)


def _percent(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.2%}"


def _write_csv(comparison: Comparison) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for measure in comparison.classes:
        writer.writerow(
            [measure.name, *("" if math.isnan(number) else f"{number:.6f}" for number in _numbers(measure))]
        )
    means = (1.0, comparison.miou, comparison.boundary_miou)
    writer.writerow(["mean", *(f"{number:.6f}" for number in means), "", ""])
    return text.getvalue()


def _write_json(comparison: Comparison) -> str:
    rows = [
        dict(zip(HEADER, [measure.name, *map(_or_none, _numbers(measure))], strict=True))
        for measure in comparison.classes
    ]
    means = {"miou": comparison.miou, "boundary_miou": _or_none(comparison.boundary_miou)}
    more = {"accuracy": comparison.accuracy, "pixels": comparison.pixels, "strangers": dict(comparison.strangers)}
    return json.dumps({"schema": 1, **means, **more, "classes": rows}, ensure_ascii=False)


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else round(number, 6)


def _write_markdown(comparison: Comparison) -> str:
    lines = ["| " + " | ".join(HEADER) + " |", "|---" + "|---:" * (len(HEADER) - 1) + "|"]
    for measure in comparison.classes:
        name = measure.name.replace("|", "\\|")
        lines.append("| " + " | ".join([name, *map(_percent, _numbers(measure))]) + " |")
    means = ["**mean**", "", *map(_percent, (comparison.miou, comparison.boundary_miou)), "", ""]
    return "\n".join([*lines, "| " + " | ".join(means) + " |"])


MEASURE_TABLES: Mapping[str, Callable[[Comparison], str]] = MappingProxyType(
    {"text": _write_text, "csv": _write_csv, "json": _write_json, "markdown": _write_markdown}
)
