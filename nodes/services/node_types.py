"""`comfy.comfy_types`: names of socket types and base classes, which packs import for their annotations.

Not here: what the types mean (`llmseg.graph.drawing.sockets`).
Source: ComfyUI 0.8 `comfy/comfy_types/node_typing.py`, restated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any

NAMES = (
    *("STRING", "IMAGE", "MASK", "LATENT", "BOOLEAN", "INT", "FLOAT", "COMBO", "CONDITIONING", "SAMPLER", "SIGMAS"),
    *("GUIDER", "NOISE", "CLIP", "CONTROL_NET", "VAE", "MODEL", "LORA_MODEL", "LOSS_MAP", "CLIP_VISION"),
    *("CLIP_VISION_OUTPUT", "STYLE_MODEL", "GLIGEN", "UPSCALE_MODEL", "AUDIO", "WEBCAM", "POINT", "FACE_ANALYSIS"),
    *("BBOX", "SEGS", "VIDEO"),
)
UNIONS = {"ANY": "*", "NUMBER": "FLOAT,INT", "PRIMITIVE": "STRING,FLOAT,INT,BOOLEAN"}


class _TypeName(str, Enum):
    """A socket type: a text, equal to that text and hashed like it."""

    def __str__(self) -> str:
        return str(self.value)

    __hash__ = str.__hash__  # an Enum hashes its own name, and `ANY` is not "*"

    def __ne__(self, other: object) -> bool:
        """Not whether it is another text, but whether the types have nothing to do with each other."""
        if self == "*" or other == "*":
            return False
        if not isinstance(other, str):
            return True
        mine, theirs = set(self.value.split(",")), set(str(other).split(","))
        return not (mine <= theirs or theirs <= mine)


IO = _TypeName("IO", {**{name: name for name in NAMES}, **UNIONS}, module=__name__)  # type: ignore[call-arg]


class ComfyNodeABC(ABC):
    """A node class that has to say what its inputs are."""

    @classmethod
    @abstractmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, by group."""
        return {"required": {}}


class CheckLazyMixin:
    """A node that needs all of its lazy inputs."""

    def check_lazy_status(self, **kwargs: Any) -> list[str]:
        """The inputs that have no value yet."""
        return [name for name, value in kwargs.items() if value is None]


class Record(dict[str, Any]):
    """What ComfyUI types in detail for editors; at run time a dictionary, there as here."""


RECORDS = (
    *("FileLocator", "HiddenInputTypeDict", "InputTypeDict", "InputTypeOptions"),
    *("MultiSelectOptions", "RemoteInputOptions"),
)
MEMBERS: dict[str, Any] = {
    "IO": IO,
    "ComfyNodeABC": ComfyNodeABC,
    "CheckLazyMixin": CheckLazyMixin,
    **dict.fromkeys(RECORDS, Record),
}
