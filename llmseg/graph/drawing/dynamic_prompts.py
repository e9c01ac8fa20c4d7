"""Dynamic prompts: comments go, and of every group of alternatives ``{a|b|c}`` one is taken, as the editor does.

Not here: which inputs are dynamic prompts (`tokens`).

Source: the ComfyUI frontend (``processDynamicPrompt``), restated; a backslash at the very end stays as it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from ...errors import InputError

__all__ = ["Picker", "fill_alternatives", "pick_at_random"]

Picker = Callable[[int], int]  # how many alternatives there are -> the index of the one to take

MAX_DEPTH = 50  # of groups inside groups; each level is read once more
COMMENT = re.compile(r"/\*.*?\*/|//[^\n\r\u2028\u2029]*", re.DOTALL)  # `//` eats addresses too, as in the editor
ESCAPED = re.compile(r"\\([{}|])")


def pick_at_random(count: int) -> int:
    """Any alternative, as the editor takes them."""
    return random.randrange(count)


def fill_alternatives(text: str, pick: Picker, depth: int = 0) -> str:
    """`text` as the editor would queue it.

    Args:
        text: with comments, groups in braces, and escapes for braces and bars.
        pick: chooses one of so many alternatives.
        depth: how many groups this text stood in.

    Raises:
        InputError: groups inside groups beyond any use.
    """
    if depth > MAX_DEPTH:
        raise InputError(f"alternatives nested more than {MAX_DEPTH} levels deep; expected fewer.")
    text, result, at = COMMENT.sub("", text), [], 0
    while at < len(text):
        if text[at] == "\\":
            result.append(text[at : at + 2])
            at += 2
        elif text[at] == "{":
            alternatives, at = _read_group(text, at + 1)
            result.append(fill_alternatives(alternatives[pick(len(alternatives))], pick, depth + 1))
        else:
            result.append(text[at])
            at += 1
    return ESCAPED.sub(r"\1", "".join(result))


def _read_group(text: str, at: int) -> tuple[list[str], int]:
    """The alternatives of a group whose brace stands before `at`, and where the text goes on; the end closes it."""
    alternatives: list[str] = []
    start, depth = at, 0
    while at < len(text):
        letter = text[at]
        if letter == "\\":
            at += 1
        elif letter == "{":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
        elif letter == "}":
            return [*alternatives, text[start:at]], at + 1
        elif letter == "|" and not depth:
            alternatives.append(text[start:at])
            start = at + 1
        at += 1
    return [*alternatives, text[start:]], at
