"""`PreviewAny`: any value as text.

Not here: tables of our own records, which bring their own text.
Source: ComfyUI 0.8 `comfy_extras/nodes_preview_any.py`, reimplemented.
"""

from __future__ import annotations

import json
from typing import Any


class PreviewAny:
    """Show any value as text."""

    RETURN_TYPES: tuple[str, ...] = ()
    FUNCTION = "main"
    OUTPUT_NODE = True
    CATEGORY = "utils"
    DESCRIPTION = "Shows any value as text."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Anything."""
        return {"required": {"source": ("*", {"tooltip": "The value to show."})}}

    def main(self, source: object = None) -> dict[str, Any]:
        """Answer the text for the user interface."""
        return {"ui": {"text": (as_text(source),)}}


def as_text(value: object) -> str:
    """Text as it is, numbers plainly, then JSON, then whatever `str` says."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (int, float)):
        return str(value)
    try:
        return json.dumps(value, indent=4)
    except (TypeError, ValueError, RecursionError):  # not JSON, circular, too deep
        pass
    try:
        return str(value)
    except Exception:  # the value's own code runs here and may raise anything
        return "source exists, but could not be serialized."


NODES: dict[str, tuple[type, str]] = {
    "PreviewAny": (PreviewAny, "Preview as Text"),
}
