"""Nodes from a picture to a label map.

Not here: class names and phrases (`text`), masks and files (`output`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.assembly import assemble_classes
from llmseg.encoder import Encoder
from llmseg.examples import load_example
from llmseg.files import image_to_tensor
from llmseg.labels import label_pixels
from llmseg.options import (
    ACTIVATION,
    ATTENTION,
    MIN_AREA,
    MODE,
    NAME_WEIGHT,
    RESIZE,
    SCENE,
    STRIDE,
    TEMPERATURE,
    THRESHOLD,
    WINDOW,
)
from llmseg.patch_features import build_patch_features
from llmseg.scores import ScoreMaps, score_image
from llmseg.types import ClassMaps, LabelMap, PatchFeatures, TextBank

from . import host
from .models import check_model, model_input, model_stamp, open_encoder
from .sockets import (
    CLASS_MAPS,
    ENCODER,
    LABEL_MAP,
    PATCH_FEATURES,
    SCORE_MAPS,
    TEXT_BANK,
    choice,
    decimal,
    integer,
    socket,
    to_image,
    to_images,
    to_mask,
)

if TYPE_CHECKING:
    from torch import Tensor

CATEGORY = "llmseg/maps"


class LLMSegExampleImage:
    """A picture that comes with the package, so that every example runs anywhere."""

    DESCRIPTION = "One of the packaged scenes, drawn in the world that the embedded model knows."
    CATEGORY = "llmseg"
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("The scene.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"scene": choice(SCENE)}}

    def execute(self, scene: str) -> tuple[Tensor]:
        return (to_image(image_to_tensor(load_example(scene))),)


class LLMSegLoadEncoder:
    """Loads the CLIP that compares phrases with patches."""

    DESCRIPTION = "Loads a CLIP: the embedded one, a file of the model folders, or an open_clip model by name."
    CATEGORY = CATEGORY
    RETURN_TYPES = (ENCODER,)
    RETURN_NAMES = ("encoder",)
    OUTPUT_TOOLTIPS = ("The CLIP, ready to run.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": model_input(), "activation": choice(ACTIVATION)}}

    @classmethod
    def VALIDATE_INPUTS(cls, model: str | None) -> bool | str:
        return check_model(model)

    @classmethod
    def IS_CHANGED(cls, model: str | None, activation: str | None) -> int:
        return model_stamp(model)

    def execute(self, model: str, activation: str) -> tuple[Encoder]:
        return (open_encoder(model, activation),)


class LLMSegEncodeImage:
    """Looks at every patch of the picture."""

    DESCRIPTION = "Encodes every patch of an image, in sliding windows. Independent of the class names."
    CATEGORY = CATEGORY
    RETURN_TYPES = (PATCH_FEATURES,)
    RETURN_NAMES = ("patch_features",)
    OUTPUT_TOOLTIPS = ("One vector per patch.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "encoder": socket(ENCODER, "The CLIP."),
                "image": socket("IMAGE", "One or more pictures of one size."),
                "attention": choice(ATTENTION),
                "window": integer(WINDOW),
                "stride": integer(STRIDE),
                "resize": integer(RESIZE),
            }
        }

    def execute(
        self, encoder: Encoder, image: Tensor, attention: str, window: int, stride: int, resize: int
    ) -> tuple[PatchFeatures]:
        return (
            build_patch_features(
                encoder,
                to_images(image),
                attention=attention,
                window=window,
                stride=stride,
                resize=resize,
                on_batch=host.report_steps(),
            ),
        )


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
            }
        }

    def execute(self, patch_features: PatchFeatures, text_bank: TextBank) -> tuple[ScoreMaps]:
        return (score_image(patch_features, text_bank),)


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
            }
        }

    def execute(self, score_maps: ScoreMaps, mode: str, temperature: float, name_weight: float) -> tuple[ClassMaps]:
        return (assemble_classes(score_maps, mode, temperature=temperature, name_weight=name_weight),)


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

    def execute(self, class_maps: ClassMaps, threshold: float, min_area: float) -> tuple[LabelMap, Tensor]:
        labels = label_pixels(class_maps, threshold=threshold, min_area=min_area)
        return labels, to_mask(labels.confidence)


NODES = {
    "LLMSegExampleImage": (LLMSegExampleImage, "Example Image"),
    "LLMSegLoadEncoder": (LLMSegLoadEncoder, "Load CLIP Encoder"),
    "LLMSegEncodeImage": (LLMSegEncodeImage, "Encode Image"),
    "LLMSegScore": (LLMSegScore, "Score Patches"),
    "LLMSegAssemble": (LLMSegAssemble, "Assemble Classes"),
    "LLMSegLabel": (LLMSegLabel, "Label Pixels"),
}
