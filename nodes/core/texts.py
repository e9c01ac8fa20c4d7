"""Nodes that join, cut, change and compare texts.

Not here: regular expressions (`regexes`), a text by itself (`values`).
Source: ComfyUI 0.8 `comfy_extras/nodes_string.py`, reimplemented as V1 classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmseg.errors import InputError

from ..sockets import Input, expect, switch
from .declaring import combo
from .matching import MOST_CHARACTERS

CASES: dict[str, Callable[[str], str]] = {
    "UPPERCASE": str.upper,
    "lowercase": str.lower,
    "Capitalize": str.capitalize,
    "Title Case": str.title,
}
SIDES: dict[str, Callable[[str], str]] = {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "Starts With": str.startswith,
    "Ends With": str.endswith,
    "Equal": str.__eq__,
}
CASE_TOOLTIP = "Whether capital and small letters differ."


class TextNode:
    """What all nodes for texts have in common."""

    FUNCTION = "execute"
    CATEGORY = "utils/string"


def field(tooltip: str) -> Input:
    """A text of several lines."""
    return "STRING", {"multiline": True, "tooltip": tooltip}


class StringConcatenate(TextNode):
    """Join two texts."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("Both texts with the delimiter between them.",)
    DESCRIPTION = "Joins two texts."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Two texts and what stands between them."""
        between = {"default": "", "multiline": False, "tooltip": "What stands between the texts."}
        return {
            "required": {
                "string_a": field("The first text."),
                "string_b": field("The second text."),
                "delimiter": ("STRING", between),
            }
        }

    def execute(self, string_a: str, string_b: str, delimiter: str) -> tuple[str]:
        """Join."""
        parts = [expect(string_a, str, "string_a"), expect(string_b, str, "string_b")]
        expect(delimiter, str, "delimiter")
        check_length(len(string_a) + len(delimiter) + len(string_b), place="string_b")
        return (delimiter.join(parts),)


class StringSubstring(TextNode):
    """Cut a piece out of a text."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("The piece; empty if the end does not lie behind the start.",)
    DESCRIPTION = "Takes a piece out of a text."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text and two positions."""
        back = "counted from 0, or from the end if negative."
        return {
            "required": {
                "string": field("The whole text."),
                "start": ("INT", {"tooltip": f"The first character of the piece, {back}"}),
                "end": ("INT", {"tooltip": f"The first character behind the piece, {back}"}),
            }
        }

    def execute(self, string: str, start: int, end: int) -> tuple[str]:
        """Cut."""
        return (expect(string, str, "string")[expect(start, int, "start") : expect(end, int, "end")],)


class StringLength(TextNode):
    """Count the characters of a text."""

    RETURN_TYPES = ("INT",)
    RETURN_NAMES = ("length",)
    OUTPUT_TOOLTIPS = ("The number of characters.",)
    DESCRIPTION = "Counts the characters of a text."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text."""
        return {"required": {"string": field("The text to count.")}}

    def execute(self, string: str) -> tuple[int]:
        """Count."""
        return (len(expect(string, str, "string")),)


class CaseConverter(TextNode):
    """Change capital and small letters."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("The changed text.",)
    DESCRIPTION = "Changes capital and small letters."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text and the kind of change."""
        mode = combo(list(CASES), "Capitalize raises the first letter of the text, Title Case that of every word.")
        return {"required": {"string": field("The text to change."), "mode": mode}}

    def execute(self, string: str, mode: str) -> tuple[str]:
        """Change; a mode that is not in the table, which only a link can bring, changes nothing."""
        return (CASES.get(expect(mode, str, "mode"), str)(expect(string, str, "string")),)


class StringTrim(TextNode):
    """Remove white space at the ends of a text."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("The text without white space at its ends.",)
    DESCRIPTION = "Removes white space at the ends of a text."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text and its ends."""
        mode = combo(list(SIDES), "The ends where spaces, tabs and line breaks go.")
        return {"required": {"string": field("The text to trim."), "mode": mode}}

    def execute(self, string: str, mode: str) -> tuple[str]:
        """Trim; a mode that is not in the table changes nothing."""
        return (SIDES.get(expect(mode, str, "mode"), str)(expect(string, str, "string")),)


class StringReplace(TextNode):
    """Put another text in place of a piece."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("The text after all replacements.",)
    DESCRIPTION = "Replaces every occurrence of a piece of text."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text, the piece and what stands for it."""
        find = field("The piece to replace; empty means the gap before, between and behind all characters.")
        return {
            "required": {
                "string": field("The text to search."),
                "find": find,
                "replace": field("What stands in its place."),
            }
        }

    def execute(self, string: str, find: str, replace: str) -> tuple[str]:
        """Replace."""
        growth = len(expect(replace, str, "replace")) - len(expect(find, str, "find"))
        check_length(len(expect(string, str, "string")) + string.count(find) * growth, place="replace")
        return (string.replace(find, replace),)


class StringContains(TextNode):
    """Look for a piece in a text."""

    RETURN_TYPES = ("BOOLEAN",)
    RETURN_NAMES = ("contains",)
    OUTPUT_TOOLTIPS = ("Whether the piece was found.",)
    DESCRIPTION = "Tells whether a text contains a piece."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text and the piece."""
        return {
            "required": {
                "string": field("The text to search."),
                "substring": field("The piece to look for."),
                "case_sensitive": switch(True, CASE_TOOLTIP),
            }
        }

    def execute(self, string: str, substring: str, case_sensitive: bool) -> tuple[bool]:
        """Look."""
        whole, piece = expect(string, str, "string"), expect(substring, str, "substring")
        return (piece in whole if case_sensitive else piece.lower() in whole.lower(),)


class StringCompare(TextNode):
    """Compare two texts."""

    RETURN_TYPES = ("BOOLEAN",)
    OUTPUT_TOOLTIPS = ("Whether the comparison holds.",)
    DESCRIPTION = "Compares two texts."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Two texts and the comparison."""
        return {
            "required": {
                "string_a": field("The text that is tested."),
                "string_b": field("Its start, its end, or all of it."),
                "mode": combo(list(COMPARISONS), "What string_b should be."),
                "case_sensitive": switch(True, CASE_TOOLTIP),
            }
        }

    def execute(self, string_a: str, string_b: str, mode: str, case_sensitive: bool) -> tuple[bool | None]:
        """Compare; a mode that is not in the table gives no value."""
        first, second = expect(string_a, str, "string_a"), expect(string_b, str, "string_b")
        if not case_sensitive:
            first, second = first.lower(), second.lower()
        compare = COMPARISONS.get(expect(mode, str, "mode"))
        return (None if compare is None else compare(first, second),)


def check_length(length: int, *, place: str) -> None:
    """Refuse a text before it is made.

    Raises:
        InputError: more than `MOST_CHARACTERS`.
    """
    if length > MOST_CHARACTERS:
        raise InputError(f"a result of {length} characters; expected at most {MOST_CHARACTERS}.", place=place)


NODES: dict[str, tuple[type, str]] = {
    "CaseConverter": (CaseConverter, "Case Converter"),
    "StringCompare": (StringCompare, "Compare"),
    "StringConcatenate": (StringConcatenate, "Concatenate"),
    "StringContains": (StringContains, "Contains"),
    "StringLength": (StringLength, "Length"),
    "StringReplace": (StringReplace, "Replace"),
    "StringSubstring": (StringSubstring, "Substring"),
    "StringTrim": (StringTrim, "Trim"),
}
