"""JSON from files that may be hostile: bounded in size, depth and digits, and strict about duplicate keys.

Bare ``NaN`` and ``Infinity`` are accepted, as Python writers emit them. Halves of characters, which some
editors leave when they cut a text, become U+FFFD, so that every text can be written again.
Not here: what the JSON means (`workflow`, `object_info`).
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from ...errors import InputError
from ..places import printable, shown

__all__ = ["GZIP", "MAX_BYTES", "MAX_DEPTH", "MAX_DIGITS", "decode_json", "parse_json"]

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 200  # far above any real file, far below every Python's recursion limit
MAX_DIGITS = 300  # of one whole number, so that it always fits a float
GZIP = b"\x1f\x8b"

SURROGATE = re.compile("[\ud800-\udfff]")
SURROGATES = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")  # as they may stand in a file

# The longer mark first: that of UTF-32 starts with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode_json(content: bytes, source: str) -> str:
    """The text in `content`: UTF-8, or UTF-16 and UTF-32 if a byte order mark says so.

    Raises:
        InputError: compressed, or no text.
    """
    if content.startswith(GZIP):
        raise InputError("compressed by gzip; expected a JSON text file. Unpack it first.", place=source)
    mark, encoding = next((pair for pair in MARKS if content.startswith(pair[0])), (b"", "utf-8"))
    try:
        return content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        problem = f"byte {len(mark) + error.start} is not {encoding.upper()}; expected a JSON text file."
        raise InputError(problem, place=source) from error


def parse_json(text: str, source: str, expected: str = "a workflow") -> Any:
    """Parse `text`.

    Args:
        text: the JSON, with or without a byte order mark.
        source: how messages call it.
        expected: what it should be, for messages.

    Raises:
        InputError: empty, not JSON, too deep, a number too long, or an object with the same key twice.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise InputError(f"empty file; expected {expected} as JSON.", place=source)
    repeated: list[tuple[dict[str, Any], str]] = []  # at most one

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            # The last one counts: objects end after what they hold, so no other repetition can have dropped it.
            repeated[:] = [(result, _first_repetition(pairs))]
        return result

    try:
        data = json.loads(text, parse_int=_parse_int, object_pairs_hook=build)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"not JSON ({error.msg}, {where}); expected {expected}.", place=source) from error
    except ValueError as error:
        raise InputError(f"{error}; expected {expected} as JSON.", place=source) from error
    except RecursionError:  # the parser's own limit, above ours in every Python
        raise _too_deep(source, expected) from None
    if _is_deep(data):
        raise _too_deep(source, expected)
    if repeated:
        raise InputError(_describe_repetition(data, *repeated[0]), place=source)
    return _mend(data) if SURROGATES.search(text) else data


def _too_deep(source: str, expected: str) -> InputError:
    return InputError(f"nested more than {MAX_DEPTH} levels deep; expected {expected}.", place=source)


def _is_deep(data: Any) -> bool:
    """Whether `data` has more than `MAX_DEPTH` levels of objects and lists."""
    level = [data] if isinstance(data, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        children = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for group in children for child in group if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _first_repetition(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError("no key comes twice")


def _describe_repetition(data: Any, owner: dict[str, Any], key: str) -> str:
    value = owner[key]
    if isinstance(value, dict) and "class_type" in value:
        return f"node {shown(key)} twice; expected every id once."
    place = printable(".".join(_path_to(owner, data, ()) or ()))
    return f"key {shown(key)} twice{' in ' + place if place else ''}; expected every key once."


def _path_to(owner: dict[str, Any], data: Any, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """Keys and positions that lead from `data` to the object `owner`, None if it is not in there."""
    if data is owner:
        return path
    children = data.items() if isinstance(data, dict) else enumerate(data)
    for name, child in children:
        if isinstance(child, (dict, list)):
            found = _path_to(owner, child, (*path, str(name)[:40]))
            if found is not None:
                return found
    return None


def _mend(value: Any) -> Any:
    """`value` with every half of a character replaced, in keys too; the parser has joined whole ones."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return value
