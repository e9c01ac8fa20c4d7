"""The texts in EXIF data by which pictures carry a workflow.

Programs write them as ``prompt:{...}`` and ``workflow:{...}`` into any text tag, some with a capital, and
some one object with both into the user comment. Values are looked at where they lie: a few bytes
of tags may all claim the same megabytes, which a general parser would copy once per tag.
Not here: where pictures keep their EXIF data (`pictures`).
Sources: TIFF 6.0 (directories), EXIF 2.32 (user comment), ComfyUI's WEBP writer and its page's reader, restated.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterator

from .texts import WHOLE, Text

__all__ = ["exif_texts"]

PREFIX = b"Exif\0\0"
ENTRY = 12  # bytes of one tag in a directory
EXIF_DIRECTORY = 0x8769  # the tag that holds where the second directory lies
TEXT_TYPES = (1, 2, 7, 129)  # bytes, ASCII, undefined, UTF-8
KEY = re.compile(rb"\s*(prompt|workflow|parameters)\s*:", re.IGNORECASE)
OBJECT = re.compile(rb"\s*\{")
CHARSETS = (b"ASCII\0\0\0", b"UNICODE\0", b"JIS\0\0\0\0\0", b"\0" * 8)  # how a user comment starts
LONGEST_KEY = 64  # bytes in which the key must end, spaces included


def exif_texts(data: bytes) -> dict[str, Text]:
    """What the text tags of `data` hold, by lower-case key; damaged tags are passed over."""
    view = memoryview(data.removeprefix(PREFIX))
    order = {b"II": "<", b"MM": ">"}.get(bytes(view[:2]), "")
    texts: dict[str, Text] = {}
    if order:
        for value in _values(view, order):
            texts.update(_read_value(value))
    return texts


def _values(view: memoryview, order: str) -> Iterator[memoryview]:
    """The value of every text tag of the first directory, then of the EXIF directory."""
    directories = [_number(view, 4, order)]
    for start in directories:
        count = _number(view, start, order, "H")
        for number in range(count):
            entry = start + 2 + number * ENTRY
            tag, kind = _number(view, entry, order, "H"), _number(view, entry + 2, order, "H")
            size, place = _number(view, entry + 4, order), _number(view, entry + 8, order)
            if tag == EXIF_DIRECTORY and len(directories) == 1:
                directories.append(place)
            elif kind in TEXT_TYPES and size > 4:  # up to four bytes lie in the tag itself
                yield view[place : place + size]


def _number(view: memoryview, place: int, order: str, kind: str = "I") -> int:
    """The number at `place`; 0 behind the end, where no directory and no text can be."""
    if place + struct.calcsize(order + kind) > len(view):
        return 0
    return int(struct.unpack_from(order + kind, view, place)[0])


def _read_value(value: memoryview) -> dict[str, Text]:
    encoding = ""
    charset = bytes(value[:8])
    if charset in CHARSETS:
        value = value[8:]
        if charset == b"UNICODE\0":  # in either order, whatever the rest of the data says
            start = bytes(value[:2])
            encoding = "utf-16-le" if start[1:] == b"\0" or start == codecs.BOM_UTF16_LE else "utf-16-be"
            value = value[2:] if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else value
    head = bytes(value[:LONGEST_KEY]).replace(b"\0", b"") if encoding else bytes(value[:LONGEST_KEY])
    if key := KEY.match(head):
        width = 2 if encoding else 1
        return {key[1].decode().lower(): Text(value[key.end() * width :], encoding=encoding)}
    return {WHOLE: Text(value, encoding=encoding)} if OBJECT.match(head) else {}
