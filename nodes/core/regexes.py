"""Nodes that search texts with regular expressions.

Not here: the search itself, which runs in a process of its own (`matching`).
Source: ComfyUI 0.8 `comfy_extras/nodes_string.py`, reimplemented as V1 classes.
"""

from __future__ import annotations

import json
import re
import reprlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmseg.errors import InputError, LLMSegError

from ..sockets import Input, expect, switch
from . import matching
from .declaring import combo
from .texts import TextNode, field

SECONDS = 30.0  # for one search
# A search may need hundreds of bytes for each character of its text, and more for each of its pattern.
MOST_SEARCHED = 2**20
MOST_PATTERN = 2**16


def search_inputs() -> dict[str, Input]:
    """Where and what to search."""
    return {
        "string": field("The text to search."),
        "regex_pattern": field("A regular expression of Python's re."),
    }


def flag_inputs() -> dict[str, Input]:
    """The switches of every search."""
    return {
        "case_insensitive": switch(True, "Whether capital and small letters are the same."),
        "multiline": switch(False, "Whether ^ and $ also match at the ends of every line."),
        "dotall": switch(False, "Whether the dot matches line breaks too."),
    }


class RegexMatch(TextNode):
    """Test a text with a regular expression."""

    RETURN_TYPES = ("BOOLEAN",)
    RETURN_NAMES = ("matches",)
    OUTPUT_TOOLTIPS = ("Whether the pattern matches somewhere.",)
    DESCRIPTION = "Tells whether a regular expression matches; one that cannot be read does not."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text and the pattern."""
        return {"required": {**search_inputs(), **flag_inputs()}}

    def execute(
        self, string: str, regex_pattern: str, case_insensitive: bool, multiline: bool, dotall: bool
    ) -> tuple[bool]:
        """Search."""
        flags = search_flags(case_insensitive, multiline, dotall)
        return (run_apart("search", {"text": string, "pattern": regex_pattern, "flags": flags}),)


class RegexExtract(TextNode):
    """Take out of a text what a regular expression matches."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("The matches, one a line.",)
    DESCRIPTION = "Takes out what a regular expression matches; nothing if it cannot be read."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text, the pattern and which of its matches."""
        mode = combo(
            matching.MODES, "Matches, or one group of them; all matches of a pattern with groups are its first group."
        )
        group = {"default": 1, "min": 0, "max": 100, "tooltip": "The number of the group; 0 is the whole match."}
        return {"required": {**search_inputs(), "mode": mode, **flag_inputs(), "group_index": ("INT", group)}}

    def execute(
        self,
        string: str,
        regex_pattern: str,
        mode: str,
        case_insensitive: bool,
        multiline: bool,
        dotall: bool,
        group_index: int,
    ) -> tuple[str | None]:
        """Extract."""
        flags = search_flags(case_insensitive, multiline, dotall)
        wanted = {"mode": expect(mode, str, "mode"), "group": expect(group_index, int, "group_index")}
        return (run_apart("extract", {"text": string, "pattern": regex_pattern, "flags": flags, **wanted}),)


class RegexReplace(TextNode):
    """Replace what a regular expression matches."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("The text after the replacements.",)
    DESCRIPTION = "Replaces what a regular expression matches."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text, the pattern and what stands in its place."""
        count = {"default": 0, "min": 0, "max": 100, "tooltip": "The most replacements to make; 0 makes all."}
        replacement = field("What stands in its place; \\1 is the first group, \\g<name> one with a name.")
        return {
            "required": {**search_inputs(), "replace": replacement},
            "optional": {**flag_inputs(), "count": ("INT", count)},
        }

    def execute(
        self,
        string: str,
        regex_pattern: str,
        replace: str,
        case_insensitive: bool = True,
        multiline: bool = False,
        dotall: bool = False,
        count: int = 0,
    ) -> tuple[str]:
        """Replace."""
        flags = search_flags(case_insensitive, multiline, dotall)
        check_text(replace, MOST_SEARCHED, "replace")
        wanted = {"template": replace, "count": expect(count, int, "count")}
        return (run_apart("replace", {"text": string, "pattern": regex_pattern, "flags": flags, **wanted}),)


def search_flags(case_insensitive: bool, multiline: bool, dotall: bool) -> int:
    """The flags of `re` for the three switches."""
    chosen = zip((re.IGNORECASE, re.MULTILINE, re.DOTALL), (case_insensitive, multiline, dotall), strict=True)
    return sum(int(flag) for flag, wanted in chosen if wanted)


def run_apart(task: str, arguments: Mapping[str, Any], *, seconds: float = SECONDS) -> Any:
    """Search in another process, which is ended when its time is over.

    Args:
        task: a name in `matching.TASKS`.
        arguments: of that function; `text` and `pattern` among them.
        seconds: for all of it.

    Raises:
        InputError: an input is no text, too long or cannot be used, or the search takes too long.
        LLMSegError: no process can be started.
    """
    text, pattern = arguments["text"], arguments["pattern"]
    check_text(text, MOST_SEARCHED, "string")
    check_text(pattern, MOST_PATTERN, "regex_pattern")
    request = json.dumps([task, dict(arguments)], ensure_ascii=False).encode(*matching.ENCODING)
    # Isolated, and without site-packages: starts in a fraction of the time, and only the standard library runs.
    command = [sys.executable, "-I", "-S", "-W", "ignore", str(Path(matching.__file__))]
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would open a console
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, timeout=seconds, check=False, creationflags=hidden
        )
    except subprocess.TimeoutExpired:
        problem = f"{reprlib.repr(pattern)} was not done with {len(text)} characters after {seconds:g} seconds"
        remedy = "expected a faster search. Avoid repeats inside repeats, such as (a+)+."
        raise InputError(f"{problem}; {remedy}", place="regex_pattern") from None
    except OSError as error:
        raise LLMSegError(f"no process for the search: {error}; expected one of {sys.executable!r}.") from error
    if done.returncode != 0:
        problem = f"the search for {reprlib.repr(pattern)} broke off with code {done.returncode}"
        raise InputError(f"{problem}; expected a result. Simplify it.", place="regex_pattern")
    reply = json.loads(done.stdout.decode(*matching.ENCODING))
    if "problem" in reply:
        raise InputError(reply["problem"], place=reply["place"])
    return reply["result"]


def check_text(value: str, most: int, place: str) -> None:
    """Refuse what is no text, or too long to be searched.

    Raises:
        InputError: it is one of these.
    """
    length = len(expect(value, str, place))
    if length > most:
        raise InputError(f"{length} characters; expected at most {most} for a regular expression.", place=place)


NODES: dict[str, tuple[type, str]] = {
    "RegexExtract": (RegexExtract, "Regex Extract"),
    "RegexMatch": (RegexMatch, "Regex Match"),
    "RegexReplace": (RegexReplace, "Regex Replace"),
}
