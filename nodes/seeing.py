"""Nodes that show a label map: the coloured picture, and the reasons behind it. In ComfyUI each shows it in place.

Not here: masks and files (`output`), the files behind a preview (`previews`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.explaining import format_usage, label_confidence
from llmseg.labels import label_phrases
from llmseg.options import AUTO_NUMBER, CONTOUR, OPACITY
from llmseg.rendering import draw_results
from llmseg.types import LabelMap

from .previews import report_images, show
from .sockets import LABEL_MAP, decimal, integer, socket, switch, to_image, to_images

if TYPE_CHECKING:
    from torch import Tensor

CATEGORY = "llmseg/output"
LABELS_IN = socket(LABEL_MAP, "One label per pixel.")
IMAGE_IN = socket("IMAGE", "The picture that was labelled.")


class LLMSegOverlay:
    """The picture coloured by class."""

    DESCRIPTION = "Colours the picture by class, with a legend of the classes found and their areas."
    CATEGORY = CATEGORY
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The coloured picture.",)
    OUTPUT_NODE = True
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "label_map": LABELS_IN,
                "image": IMAGE_IN,
                "opacity": decimal(OPACITY),
                "legend": switch(True, "Whether the classes found are listed beside the picture."),
            },
            "optional": {"contour": integer(CONTOUR)},
        }

    def execute(
        self, label_map: LabelMap, image: Tensor, opacity: float, legend: bool, contour: int = AUTO_NUMBER
    ) -> Any:
        pictures = draw_results(
            label_map,
            to_images(image),
            opacity=opacity,
            contour=contour,
            legend=legend,
            on_image=report_images(len(image)),
        )
        return show((to_image(pictures),), label_map, label_map, pictures)


class LLMSegExplain:
    """Which phrase won where."""

    DESCRIPTION = "Shows which phrase of each class won where, how sure it was, and which names were of no use."
    CATEGORY = CATEGORY
    RETURN_TYPES = ("IMAGE", "STRING", "IMAGE")
    RETURN_NAMES = ("image", "table", "confidence")
    OUTPUT_TOOLTIPS = (
        "The picture coloured by winning phrase.",
        "Area and confidence per class and phrase, then the names that won nowhere.",
        "The picture coloured by confidence: yellow is sure, violet is a guess.",
    )
    OUTPUT_NODE = True
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"label_map": LABELS_IN, "image": IMAGE_IN, "opacity": decimal(OPACITY)},
            "optional": {"contour": integer(CONTOUR)},
        }

    def execute(self, label_map: LabelMap, image: Tensor, opacity: float, contour: int = AUTO_NUMBER) -> Any:
        phrases, images = label_phrases(label_map), to_images(image)
        pictures = draw_results(phrases, images, opacity=opacity, contour=contour, on_image=report_images(len(image)))
        sure = draw_results(label_confidence(label_map), images, opacity=opacity, contour=0)
        return show((to_image(pictures), format_usage(label_map), to_image(sure)), phrases, label_map, pictures)


NODES = {
    "LLMSegOverlay": (LLMSegOverlay, "Overlay"),
    "LLMSegExplain": (LLMSegExplain, "Explain Labels"),
}
