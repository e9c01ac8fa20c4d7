"""The node that loads a backbone: DINO or the like, which tells alike from different and reads no text.

Not here: who asks it (`encoding`, `maps`), where files are looked for (`models`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmseg.backbone import Backbone, holds_backbone, load_backbone
from llmseg.errors import InputError
from llmseg.models.weights import FILE_SUFFIXES
from llmseg.options import AUTO, DTYPE

from . import memory
from .models import list_files, resolve_model
from .sockets import BACKBONE, choice

NOTHING = "no file found"  # the one entry of an empty combo
FILE_TIP = (
    "A file in the model folders: DINO, DINOv2 or another plain ViT as timm has it, .safetensors, .pth, .pt or .bin. "
    "DINO ViT-B/8 suits proxyclip, ViT-B/16 lposs."
)


class LLMSegLoadBackbone:
    """Loads a DINO."""

    DESCRIPTION = "Loads a DINO from the model folders, for attention 'proxyclip' and refiner 'lposs'."
    CATEGORY = "llmseg/maps"
    RETURN_TYPES = (BACKBONE,)
    RETURN_NAMES = ("backbone",)
    OUTPUT_TOOLTIPS = ("The backbone, ready to run.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = list_files(holds_backbone) or [NOTHING]
        return {
            "required": {"model": (files, {"default": files[0], "tooltip": FILE_TIP})},
            "optional": {"dtype": choice(DTYPE)},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model: str | None) -> bool | str:
        try:
            return model is None or bool(_find(model))  # None: the name comes over a link
        except InputError as error:
            return error.problem

    @classmethod
    def IS_CHANGED(cls, model: str | None, dtype: str | None = AUTO) -> int:
        if model is None or cls.VALIDATE_INPUTS(model) is not True:
            return 0
        return _find(model).stat().st_mtime_ns

    def execute(self, model: str, dtype: str = AUTO) -> tuple[Backbone]:
        device, dtype = memory.building_device(), memory.number_format(dtype)
        return (memory.hand_over(load_backbone(_find(model), device=device, dtype=dtype)),)


def _find(model: str) -> Path:
    """The file of this name below the model folders.

    Raises:
        InputError: there is none.
    """
    if isinstance(model, str) and not model.endswith(FILE_SUFFIXES):
        raise InputError(f"{model[:60]!r}; expected a file ending in {', '.join(FILE_SUFFIXES)}.", place="model")
    return Path(resolve_model(model))


NODES = {"LLMSegLoadBackbone": (LLMSegLoadBackbone, "Load Backbone")}
