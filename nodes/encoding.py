"""Nodes that give a picture, a CLIP, and what that CLIP sees at every patch.

Not here: phrases (`text`), what is made of the patches (`maps`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmseg.backbone import Backbone
from llmseg.encoder import Encoder
from llmseg.examples import load_example, load_truth, tell_limits
from llmseg.files import image_to_tensor
from llmseg.options import ACTIVATION, ATTENTION, AUTO, DTYPE, FLIPS, LAYOUT, RESIZE, SCALES, SCENE, STRIDE, WINDOW
from llmseg.patch_features import build_patch_features
from llmseg.stored_features import features_key, pack_features, unpack_features
from llmseg.types import LabelMap, PatchFeatures, TextBank

from . import host, progress
from .models import check_model, model_input, model_stamp, open_encoder
from .sockets import (
    BACKBONE,
    ENCODER,
    LABEL_MAP,
    PATCH_FEATURES,
    TEXT_BANK,
    choice,
    integer,
    socket,
    switch,
    to_image,
    to_images,
)

if TYPE_CHECKING:
    from torch import Tensor

CATEGORY = "llmseg/maps"
DOWNLOAD_TIP = "Fetch the weights of a named model once if they are not on this computer. Files are never fetched."


class LLMSegExampleImage:
    """A picture that comes with the package, so that every example runs anywhere."""

    DESCRIPTION = "One of the packaged scenes, drawn in the world that the embedded model knows."
    CATEGORY = "llmseg"
    RETURN_TYPES = ("IMAGE", LABEL_MAP)
    RETURN_NAMES = ("IMAGE", "truth")
    OUTPUT_TOOLTIPS = ("The scene.", "What is where in it, exactly: to measure label maps against.")
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"scene": choice(SCENE)}}

    def execute(self, scene: str) -> tuple[Tensor, LabelMap]:
        return to_image(image_to_tensor(load_example(scene))), load_truth(scene)


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
        return {
            "required": {"model": model_input(), "activation": choice(ACTIVATION)},
            "optional": {"dtype": choice(DTYPE), "download": switch(False, DOWNLOAD_TIP)},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model: str | None) -> bool | str:
        return check_model(model)

    @classmethod
    def IS_CHANGED(
        cls, model: str | None, activation: str | None, dtype: str | None = AUTO, download: bool | None = False
    ) -> int:
        return model_stamp(model)

    def execute(self, model: str, activation: str, dtype: str = AUTO, download: bool = False) -> tuple[Encoder]:
        return (open_encoder(model, activation, dtype, download=download),)


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
            },
            # Optional, so that files from before it was there still run.
            "optional": {
                "scales": choice(SCALES),
                "layout": choice(LAYOUT),
                "text_bank": socket(TEXT_BANK, "The encoded phrases; only attention 'resclip' looks at them."),
                "flips": choice(FLIPS),
                "backbone": socket(BACKBONE, "What tells alike from different; only attention 'proxyclip' asks it."),
            },
        }

    def execute(
        self,
        encoder: Encoder,
        image: Tensor,
        attention: str,
        window: int,
        stride: int,
        resize: int,
        scales: str = AUTO,
        layout: str = AUTO,
        text_bank: TextBank | None = None,
        flips: str = "none",
        backbone: Backbone | None = None,
    ) -> tuple[PatchFeatures]:
        sides = {"window": window, "stride": stride, "resize": resize}
        beside: dict[str, Any] = {"text_bank": text_bank, "backbone": backbone}
        looks: dict[str, Any] = {"attention": attention, "scales": scales, "layout": layout, "flips": flips}
        return (_encode(encoder, image, {**sides, **looks, **beside}),)

    @classmethod
    def STORE_KEY(cls, encoder: Encoder, image: Tensor, attention: str, **options: Any) -> str | None:
        return features_key(encoder, image, attention=attention, **options)

    @classmethod
    def STORE_PACK(cls, features: PatchFeatures) -> dict[str, Any]:
        return pack_features(features)

    @classmethod
    def STORE_UNPACK(cls, kept: Any, encoder: Encoder, image: Tensor, **options: Any) -> tuple[PatchFeatures]:
        images = to_images(image)
        tell_limits(encoder, images)
        return (unpack_features(kept, encoder, images),)


def _encode(encoder: Encoder, image: Tensor, options: dict[str, Any]) -> PatchFeatures:
    """The features of a picture, in a batch maybe made with those of the next ones."""

    def build(images: Tensor) -> PatchFeatures:
        tell_limits(encoder, images)
        return build_patch_features(encoder, images, **options, on_batch=progress.report_steps())

    known = host.lookahead()
    if known is None:
        return build(to_images(image))
    return known.encode(image, (encoder, *options.values()), encoder.device.type, build)


NODES = {
    "LLMSegExampleImage": (LLMSegExampleImage, "Example Image"),
    "LLMSegLoadEncoder": (LLMSegLoadEncoder, "Load CLIP Encoder"),
    "LLMSegEncodeImage": (LLMSegEncodeImage, "Encode Image"),
}
