"""Nodes for class names, and from phrases to vectors.

Not here: what stands between them, the phrases (`asking`, `expansion`); pictures (`encoding`).
"""

from __future__ import annotations

from typing import Any

from llmseg.background import add_background
from llmseg.encoder import Encoder
from llmseg.library import library_classes, library_names
from llmseg.names import parse_names
from llmseg.options import AUTO, BACKGROUND, CUSTOM, INCLUDE_NAMES, TEMPLATES
from llmseg.text_bank import build_text_bank
from llmseg.types import ClassList, Expansion, TextBank

from .sockets import CLASS_NAMES, ENCODER, EXPANSION, TEXT_BANK, choice, socket, text

CATEGORY = "llmseg/text"
NEGATIVES_TIP = (
    "Names, as in Class Names, that compete and are then left out: their pixels become background, else unknown."
)


class LLMSegClassNames:
    """What to look for in the picture."""

    DESCRIPTION = "The classes to find. The position in the list is the label; an alias is written sofa | couch."
    CATEGORY = CATEGORY
    RETURN_TYPES = (CLASS_NAMES,)
    RETURN_NAMES = ("class_names",)
    OUTPUT_TOOLTIPS = ("The classes, in label order.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        names = text("dog, car, tree", "Class names, separated by commas or new lines.", multiline=True)
        presets = [CUSTOM, *library_names()]
        tip = f"{CUSTOM}: the text below. Any other choice takes the whole list of a shipped library instead."
        return {"required": {"text": names, "preset": (presets, {"default": CUSTOM, "tooltip": tip})}}

    def execute(self, text: str, preset: str) -> tuple[ClassList]:
        return (parse_names(text) if preset == CUSTOM else library_classes(preset),)


class LLMSegEncodeText:
    """Turns phrases into vectors."""

    DESCRIPTION = "Encodes the class names and their phrases. Only phrases not seen before are encoded."
    CATEGORY = CATEGORY
    RETURN_TYPES = (TEXT_BANK,)
    RETURN_NAMES = ("text_bank",)
    OUTPUT_TOOLTIPS = ("One vector per phrase.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = f"Read where templates is {CUSTOM}: a frame a line, with {{}} for the phrase or {{a}} for an owl, a dog."
        return {
            "required": {
                "encoder": socket(ENCODER, "The CLIP; the same one as for the image."),
                "expansion": socket(EXPANSION, "The classes with their phrases."),
                "templates": choice(TEMPLATES),
                "include_names": choice(INCLUDE_NAMES),
            },
            "optional": {
                "custom_templates": text("", tip, multiline=True),
                "background": choice(BACKGROUND),
                "negatives": text("", NEGATIVES_TIP, multiline=True),
            },
        }

    def execute(
        self,
        encoder: Encoder,
        expansion: Expansion,
        templates: str = AUTO,
        include_names: str = AUTO,
        custom_templates: str = "",
        background: str = BACKGROUND.default,
        negatives: str = "",
    ) -> tuple[TextBank]:
        expansion = add_background(expansion, background, negatives, known=encoder.knows)
        return (build_text_bank(encoder, expansion, templates, include_names, custom_templates),)


NODES = {
    "LLMSegClassNames": (LLMSegClassNames, "Class Names"),
    "LLMSegEncodeText": (LLMSegEncodeText, "Encode Text"),
}
