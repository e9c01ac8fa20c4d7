"""Nodes from patch features and phrases to a label map.

Not here: pictures and their features (`encoding`), phrases (`text`), masks and files (`output`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.assembly import assemble_classes
from llmseg.backbone import Backbone
from llmseg.class_maps import ClassMaps
from llmseg.labels import label_pixels
from llmseg.options import AUTO, GATE, MIN_AREA, MODE, NAME_WEIGHT, REFINER, SCORING, TEMPERATURE, THRESHOLD
from llmseg.refinement import refine
from llmseg.scores import ScoreMaps, score_image
from llmseg.types import LabelMap, PatchFeatures, TextBank

from .memory import on_device
from .sockets import (
    BACKBONE,
    CLASS_MAPS,
    LABEL_MAP,
    PATCH_FEATURES,
    SCORE_MAPS,
    TEXT_BANK,
    choice,
    decimal,
    expect,
    socket,
    to_images,
    to_mask,
)

if TYPE_CHECKING:
    from torch import Tensor

CATEGORY = "llmseg/maps"
REGIONS_TIP = (
    "Masks of things in the one picture, of a SAM node or any other, for refiner 'regions': each becomes one class. "
    "They may overlap, the smaller ones win, and need not cover everything."
)
EITHER_MAPS = f"{CLASS_MAPS},{SCORE_MAPS}"


class LLMSegScore:
    """Compares every patch with every phrase."""

    DESCRIPTION = "Compares every patch of the image with every phrase."
    CATEGORY = CATEGORY
    RETURN_TYPES = (SCORE_MAPS,)
    RETURN_NAMES = ("score_maps",)
    OUTPUT_TOOLTIPS = ("One map per phrase.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "patch_features": socket(PATCH_FEATURES, "The encoded image."),
                "text_bank": socket(TEXT_BANK, "The encoded phrases, from the same CLIP."),
            },
            # Optional, here and below: files from before it was there still run.
            "optional": {"scoring": choice(SCORING)},
        }

    @on_device
    def execute(self, patch_features: PatchFeatures, text_bank: TextBank, scoring: str = AUTO) -> tuple[ScoreMaps]:
        return (score_image(patch_features, text_bank, scoring),)


class LLMSegAssemble:
    """Merges the maps of a class's phrases."""

    DESCRIPTION = "Merges the maps of a class's phrases into one map per class."
    CATEGORY = CATEGORY
    RETURN_TYPES = (CLASS_MAPS,)
    RETURN_NAMES = ("class_maps",)
    OUTPUT_TOOLTIPS = ("One map per class.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "score_maps": socket(SCORE_MAPS, "One map per phrase."),
                "mode": choice(MODE),
                "temperature": decimal(TEMPERATURE),
                "name_weight": decimal(NAME_WEIGHT),
            },
            "optional": {"gate": choice(GATE)},
        }

    @on_device
    def execute(
        self, score_maps: ScoreMaps, mode: str, temperature: float, name_weight: float, gate: str = "none"
    ) -> tuple[ClassMaps]:
        scores = expect(score_maps, ScoreMaps, "score_maps")
        return (assemble_classes(scores, mode, temperature=temperature, name_weight=name_weight, gate=gate),)


class LLMSegRefine:
    """Sharpens maps along the edges of the picture."""

    DESCRIPTION = "Sharpens class maps, or score maps before they are merged, by the picture they were made from."
    CATEGORY = CATEGORY
    RETURN_TYPES = (EITHER_MAPS,)
    RETURN_NAMES = ("maps",)
    OUTPUT_TOOLTIPS = ("The same kind of maps, on a finer grid.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "class_maps": socket(EITHER_MAPS, "One map per class, or one per phrase from Score Patches."),
                "image": socket("IMAGE", "The pictures that were encoded."),
                "refiner": choice(REFINER),
            },
            "optional": {
                "regions": socket("MASK", REGIONS_TIP),
                "backbone": socket(BACKBONE, "What tells alike from different; only refiner 'lposs' asks it."),
            },
        }

    @on_device
    def execute(
        self,
        class_maps: ClassMaps | ScoreMaps,
        image: Tensor,
        refiner: str,
        regions: Tensor | None = None,
        backbone: Backbone | None = None,
    ) -> tuple[ClassMaps | ScoreMaps]:
        return (refine(class_maps, to_images(image), refiner, regions=regions, backbone=backbone),)


class LLMSegLabel:
    """Decides which class each pixel belongs to."""

    DESCRIPTION = "Gives every pixel its most likely class."
    CATEGORY = CATEGORY
    RETURN_TYPES = (LABEL_MAP, "MASK")
    RETURN_NAMES = ("label_map", "confidence")
    OUTPUT_TOOLTIPS = ("One label per pixel.", "How likely the chosen class is at each pixel.")
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "class_maps": socket(CLASS_MAPS, "One map per class."),
                "threshold": decimal(THRESHOLD),
                "min_area": decimal(MIN_AREA),
            }
        }

    @on_device
    def execute(self, class_maps: ClassMaps, threshold: float, min_area: float) -> tuple[LabelMap, Tensor]:
        maps = expect(class_maps, ClassMaps, "class_maps")
        labels = label_pixels(maps, threshold=threshold, min_area=min_area)
        return labels, to_mask(labels.confidence)


NODES = {
    "LLMSegScore": (LLMSegScore, "Score Patches"),
    "LLMSegAssemble": (LLMSegAssemble, "Assemble Classes"),
    "LLMSegRefine": (LLMSegRefine, "Refine Class Maps"),
    "LLMSegLabel": (LLMSegLabel, "Label Pixels"),
}
