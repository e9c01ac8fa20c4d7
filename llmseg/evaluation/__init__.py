"""How good labels are: of one picture, of a data set, of one way against another.

    measures, boundaries     intersections and unions, and how sure one may be of a difference
    comparison               one label map against the truth, as a table

Not here: the nodes, the commands.
"""

from __future__ import annotations

from .boundaries import boundary_iou, count_boundaries
from .comparison import MEASURE_TABLES, ClassMeasure, Comparison, compare_labels, find_mistakes, format_comparison
from .measures import Interval, compare_miou, confusion_matrix, iou_per_class, mean_iou

__all__ = [
    "MEASURE_TABLES",
    "ClassMeasure",
    "Comparison",
    "Interval",
    "boundary_iou",
    "compare_labels",
    "compare_miou",
    "confusion_matrix",
    "count_boundaries",
    "find_mistakes",
    "format_comparison",
    "iou_per_class",
    "mean_iou",
]
