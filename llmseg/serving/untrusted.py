"""What a server sends, made harmless: JSON, texts, names of files.

Not here: the requests (`wire`), the folders that files go to (`results`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..graph.places import printable

__all__ = ["as_mapping", "as_text", "clean_text", "one_line", "parse_json", "safe_parts", "without_end"]

LONGEST_LINE = 400  # characters of a server's sentence in one of our messages
LONGEST_NAME = 255  # of a file, on every system
MAX_DIGITS = 400  # of one number; Python's own limit came only with later patch releases

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but tab and line feed
SURROGATES = re.compile(r"[\ud800-\udfff]")
# Names that Windows gives to devices, in any folder and with any ending. Refused on every system: folders travel.
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|:|$)", re.IGNORECASE)


def parse_json(data: bytes) -> Any:
    """Parse JSON from a stranger.

    Raises:
        ValueError: not JSON, nested too deeply, or with an absurd number.
    """
    try:
        return json.loads(data, parse_int=_parse_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def as_mapping(value: object) -> Mapping[str, Any]:
    """`value` where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def as_text(value: object) -> str:
    """`str(value)`, also where a value is nested more deeply than Python prints."""
    try:
        return str(value)
    except RecursionError:
        return "..."


def one_line(value: object, limit: int = LONGEST_LINE) -> str:
    """A text as one line without anything that could move a cursor, cut to `limit` characters."""
    text = printable(" ".join(as_text(value)[: 4 * limit].split()))
    return text if len(text) <= limit else text[:limit] + "..."


def without_end(value: object) -> str:
    """One line without its full stop, to go on after it."""
    return one_line(value).rstrip(". ")


def clean_text(text: str) -> str:
    """A text of many lines without control characters."""
    return CONTROLS.sub("", text)


def safe_parts(subfolder: object, name: object) -> tuple[str, ...] | None:
    """Where a file lies below its root, folder by folder; None where the names could lead elsewhere.

    Refused: absolute paths, drive letters, `..`, hidden names (a repository's hooks, a shell's settings), devices,
    control characters, and endings that Windows drops. A server on Windows writes folders with backslashes.

    >>> safe_parts("a\\\\b", "c.png"), safe_parts("", "c.png"), safe_parts("..", "c.png")
    (('a', 'b', 'c.png'), ('c.png',), None)
    """
    if not isinstance(subfolder, str) or not isinstance(name, str) or re.search(r"[/\\]", name):
        return None
    folders = re.split(r"[/\\]", subfolder) if subfolder else []
    parts = (*folders, name)
    return parts if all(map(_is_safe, parts)) else None


def _is_safe(part: str) -> bool:
    return bool(
        part
        and len(part.encode("utf-8", "replace")) <= LONGEST_NAME
        and not part.startswith((".", "~"))
        and not part.endswith((".", " "))
        and not re.match(r"[A-Za-z]:", part)
        and not CONTROLS.search(part)
        and "\n" not in part
        and "\t" not in part
        and not SURROGATES.search(part)
        and not DEVICES.match(part)
    )


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
