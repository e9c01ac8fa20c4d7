"""Nodes from class names to encoded phrases.

Not here: pictures (`encoding`), files that show results (`output`).
"""

from __future__ import annotations

import hashlib
from typing import Any

from llmseg.encoder import Encoder
from llmseg.errors import InputError
from llmseg.expansion import expand_with, format_expansion, load_expansion, save_expansion
from llmseg.library import library_classes, library_names
from llmseg.names import parse_names
from llmseg.options import AUTO, INCLUDE_NAMES, LIBRARY, TEMPLATES
from llmseg.text_bank import build_text_bank
from llmseg.types import ClassList, Expansion, TextBank

from . import host
from .sockets import CLASS_NAMES, ENCODER, EXPANSION, TEXT_BANK, choice, socket, text

CATEGORY = "llmseg/text"
CUSTOM = "custom"


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


class LLMSegExpand:
    """Splits classes into the kinds that can be told apart in a photo."""

    DESCRIPTION = "Gives every class its subclasses, from a shipped library or from text such as 'dog: poodle, beagle'."
    CATEGORY = CATEGORY
    RETURN_TYPES = (EXPANSION, "STRING")
    RETURN_NAMES = ("expansion", "table")
    OUTPUT_TOOLTIPS = ("The classes with their phrases.", "The same as text: can be edited and fed back.")
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        subclasses = text(
            "",
            "Own subclasses, one class a line: 'dog: poodle, beagle', or JSON from any node that gives text. "
            "Used instead of the library when not empty.",
            multiline=True,
        )
        return {
            "required": {"class_names": socket(CLASS_NAMES, "The classes to expand."), "library": choice(LIBRARY)},
            "optional": {"subclasses": subclasses},
        }

    def execute(self, class_names: ClassList, library: str, subclasses: str = "") -> tuple[Expansion, str]:
        expansion = expand_with(class_names, library, subclasses)
        return expansion, format_expansion(expansion)


class LLMSegLoadExpansion:
    """Reads an expansion that was saved or edited by hand."""

    DESCRIPTION = "Reads an expansion file (JSON) from the input folder."
    CATEGORY = CATEGORY
    RETURN_TYPES = (EXPANSION, "STRING")
    RETURN_NAMES = ("expansion", "table")
    OUTPUT_TOOLTIPS = ("The classes with their phrases.", "The same as text.")
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"file": text("expansion.json", "File name, relative to the input folder.")}}

    @classmethod
    def VALIDATE_INPUTS(cls, file: str | None) -> bool | str:
        try:
            return (
                file is None or host.input_path(file).is_file() or f"no file {file!r}; expected it in the input folder."
            )
        except InputError as error:
            return error.problem

    @classmethod
    def IS_CHANGED(cls, file: str) -> str:
        return hashlib.sha256(host.input_path(file, place="file").read_bytes()).hexdigest()

    def execute(self, file: str) -> tuple[Expansion, str]:
        expansion = load_expansion(host.input_path(file, place="file"))
        return expansion, format_expansion(expansion)


class LLMSegSaveExpansion:
    """Keeps an expansion, so that it can be edited, shared and used again."""

    DESCRIPTION = "Writes an expansion as JSON to the output folder."
    CATEGORY = CATEGORY
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "expansion": socket(EXPANSION, "What to save."),
                "filename_prefix": text("llmseg/expansion", "Start of the file name, sub-folders allowed."),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None) -> bool | str:
        return host.allow_prefix(filename_prefix)

    def execute(self, expansion: Expansion, filename_prefix: str) -> dict[str, Any]:
        target = host.save_target(filename_prefix)
        name = target.filename(0, ".json")
        save_expansion(expansion, target.folder / name)
        return {"ui": {"files": [{"filename": name, "subfolder": target.subfolder, "type": target.kind}]}}


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
        return {
            "required": {
                "encoder": socket(ENCODER, "The CLIP; the same one as for the image."),
                "expansion": socket(EXPANSION, "The classes with their phrases."),
                "templates": choice(TEMPLATES),
                "include_names": choice(INCLUDE_NAMES),
            }
        }

    def execute(
        self, encoder: Encoder, expansion: Expansion, templates: str = AUTO, include_names: str = AUTO
    ) -> tuple[TextBank]:
        return (build_text_bank(encoder, expansion, templates, include_names),)


NODES = {
    "LLMSegClassNames": (LLMSegClassNames, "Class Names"),
    "LLMSegExpand": (LLMSegExpand, "Expand Class Names"),
    "LLMSegLoadExpansion": (LLMSegLoadExpansion, "Load Expansion"),
    "LLMSegSaveExpansion": (LLMSegSaveExpansion, "Save Expansion"),
    "LLMSegEncodeText": (LLMSegEncodeText, "Encode Text"),
}
