"""Which kind of file the bytes are, by their first ones, and the texts that such a file carries.

The suffix does not count: servers and chat programs rename files, and standard input has none.
Not here: pictures (`pictures`), what the texts mean (`workflow`).

Sources: the published magic numbers of each format; safetensors and glTF 2.0 container layouts;
where ComfyUI's own nodes put the texts, restated.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from ...errors import InputError
from .byte_reader import ByteReader
from .json_text import MAX_BYTES, decode_json, parse_json
from .pictures import avif_texts, jpeg_texts, png_texts, webp_texts
from .texts import KEYS, WHOLE, Text

__all__ = ["find_texts"]

LOOK = 64  # bytes that tell every format apart
HEIF_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")

Reader = Callable[[ByteReader], dict[str, Text]]


def find_texts(reader: ByteReader) -> tuple[str, dict[str, Text]] | None:
    """What kind of file it is and the texts that it carries; None for a file that can only be JSON.

    Raises:
        InputError: a format from which no workflow can be read, or a damaged one.
    """
    head = reader.peek(LOOK)
    for matches, name, read in CARRIERS:
        if matches(head):
            return name, read(reader)
    for place, magic, name in REFUSED:
        if head.startswith(magic, place):
            problem = f"{name}, from which no workflow can be read; expected JSON, PNG, WEBP or JPEG."
            raise InputError(f"{problem} Open it in ComfyUI and export the workflow.")
    return None


def _safetensors_texts(reader: ByteReader) -> dict[str, Text]:
    size = int.from_bytes(reader.read(8), "little")
    header = _read_object(reader.read(min(size, MAX_BYTES)), "a safetensors header")
    return _texts_of(header.get("__metadata__"))


def _glb_texts(reader: ByteReader) -> dict[str, Text]:
    reader.skip(12)
    size = int.from_bytes(reader.read(4), "little")
    reader.skip(4)
    asset = _read_object(reader.read(min(size, MAX_BYTES)), "a glTF description").get("asset")
    return _texts_of(asset.get("extras") if isinstance(asset, dict) else None)


def _svg_texts(reader: ByteReader) -> dict[str, Text]:
    content = reader.read(MAX_BYTES + 1)
    # Searched step by step, not by one pattern, so that a hostile file costs one pass.
    _, _, behind = content.partition(b"<metadata")
    _, _, behind = behind.partition(b"<![CDATA[")
    text, found, _ = behind.partition(b"]]>")
    return {WHOLE: Text(text)} if found else {}


def _read_object(content: bytes, expected: str) -> dict[str, Any]:
    data = parse_json(decode_json(content, ""), "", expected)
    return data if isinstance(data, dict) else {}


def _texts_of(metadata: object) -> dict[str, Text]:
    """The texts in an object; values may be JSON in a string, or objects."""
    if not isinstance(metadata, dict):
        return {}
    values = {key: metadata[key] for key in KEYS if metadata.get(key)}
    return {
        key: Text((value if isinstance(value, str) else json.dumps(value)).encode("utf-8"))
        for key, value in values.items()
    }


def _is_webp(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def _is_safetensors(head: bytes) -> bool:
    # The size of the header, 64 bits; text never holds four zero bytes there.
    return len(head) > 8 and head[8:9] == b"{" and 0 < struct.unpack("<Q", head[:8])[0] < 2**32


def _is_markup(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


CARRIERS: tuple[tuple[Callable[[bytes], bool], str, Reader], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), "a PNG picture", png_texts),
    (_is_webp, "a WEBP picture", webp_texts),
    (lambda head: head.startswith(b"\xff\xd8\xff"), "a JPEG picture", jpeg_texts),
    (_is_heif, "an AVIF or HEIF picture", avif_texts),
    (lambda head: head.startswith(b"glTF"), "a GLB model", _glb_texts),
    (_is_safetensors, "a safetensors file", _safetensors_texts),
    (_is_markup, "an SVG or HTML file", _svg_texts),
)

REFUSED = (
    (0, b"fLaC", "a FLAC sound"),
    (0, b"OggS", "an OGG sound"),
    (0, b"ID3", "an MP3 sound"),
    (0, b"\xff\xfb", "an MP3 sound"),
    (4, b"ftyp", "an MP4 or MOV video"),
    (0, b"\x1aE\xdf\xa3", "a WEBM or MKV video"),
    (0, b"RIFF", "a RIFF file other than WEBP"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"%PDF", "a PDF document"),
)
