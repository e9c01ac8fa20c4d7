"""Nodes that read labels, and measure a label map against the truth.

Not here: writing labels (`output`), what is in a picture as text (`interchange`).
"""

from __future__ import annotations

from typing import Any

from llmseg.evaluation import compare_labels, find_mistakes, format_comparison
from llmseg.label_files import names_file, read_labels
from llmseg.options import MEASURES
from llmseg.types import LabelMap

from .inputs import allow_input, files_stamp, input_file
from .sockets import LABEL_MAP, choice, expect, socket, text

CATEGORY = "llmseg/measuring"


class LLMSegLoadLabels:
    """Reads labels that were saved, or that come with a data set."""

    DESCRIPTION = "Reads labels from the input folder: what Save Labels wrote, or the label picture of any data set."
    CATEGORY = CATEGORY
    RETURN_TYPES = (LABEL_MAP,)
    RETURN_NAMES = ("label_map",)
    OUTPUT_TOOLTIPS = ("One label per pixel.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        names = (
            "What the numbers of a label picture mean: names in their order from 0, or one '12: dog' a line. "
            "Empty where the file says it itself."
        )
        return {
            "required": {
                "file": text("labels.png", "File name, relative to the input folder; ' [output]' reads the other one."),
                "class_names": text("", names, multiline=True),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, file: str | None) -> bool | str:
        return allow_input(file)

    @classmethod
    def IS_CHANGED(cls, file: str, class_names: str | None = None) -> str:
        path = input_file(file)
        return files_stamp((path, names_file(path)))

    def execute(self, file: str, class_names: str) -> tuple[LabelMap]:
        return (read_labels(input_file(file), class_names),)


class LLMSegEvaluate:
    """How good a label map is."""

    DESCRIPTION = (
        "Measures a label map against the truth, class by class and by name: IoU, boundary IoU, precision, recall."
    )
    CATEGORY = CATEGORY
    RETURN_TYPES = ("STRING", "FLOAT", LABEL_MAP)
    RETURN_NAMES = ("table", "miou", "mistakes")
    OUTPUT_TOOLTIPS = (
        "The measures.",
        "Mean IoU over the classes that are there, 0 to 1.",
        "The true class wherever another one was found, unknown where it is right: show it with Overlay.",
    )
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "label_map": socket(LABEL_MAP, "What was found."),
                "truth": socket(LABEL_MAP, "What is there; its unknown pixels are not counted."),
                "format": choice(MEASURES),
            }
        }

    def execute(self, label_map: LabelMap, truth: LabelMap, format: str) -> tuple[str, float, LabelMap]:
        found, there = expect(label_map, LabelMap, "label_map"), expect(truth, LabelMap, "truth")
        comparison = compare_labels(found, there)
        return format_comparison(comparison, format), comparison.miou, find_mistakes(found, there)


NODES = {
    "LLMSegLoadLabels": (LLMSegLoadLabels, "Load Labels"),
    "LLMSegEvaluate": (LLMSegEvaluate, "Evaluate Labels"),
}
