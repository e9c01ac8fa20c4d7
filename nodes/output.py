"""Nodes from a label map to masks and files; and everything at once.

Not here: how labels are made (`maps`), and shown (`seeing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.expansion import expand_with
from llmseg.files import list_label_files
from llmseg.names import parse_names
from llmseg.options import LIBRARY, MIN_AREA, MODE, THRESHOLD
from llmseg.pipeline import SegmentOptions, segment
from llmseg.rendering import draw_results, format_areas
from llmseg.types import LabelMap

from . import host, memory, progress
from .models import check_model, model_input, open_encoder
from .previews import show
from .sockets import LABEL_MAP, choice, decimal, socket, switch, text, to_image, to_images, to_mask

if TYPE_CHECKING:
    from torch import Tensor

CATEGORY = "llmseg/output"
LABELS_IN = socket(LABEL_MAP, "One label per pixel.")


class LLMSegSelectMask:
    """The mask of one class."""

    DESCRIPTION = "The mask of one class by name; all zero where the class was not found."
    CATEGORY = CATEGORY
    RETURN_TYPES = ("MASK",)
    OUTPUT_TOOLTIPS = ("White where the class is.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"label_map": LABELS_IN, "class_name": text("dog", "One of the class names.")}}

    def execute(self, label_map: LabelMap, class_name: str) -> tuple[Tensor]:
        return (to_mask(label_map.mask(class_name)),)


class LLMSegClassMasks:
    """The masks of all classes."""

    DESCRIPTION = "One mask per class, as a list in label order; an absent class is an all-zero mask."
    CATEGORY = CATEGORY
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "class_names")
    OUTPUT_TOOLTIPS = ("One mask batch per class.", "The class name of each mask.")
    OUTPUT_IS_LIST = (True, True)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"label_map": LABELS_IN}}

    def execute(self, label_map: LabelMap) -> tuple[list[Tensor], list[str]]:
        return [to_mask(label_map.mask(name)) for name in label_map.names], list(label_map.names)


class LLMSegSaveLabels:
    """Writes what other programs read."""

    DESCRIPTION = "Writes a label PNG, a JSON with names, colours and areas, and masks as PNG files or in COCO's form."
    CATEGORY = CATEGORY
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "label_map": LABELS_IN,
                "filename_prefix": text("llmseg/labels", "Start of the file names, sub-folders allowed."),
                "masks": switch(True, "Whether each class is also written as a mask of its own."),
            },
            "optional": {
                "coco": switch(False, "Whether the masks are also written as COCO's JSON, run-length encoded."),
                "areas": switch(False, "Whether area, confidence and regions of each class are also written as CSV."),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None) -> bool | str:
        return host.allow_prefix(filename_prefix)

    def execute(
        self, label_map: LabelMap, filename_prefix: str, masks: bool, coco: bool = False, areas: bool = False
    ) -> dict[str, Any]:
        target = host.save_target(filename_prefix, width=label_map.labels.shape[2], height=label_map.labels.shape[1])
        written: list[str] = []
        for index in range(len(label_map.labels)):
            name = target.filename(index, "").rstrip("_")
            files = list_label_files(label_map, name, index=index, masks=masks, coco=coco, areas=areas)
            for file, make in files.items():
                host.write_file(target.folder / file, make)
            written += files
        place = {"subfolder": target.subfolder, "type": target.kind}
        return {"ui": {"files": [{"filename": file, **place} for file in written]}}


class LLMSegSegment:
    """Everything in one node, for people in a hurry."""

    DESCRIPTION = "Finds the named classes in a picture: all stages in one node, with the model's own settings."
    CATEGORY = "llmseg"
    RETURN_TYPES = (LABEL_MAP, "IMAGE", "STRING")
    RETURN_NAMES = ("label_map", "overlay", "table")
    OUTPUT_TOOLTIPS = ("One label per pixel.", "The picture coloured by class.", "Area per class.")
    OUTPUT_NODE = True
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        own = "Own subclasses, 'dog: poodle, beagle' one class a line; used instead of the library when not empty."
        return {
            "required": {
                "image": socket("IMAGE", "One or more pictures of one size."),
                "class_names": text("dog, car, tree", "Class names, separated by commas.", multiline=True),
                "model": model_input(),
                "library": choice(LIBRARY),
                "mode": choice(MODE),
                "threshold": decimal(THRESHOLD),
                "min_area": decimal(MIN_AREA),
            },
            "optional": {"subclasses": text("", own, multiline=True)},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model: str | None) -> bool | str:
        return check_model(model)

    @memory.on_device
    def execute(
        self,
        image: Tensor,
        class_names: str,
        model: str,
        library: str,
        mode: str,
        threshold: float,
        min_area: float,
        subclasses: str = "",
    ) -> Any:
        encoder = open_encoder(model, results=host.torch_device())
        options = SegmentOptions(mode=mode, threshold=threshold, min_area=min_area)
        expansion = expand_with(parse_names(class_names), library, subclasses, encoder.library)
        images = to_images(image)
        result = segment(
            images, class_names, expansion, encoder=encoder, options=options, on_batch=progress.report_steps()
        )
        drawn = draw_results(result, images)
        return show((result, to_image(drawn), format_areas(result)), result, result, drawn)


NODES = {
    "LLMSegSelectMask": (LLMSegSelectMask, "Select Mask"),
    "LLMSegClassMasks": (LLMSegClassMasks, "Class Masks"),
    "LLMSegSaveLabels": (LLMSegSaveLabels, "Save Labels"),
    "LLMSegSegment": (LLMSegSegment, "Segment by Name"),
}
