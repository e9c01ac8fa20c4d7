"""Regular expressions by Python's own `re`, as a script that another process can end.

A pattern from a workflow may search for ever, and nothing inside a process can interrupt `re`. The module
`regex` can be interrupted, but reads `\\w`, `\\s`, `[[:alpha:]]` and `{e<=1}` differently.

Runs in isolation, so it imports nothing but the standard library.
Not here: the nodes, and how long is too long (`regexes`).
Source: ComfyUI 0.8 `comfy_extras/nodes_string.py`, restated.
"""

from __future__ import annotations

import json
import re
import reprlib
import sys
from collections.abc import Callable, Iterable
from io import StringIO
from itertools import islice
from typing import Any

ENCODING = ("utf-8", "surrogatepass")  # of requests and answers; texts may hold halves of characters
MODES = ("First Match", "All Matches", "First Group", "All Groups")
MOST_CHARACTERS = 2**24  # of a result: nodes in a row that double a text would soon fill any memory


class Refused(Exception):
    """What is wrong, and with which input."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(problem)
        self.place = place


def search(text: str, pattern: str, flags: int) -> bool:
    """Whether the pattern matches somewhere; one that cannot be read does not."""
    try:
        return re.search(pattern, text, flags) is not None
    except re.error:
        return False


def extract(text: str, pattern: str, flags: int, mode: str, group: int) -> str | None:
    """What the pattern matches; empty for a pattern that cannot be read.

    Args:
        text: where to search.
        pattern: what to search.
        flags: of `re`.
        mode: a name in `MODES`; any other finds nothing.
        group: the number of the group, for the modes that use it.

    Returns:
        One match a line. None for a first group that took no part in the match.
    """
    if mode not in MODES:  # only a link can bring such a value
        return ""
    try:
        compiled = re.compile(pattern, flags)
    except re.error:
        return ""
    if mode == "All Matches":
        # With groups it is the first of them, as `re.findall` has it.
        return _lines(match[min(compiled.groups, 1)] or "" for match in compiled.finditer(text))
    if mode == "All Groups":
        if not compiled.groups or compiled.groups < group:
            return ""
        return _lines(_group(match, group) for match in compiled.finditer(text))
    match = compiled.search(text)
    if match is None or (mode == "First Group" and compiled.groups < group):
        return ""
    return _group(match, group) if mode == "First Group" else match[0]


def replace(text: str, pattern: str, flags: int, template: str, count: int) -> str:
    """Replace matches; `count` of them, or all if it is 0.

    Raises:
        Refused: the pattern or the template cannot be read, or the result would be too long.
    """
    try:
        compiled = re.compile(pattern, flags)
    except re.error as error:
        raise Refused("regex_pattern", f"{reprlib.repr(pattern)}: {error}; expected a regular expression.") from None
    try:
        compiled.sub(template, "")  # reads the template, whether or not anything matches
    except (re.error, IndexError) as error:
        raise Refused("replace", f"{reprlib.repr(template)}: {error}; expected text, with groups as \\1.") from None
    count = max(-1, min(count, len(text) + 1))  # no more can match; below 0 nothing is replaced
    references = len(re.findall(r"\\[1-9g]", template))
    length = len(text)
    for match in islice(compiled.finditer(text), max(count, 0) if count else None):
        longest = max(map(len, filter(None, (match[0], *match.groups()))), default=0)
        length += len(template) + references * longest
        if length > MOST_CHARACTERS:
            problem = f"the result could have more than {MOST_CHARACTERS} characters; expected fewer."
            raise Refused("replace", f"{problem} Use a smaller count or a shorter text.")
    return compiled.sub(template, text, count=count)


def _group(match: re.Match[str], number: int) -> str | None:
    try:
        return match[number]
    except IndexError:
        raise Refused("group_index", f"{number}; expected 0 or more.") from None


def _lines(pieces: Iterable[str | None]) -> str:
    """The pieces joined by line breaks, while there is room."""
    joined, length = StringIO(newline=""), 0
    for number, piece in enumerate(pieces):
        if piece is None:
            problem = f"the group took no part in match {number + 1}; expected it in every match."
            raise Refused("group_index", f"{problem} Choose another group.")
        length += len(piece) + 1
        if length > MOST_CHARACTERS + 1:
            raise Refused("string", f"matches of more than {MOST_CHARACTERS} characters; expected fewer.")
        joined.write("\n" + piece if number else piece)
    return joined.getvalue()


TASKS: dict[str, Callable[..., Any]] = {"extract": extract, "replace": replace, "search": search}


def answer(request: bytes) -> bytes:
    """Do one task: the name of a function of `TASKS` and its arguments, as JSON."""
    task, arguments = json.loads(request.decode(*ENCODING))
    try:
        reply = {"result": TASKS[task](**arguments)}
    except Refused as error:
        reply = {"place": error.place, "problem": str(error)}
    except (ArithmeticError, MemoryError, RecursionError, ValueError) as error:  # too many of something
        pattern = reprlib.repr(arguments["pattern"])
        problem = f"{pattern}: {error or type(error).__name__}; expected a simpler regular expression."
        reply = {"place": "regex_pattern", "problem": problem}
    return json.dumps(reply, ensure_ascii=False).encode(*ENCODING)


if __name__ == "__main__":
    sys.stdout.buffer.write(answer(sys.stdin.buffer.read()))
