"""The public data sets: their classes, and where their files lie.

Each is taken at any level that people keep it at: the folder that holds VOCdevkit, VOCdevkit itself, VOC2012.

Not here: finding the files (`folders`), reading them (`datasets`). Sources: the data sets' own archives, and the
folders that mmsegmentation's guide makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..library import library_classes
from ..types import ClassList, ClassName
from .folders import Layout, Truths
from .number_tables import (
    SUPERCATEGORIES,
    NumberTable,
    cityscapes_numbers,
    coco_numbers,
    merged_numbers,
    numbers_from,
    object_numbers,
)

__all__ = ["PUBLIC", "PublicDataset"]

FIRST_MATERIAL = "ceiling"  # of the 27 supercategories, of which things come first
COCO_CLASSES = 171


class PublicDataset(NamedTuple):
    """A data set by its parts, made when asked for."""

    classes: Callable[[], ClassList]
    layout: Callable[[], Layout]


def _without_background(name: str) -> ClassList:
    return ClassList(tuple(entry for entry in library_classes(name).classes if entry.role != "background"))


def _context() -> ClassList:
    """Background, then by name: that is how the files are numbered, whatever the order of other lists."""
    listed = library_classes("context60").classes
    return ClassList(tuple(sorted(listed, key=lambda entry: (entry.role != "background", entry.name))))


def _context59() -> ClassList:
    return ClassList(_context().classes[1:])


def _supercategories() -> ClassList:
    names = tuple(SUPERCATEGORIES)
    materials = names[names.index(FIRST_MATERIAL) :]
    return ClassList(tuple(ClassName(name, role="stuff" if name in materials else "thing") for name in names))


def _voc(table: NumberTable) -> Layout:
    return Layout(
        homes=("", "VOC2012", "VOCdevkit/VOC2012"),
        images=("JPEGImages",),
        image_ending=".jpg",
        truths=(Truths("SegmentationClass", ".png", table),),
        splits={"val": "val"},
        listed="ImageSets/Segmentation/{split}.txt",
    )


def _pascal_context(table: NumberTable) -> Layout:
    return Layout(
        homes=("", "VOC2010", "VOCdevkit/VOC2010"),
        images=("JPEGImages",),
        image_ending=".jpg",
        truths=(Truths("SegmentationClassContext", ".png", table),),
        splits={"val": "val"},
        listed="ImageSets/SegmentationContext/{split}.txt",
    )


def _coco(made: tuple[Truths, ...], own: NumberTable) -> Layout:
    """COCO, with label files that somebody made of COCO-Stuff's own pictures, or with those."""
    return Layout(
        homes=("", "coco_stuff164k", "coco", "dataset"),
        images=("images/{split}", "{split}"),
        image_ending=".jpg",
        truths=(
            *made,
            *(
                Truths(folder, ".png", own)
                for folder in ("annotations/{split}", "stuffthingmaps_trainval2017/{split}", "stuffthingmaps/{split}")
            ),
        ),
        splits={"val": "val2017", "train": "train2017"},
    )


def _coco_object() -> Layout:
    trained = {label: label for label in range(COCO_CLASSES)}
    made = (
        Truths("annotations/{split}", "_instanceTrainIds.png", NumberTable(numbers_from(0, 81).labels, unknown=0)),
        Truths("annotations/{split}", "_labelTrainIds.png", object_numbers(trained)),
    )
    return _coco(made, object_numbers(coco_numbers()))


def _coco_stuff() -> Layout:
    made = (Truths("annotations/{split}", "_labelTrainIds.png", numbers_from(0, COCO_CLASSES)),)
    return _coco(made, NumberTable(coco_numbers()))


def _coco_stuff_merged() -> Layout:
    trained = {label: label for label in range(COCO_CLASSES)}
    made = (Truths("annotations/{split}", "_labelTrainIds.png", merged_numbers(trained)),)
    return _coco(made, merged_numbers(coco_numbers()))


def _ade() -> Layout:
    return Layout(
        homes=("", "ADEChallengeData2016", "ade/ADEChallengeData2016"),
        images=("images/{split}",),
        image_ending=".jpg",
        truths=(Truths("annotations/{split}", ".png", numbers_from(1, 150, ignored=(0,))),),
        splits={"val": "validation", "train": "training"},
    )


def _cityscapes() -> Layout:
    return Layout(
        homes=("", "cityscapes"),
        images=("leftImg8bit/{split}",),
        image_ending="_leftImg8bit.png",
        truths=(
            Truths("gtFine/{split}", "_gtFine_labelTrainIds.png", numbers_from(0, 19)),
            Truths("gtFine/{split}", "_gtFine_labelIds.png", cityscapes_numbers()),
        ),
        splits={"val": "val"},
    )


PUBLIC: Mapping[str, PublicDataset] = MappingProxyType(
    {
        "voc21": PublicDataset(lambda: library_classes("voc21"), lambda: _voc(numbers_from(0, 21))),
        "voc20": PublicDataset(lambda: _without_background("voc21"), lambda: _voc(numbers_from(1, 20, ignored=(0,)))),
        "context60": PublicDataset(_context, lambda: _pascal_context(numbers_from(0, 60))),
        "context59": PublicDataset(_context59, lambda: _pascal_context(numbers_from(1, 59, ignored=(0,)))),
        "object81": PublicDataset(lambda: library_classes("coco81"), _coco_object),
        "stuff171": PublicDataset(lambda: library_classes("cocostuff171"), _coco_stuff),
        "stuff27_merged": PublicDataset(_supercategories, _coco_stuff_merged),
        "ade150": PublicDataset(lambda: library_classes("ade150"), _ade),
        "cityscapes19": PublicDataset(lambda: library_classes("cityscapes19"), _cityscapes),
    }
)
