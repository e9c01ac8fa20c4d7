"""Text that the editor fills in while it queues: dates, other nodes' values, random alternatives.

Not here: the tokens that the server fills in while saving (``%width%``, ``%batch_num%`` and the like).

Sources: the ComfyUI frontend (``applyTextReplacements``, ``saveImageExtraOutput``, ``dynamicPrompts``), restated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ...errors import located
from ..inputs import InputSpec
from .dynamic_prompts import Picker, fill_alternatives
from .records import EditorNode

__all__ = ["Tokens"]

SAVERS = frozenset(
    [
        *("SaveImage", "SaveImageAdvanced", "SaveAnimatedWEBP", "SaveAnimatedPNG", "SaveWEBM", "SaveVideo"),
        *("SaveSVGNode", "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced", "SaveLatent"),
        *("SaveGLB", "Save3DAdvanced", "SaveGaussianSplat", "SavePointCloud", "CLIPSave", "VAESave", "ModelSave"),
        "LoraSave",
    ]
)
SEARCH_NAME = "Node name for S&R"  # the property by which a token names a node
REPLACES_VALUES = "Run widget replace on values"  # the property of a PrimitiveNode whose value holds tokens
TOKEN = re.compile(r"%([^%]+)%")
DATE_PART = re.compile(r"yyy?y?|dd?|MM?|hh?|mm?|ss?")
UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


class Tokens:
    """Fills the tokens of one workflow, all with the same time.

    Args:
        nodes: every node that a token may name.
        now: the time for dates; the present if not given.
        pick: chooses among alternatives; None leaves dynamic prompts as they are.
    """

    def __init__(self, nodes: Iterable[EditorNode], now: datetime | None, pick: Picker | None) -> None:
        self.nodes = list(nodes)
        self.now = now
        self.pick = pick

    def fill(self, node: EditorNode, spec: InputSpec | None, name: str, value: Any) -> Any:
        """`value` as the editor would queue it for input `name` of `node`."""
        if not isinstance(value, str):
            return value
        if spec is not None and spec.has("dynamicPrompts"):
            with located(f"input {name!r}"):
                return value if self.pick is None else fill_alternatives(value, self.pick)
        if name == "filename_prefix" and node.type in SAVERS:
            return self._replace(value)
        return value

    def fill_primitive(self, node: EditorNode, value: Any) -> Any:
        """The value of a PrimitiveNode as it is written into its targets."""
        return self._replace(value) if isinstance(value, str) and node.properties.get(REPLACES_VALUES) else value

    def _replace(self, value: str) -> str:
        return TOKEN.sub(self._replacement, value) if "%" in value else value

    def _replacement(self, match: re.Match[str]) -> str:
        parts = match.group(1).split(".")
        if len(parts) != 2:
            if not parts[0].startswith("date:"):
                return match.group()
            self.now = self.now or datetime.now()
            return format_date(parts[0].removeprefix("date:"), self.now)
        owner, widget = parts
        named = [node for node in self.nodes if search_name(node) == owner]
        node = next(iter(named or [node for node in self.nodes if node.title == owner]), None)
        values = dict(node.values) if node is not None else {}
        if node is not None and node.type == "PrimitiveNode":
            values["value"] = node.first_saved()
        return UNSAFE.sub("_", script_text(values[widget])) if widget in values else match.group()


def search_name(node: EditorNode) -> str | None:
    """The name by which tokens find a node; nodes that have none are found by their class, but for those that save."""
    fallback = node.type if node.definition is not None and node.type not in SAVERS else None
    name = node.properties.get(SEARCH_NAME, fallback)
    return name if isinstance(name, str) else None


def format_date(pattern: str, now: datetime) -> str:
    """`now` in the editor's pattern language: d dd M MM h hh m mm s ss yy yyyy."""
    values = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match[str]) -> str:
        text = match.group()
        if text in ("yy", "yyyy"):
            return f"{now.year:04}"[-len(text) :]
        return text if text == "yyy" else str(values[text[0]]).zfill(len(text))

    return DATE_PART.sub(part, pattern)


def script_text(value: Any) -> str:
    """A value as JavaScript writes it into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        return re.sub(r"e([+-])0+", r"e\1", repr(value))
    if isinstance(value, list):
        return ",".join(map(script_text, value))
    return "[object Object]" if isinstance(value, dict) else str(value)
