"""Nodes from a label map to what ComfyUI's own nodes and other packs take: masks, SEGS, boxes, a table.

Not here: pictures and files (`output`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.exchange import Segs, list_bboxes, list_boxes, make_segs, stack_masks, surround
from llmseg.options import BBOX_LAYOUT, CROP_FACTOR, MASKS, REGION, REGION_AREA, REGION_COUNT, TABLE
from llmseg.region_tables import count_regions, format_regions
from llmseg.regions import choose_classes, find_regions
from llmseg.types import LabelMap

from .sockets import (
    BBOX,
    BOUNDING_BOX,
    LABEL_MAP,
    SEGS,
    choice,
    decimal,
    expect,
    integer,
    socket,
    text,
    to_images,
    to_mask,
)

if TYPE_CHECKING:
    from torch import Tensor

CATEGORY = "llmseg/interchange"
LABELS_IN = socket(LABEL_MAP, "One label per pixel.")
CLASSES_IN = text("", "Which classes, separated by commas; empty for all of them.", multiline=True)


class LLMSegMaskBatch:
    """The masks of several classes as one batch."""

    DESCRIPTION = "Masks of several classes in one batch, or one mask of them all; an absent class is all zero."
    CATEGORY = CATEGORY
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "class_names")
    OUTPUT_TOOLTIPS = ("White where the class is.", "The class of each mask, one a line.")
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"label_map": LABELS_IN, "class_names": CLASSES_IN, "masks": choice(MASKS)}}

    def execute(self, label_map: LabelMap, class_names: str, masks: str) -> tuple[Tensor, str]:
        result = expect(label_map, LabelMap, "label_map")
        stacked, names = stack_masks(result, choose_classes(result, class_names), masks)
        return to_mask(stacked), "\n".join(names)


class LLMSegToSEGS:
    """Regions for ComfyUI-Impact-Pack."""

    DESCRIPTION = (
        "Regions for the nodes of ComfyUI-Impact-Pack. SEGS hold one image each: of several images a list is made, "
        "and Rebatch Images (1 a batch) keeps the pictures in step."
    )
    CATEGORY = CATEGORY
    RETURN_TYPES = (SEGS,)
    RETURN_NAMES = ("segs",)
    OUTPUT_TOOLTIPS = ("The regions of each image; without any where nothing was found.",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        image = socket("IMAGE", "The picture that was labelled; each region then carries its crop.")
        return {
            "required": {
                "label_map": LABELS_IN,
                "class_names": CLASSES_IN,
                "regions": choice(REGION),
                "min_area": decimal(REGION_AREA),
                "limit": integer(REGION_COUNT),
                "crop_factor": decimal(CROP_FACTOR),
            },
            "optional": {"image": image},
        }

    def execute(
        self,
        label_map: LabelMap,
        class_names: str,
        regions: str,
        min_area: float,
        limit: int,
        crop_factor: float,
        image: Tensor | None = None,
    ) -> tuple[list[Segs]]:
        result = expect(label_map, LabelMap, "label_map")
        found = find_regions(result, choose_classes(result, class_names), regions, min_area=min_area, limit=limit)
        return (make_segs(found, None if image is None else to_images(image), crop_factor=crop_factor),)


class LLMSegBoxes:
    """Boxes around regions."""

    DESCRIPTION = "Boxes around the regions of a label map, for ComfyUI's own nodes and those of other packs."
    CATEGORY = CATEGORY
    RETURN_TYPES = (BOUNDING_BOX, BBOX, BOUNDING_BOX)
    RETURN_NAMES = ("bboxes", "bbox", "around")
    OUTPUT_TOOLTIPS = (
        "One list for each image of boxes with x, y, width, height, label and score.",
        "The same boxes as four numbers each.",
        "One box around them all, in every image; the whole picture where nothing was found.",
    )
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "label_map": LABELS_IN,
                "class_names": CLASSES_IN,
                "regions": choice(REGION),
                "min_area": decimal(REGION_AREA),
                "limit": integer(REGION_COUNT),
                "bbox_layout": choice(BBOX_LAYOUT),
            }
        }

    def execute(
        self, label_map: LabelMap, class_names: str, regions: str, min_area: float, limit: int, bbox_layout: str
    ) -> tuple[list[Any], list[Any], dict[str, Any]]:
        result = expect(label_map, LabelMap, "label_map")
        found = find_regions(result, choose_classes(result, class_names), regions, min_area=min_area, limit=limit)
        return list_boxes(found), list_bboxes(found, bbox_layout), surround(found)


class LLMSegTable:
    """What is where, as text."""

    DESCRIPTION = "Share of the image, confidence and number of regions of each class, for people or for programs."
    CATEGORY = CATEGORY
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("table",)
    OUTPUT_TOOLTIPS = ("One line for each class and image.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "label_map": LABELS_IN,
                "class_names": CLASSES_IN,
                "min_area": decimal(REGION_AREA),
                "format": choice(TABLE),
            }
        }

    def execute(self, label_map: LabelMap, class_names: str, min_area: float, format: str) -> tuple[str]:
        result = expect(label_map, LabelMap, "label_map")
        rows = count_regions(result, choose_classes(result, class_names), min_area=min_area)
        return (format_regions(rows, format),)


NODES = {
    "LLMSegMaskBatch": (LLMSegMaskBatch, "Mask Batch"),
    "LLMSegToSEGS": (LLMSegToSEGS, "To SEGS"),
    "LLMSegBoxes": (LLMSegBoxes, "Boxes"),
    "LLMSegTable": (LLMSegTable, "Region Table"),
}
