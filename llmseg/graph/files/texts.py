"""One text that a picture carries, not yet decoded.

Not here: where it was found (`pictures`, `carriers`), what it means (`workflow`).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ...errors import InputError
from .json_text import MAX_BYTES

__all__ = ["KEYS", "WHOLE", "Text"]

WHOLE = ""  # the key of a text that is a whole file: one object with both forms
KEYS = ("prompt", "workflow", "parameters", WHOLE)


@dataclass(frozen=True)
class Text:
    """One text as its file holds it; unpacking waits until somebody wants it.

    Args:
        raw: its bytes.
        deflated: whether zlib packed them.
        encoding: the encoding, if the file says so; else UTF-8, or Latin-1 where that fails.
    """

    raw: bytes | memoryview
    deflated: bool = False
    encoding: str = ""

    def decode(self) -> str:
        """The text.

        Raises:
            InputError: larger than a workflow may be, or damaged.
        """
        raw = self._inflate() if self.deflated else self.raw
        if len(raw) > MAX_BYTES:
            raise InputError(f"larger than {MAX_BYTES} bytes; expected a workflow.")
        content = bytes(raw)
        if self.encoding:
            return content.decode(self.encoding, "replace").rstrip("\0")
        try:
            return content.decode("utf-8").rstrip("\0")
        except UnicodeDecodeError:
            return content.decode("latin-1").rstrip("\0")  # what the PNG standard asks for

    def _inflate(self) -> bytes:
        try:
            return zlib.decompressobj().decompress(bytes(self.raw), MAX_BYTES + 1)
        except zlib.error as error:
            raise InputError(f"damaged ({error}); expected text packed by zlib.") from error
