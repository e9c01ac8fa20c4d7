"""Nodes that change, read and write expansions.

Not here: making them (`asking`), class names and vectors (`text`).
"""

from __future__ import annotations

from typing import Any

from llmseg.expansion import load_expansion, save_expansion
from llmseg.expansion_edits import edit_expansion
from llmseg.expansion_text import format_expansion
from llmseg.types import Expansion

from . import host
from .inputs import allow_input, files_stamp, input_file
from .sockets import EXPANSION, socket, text

CATEGORY = "llmseg/text"


class LLMSegEditExpansion:
    """Changes an expansion by hand."""

    DESCRIPTION = (
        "Changes phrases by hand: 'dog: poodle, beagle' is a new list, 'dog: +husky, -poodle' changes the old one."
    )
    CATEGORY = CATEGORY
    RETURN_TYPES = (EXPANSION, "STRING")
    RETURN_NAMES = ("expansion", "table")
    OUTPUT_TOOLTIPS = ("The classes with their phrases.", "A class a line: can be edited and fed back.")
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        edits = text("", "One class a line; classes that are not named stay as they are.", multiline=True)
        return {"required": {"expansion": socket(EXPANSION, "What to change."), "edits": edits}}

    def execute(self, expansion: Expansion, edits: str) -> tuple[Expansion, str]:
        edited = edit_expansion(expansion, edits)
        return edited, format_expansion(edited)


class LLMSegLoadExpansion:
    """Reads an expansion that was saved or edited by hand."""

    DESCRIPTION = "Reads an expansion file (JSON) from the input folder."
    CATEGORY = CATEGORY
    RETURN_TYPES = (EXPANSION, "STRING")
    RETURN_NAMES = ("expansion", "table")
    OUTPUT_TOOLTIPS = ("The classes with their phrases.", "A class a line: can be edited and fed back.")
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"file": text("expansion.json", "File name, relative to the input folder.")}}

    @classmethod
    def VALIDATE_INPUTS(cls, file: str | None) -> bool | str:
        return allow_input(file)

    @classmethod
    def IS_CHANGED(cls, file: str) -> str:
        return files_stamp((input_file(file),))

    def execute(self, file: str) -> tuple[Expansion, str]:
        expansion = load_expansion(input_file(file))
        return expansion, format_expansion(expansion)


class LLMSegSaveExpansion:
    """Keeps an expansion, so that it can be edited, shared and used again."""

    DESCRIPTION = "Writes an expansion as JSON to the output folder; such a file can serve as a lock file."
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


NODES = {
    "LLMSegEditExpansion": (LLMSegEditExpansion, "Edit Expansion"),
    "LLMSegLoadExpansion": (LLMSegLoadExpansion, "Load Expansion"),
    "LLMSegSaveExpansion": (LLMSegSaveExpansion, "Save Expansion"),
}
