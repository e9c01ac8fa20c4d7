"""Text that the editor fills in while it queues: dates and other nodes' values in file prefixes, comments.

Random alternatives (``{a|b}`` in a dynamic prompt) are refused rather than guessed.
Not here: the tokens that the server fills in while saving (``%width%``, ``%batch_num%`` and the like).

Sources: the ComfyUI frontend (``applyTextReplacements``, ``dynamicPrompts``), restated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..errors import InputError
from .definitions import InputSpec
from .places import shown
from .records import EditorNode

__all__ = ["Tokens"]

SAVERS = frozenset(
    [
        *("SaveImage", "SaveAnimatedWEBP", "SaveAnimatedPNG", "SaveWEBM", "SaveVideo", "SaveSVGNode"),
        *("SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveLatent", "SaveGLB", "CLIPSave", "VAESave"),
        *("ModelSave", "LoraSave", "ImageOnlyCheckpointSave", "CheckpointSave"),
    ]
)
TOKEN = re.compile(r"%([^%]+)%")
DATE_PART = re.compile(r"yyyy|yy|dd?|MM?|hh?|mm?|ss?")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


class Tokens:
    """Fills the tokens of one workflow, all with the same time.

    Args:
        nodes: every node that a token may name.
        now: the time for dates; the present if not given.
    """

    def __init__(self, nodes: Iterable[EditorNode], now: datetime | None = None) -> None:
        self.nodes = list(nodes)
        self.now = now

    def fill(self, node: EditorNode, spec: InputSpec | None, name: str, value: Any) -> Any:
        """`value` as the editor would queue it for input `name` of `node`.

        Raises:
            InputError: the value holds random alternatives.
        """
        if not isinstance(value, str):
            return value
        if spec is not None and spec.options.get("dynamicPrompts"):
            return _plain_prompt(value, name)
        if name == "filename_prefix" and node.type in SAVERS and "%" in value:
            return TOKEN.sub(self._replacement, value)
        return value

    def _replacement(self, match: re.Match[str]) -> str:
        token = match.group(1)
        if token.startswith("date:"):
            self.now = self.now or datetime.now()
            return format_date(token.removeprefix("date:"), self.now)
        owner, dot, widget = token.partition(".")
        if not dot:
            return match.group()
        named = [node for node in self.nodes if node.properties.get("Node name for S&R") == owner]
        for node in named or [node for node in self.nodes if node.title == owner]:
            if widget in node.values:
                return UNSAFE.sub("_", str(node.values[widget]))
        return match.group()


def format_date(pattern: str, now: datetime) -> str:
    """`now` in the editor's pattern language: d dd M MM h hh m mm s ss yy yyyy."""
    values = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match[str]) -> str:
        text = match.group()
        if text[0] == "y":
            return f"{now.year:04}"[-len(text) :]
        return str(values[text[0]]).zfill(len(text))

    return DATE_PART.sub(part, pattern)


def _plain_prompt(text: str, name: str) -> str:
    plain = COMMENT.sub("", text)
    if re.search(r"(?<!\\)\{", plain):
        problem = f"random alternatives in {shown(text)} are not supported yet; expected plain text."
        raise InputError(f"{problem} Write the text that you want.", place=f"input {name!r}")
    return re.sub(r"\\([{}|])", r"\1", plain)
