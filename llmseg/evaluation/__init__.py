"""How good labels are: of one picture, of a data set, of one way against another.

    measures, boundaries     intersections and unions, and how sure one may be of a difference
    comparison               one label map against the truth, as a table
    counting                 pixels of one image by class found and by size; measures of many images
    number_tables, folders   what numbers in label files mean, and where the files lie
    layouts, datasets        public data sets, folders of one's own, the packaged scenes
    published, protocols     how others made the figures that they published
    deciding                 labels by their rules
    columns, inputs          one way to segment, and what may be said of it
    presets, grid            ways that are compared
    vocabularies             the phrases of each, and controls
    results, stored_counts   what was found, in memory and on disk
    feature_files            encoded images on disk
    preparing, experiments   phrases encoded, images counted
    verdicts, summary        where a way helps and hurts, and a table of it
    auto_off, leaving_out    lists that do harm switched off, and the phrase to blame
    pictures, report         a page for people
    requests, arguments, telling    what the command is asked for, and what it says

Not here: the nodes, the commands.
"""

from __future__ import annotations

from .boundaries import boundary_iou, count_boundaries
from .comparison import MEASURE_TABLES, ClassMeasure, Comparison, compare_labels, find_mistakes, format_comparison
from .counting import BUCKETS, ImageCounts, Measures, count_image, measure_counts
from .datasets import Dataset, Sample, open_dataset
from .deciding import decide_labels
from .measures import Interval, compare_miou, confusion_matrix, iou_per_class, mean_iou
from .protocols import PROTOCOLS, LabelRules, Protocol, name_classes

__all__ = [
    "BUCKETS",
    "MEASURE_TABLES",
    "PROTOCOLS",
    "ClassMeasure",
    "Comparison",
    "Dataset",
    "ImageCounts",
    "Interval",
    "LabelRules",
    "Measures",
    "Protocol",
    "Sample",
    "boundary_iou",
    "compare_labels",
    "compare_miou",
    "confusion_matrix",
    "count_boundaries",
    "count_image",
    "decide_labels",
    "find_mistakes",
    "format_comparison",
    "iou_per_class",
    "mean_iou",
    "measure_counts",
    "name_classes",
    "open_dataset",
]
