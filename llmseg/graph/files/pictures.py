"""The texts that PNG, WEBP, JPEG and AVIF pictures carry, found without reading a pixel.

Walks from block to block with a bounded memory; check sums are not compared, and a file that ends
early gives what stood before its end. Where a key comes twice the last one counts, as in ComfyUI's page.
Not here: which file is a picture (`carriers`), EXIF tags (`exif`), what the texts mean (`workflow`).

Sources: PNG specification 1.2 and ComfyUI's private chunk ``comf`` behind the pixels of an animated PNG;
WEBP container specification; JPEG (ITU T.81, annex B).
"""

from __future__ import annotations

import io
import struct
import warnings

from ...errors import InputError
from .byte_reader import ByteReader
from .exif import exif_texts
from .json_text import MAX_BYTES
from .texts import KEYS, WHOLE, Text

__all__ = ["avif_texts", "jpeg_texts", "png_texts", "webp_texts"]

MAX_BLOCKS = 200_000  # chunks or segments of one file; 512 MiB in the usual chunks of 8 KiB are 65 536
MAX_CHUNK = MAX_BYTES + 1024  # a text, its key and its flags
MAX_EXIF = 2 * MAX_BYTES  # both forms

PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"comf")

JPEG_START_OF_SCAN, JPEG_END, JPEG_APP1, JPEG_FILL = 0xDA, 0xD9, 0xE1, 0xFF
JPEG_BARE = (0x01, *range(0xD0, 0xD8))  # markers without a length
EXIF_SIGNATURE = b"Exif\0\0"


def png_texts(reader: ByteReader) -> dict[str, Text]:
    """The texts of a PNG, still or animated: in text chunks, in ComfyUI's own chunk, or in EXIF."""
    reader.skip(8)
    texts: dict[str, Text] = {}
    exif = b""
    for _ in range(MAX_BLOCKS):
        header = reader.read(8)
        if len(header) < 8:
            break
        size, kind = struct.unpack(">I4s", header)
        if kind == b"IEND":
            break
        if kind in PNG_TEXTS:
            content = reader.read(min(size, MAX_CHUNK))
            texts.update(_read_chunk(kind, content))
        elif kind == b"eXIf":
            content = exif = reader.read(min(size, MAX_EXIF))
        else:
            content = b""
        reader.skip(size - len(content) + 4)  # and its check sum
    return {**exif_texts(exif), **texts}


def _read_chunk(kind: bytes, content: bytes) -> dict[str, Text]:
    raw_key, found, rest = content.partition(b"\0")
    key = raw_key.decode("latin-1")
    if not found or key not in KEYS or key == WHOLE:
        return {}
    deflated = kind == b"zTXt"
    if deflated:
        rest = rest[1:]  # the method, of which there is only one
    elif kind == b"iTXt":
        deflated = rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]  # behind the language and the translated key
    return {key: Text(rest, deflated)}


def webp_texts(reader: ByteReader) -> dict[str, Text]:
    """The texts in the EXIF chunk of a WEBP, which stands behind the pixels."""
    reader.skip(12)
    for _ in range(MAX_BLOCKS):
        header = reader.read(8)
        if len(header) < 8:
            break
        kind, size = struct.unpack("<4sI", header)
        if kind == b"EXIF":
            return exif_texts(reader.read(min(size, MAX_EXIF)))
        reader.skip(size + size % 2)
    return {}


def jpeg_texts(reader: ByteReader) -> dict[str, Text]:
    """The texts in the EXIF of a JPEG, which stands before the pixels, in several segments if it is large."""
    reader.skip(2)
    exif = bytearray()
    for _ in range(MAX_BLOCKS):
        while reader.peek(2) == b"\xff\xff":
            reader.skip(1)
        marker = reader.read(2)
        if len(marker) < 2 or marker[0] != JPEG_FILL or marker[1] in (JPEG_START_OF_SCAN, JPEG_END):
            break
        if marker[1] in JPEG_BARE:
            continue
        size = int.from_bytes(reader.read(2), "big")
        content = reader.read(max(size - 2, 0))
        if marker[1] == JPEG_APP1 and content.startswith(EXIF_SIGNATURE):
            exif += content[len(EXIF_SIGNATURE) :]
    return exif_texts(bytes(exif[:MAX_EXIF]))


def avif_texts(reader: ByteReader) -> dict[str, Text]:
    """The texts in the EXIF item of an AVIF or HEIF, through Pillow, which looks at the container only.

    Raises:
        InputError: damaged, or a Pillow that does not know the format.
    """
    from PIL import Image

    content = reader.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES} bytes; expected a picture that carries a workflow.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, and of formats not installed
            with Image.open(io.BytesIO(content)) as image:
                data = image.info.get("exif")
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        problem = f"an AVIF or HEIF picture that cannot be read ({type(error).__name__}); expected PNG, WEBP or JPEG."
        raise InputError(f"{problem} Pillow 11.3 and later read AVIF.") from error
    return exif_texts(data) if isinstance(data, bytes) else {}
