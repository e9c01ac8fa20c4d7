"""Reads a binary stream forwards, in bounded pieces: a file, a pipe or standard input.

Not here: what the bytes mean (`pictures`, `carriers`).
"""

from __future__ import annotations

from typing import BinaryIO

from ...errors import InputError

__all__ = ["MAX_FILE", "ByteReader"]

MAX_FILE = 512 * 1024 * 1024  # of a picture; its pixels are passed over, never kept
BLOCK = 1024 * 1024


class ByteReader:
    """A stream with a look at its start, and a limit to how much of it is read.

    Args:
        stream: where the bytes come from; only ``read`` is used.
        limit: number of bytes beyond which reading is an error, so that an endless stream ends.
    """

    def __init__(self, stream: BinaryIO, limit: int = MAX_FILE) -> None:
        self._stream = stream
        self._ahead = b""
        self._limit = limit
        self._left = limit

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end; they stay unread."""
        while len(self._ahead) < size:
            block = self._fetch(size - len(self._ahead))
            if not block:
                break
            self._ahead += block
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end.

        Raises:
            InputError: the stream is longer than the limit.
        """
        content = bytearray()
        while len(content) < size:
            block = self._take(size - len(content))
            if not block:
                break
            content += block
        return bytes(content)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; errors as in `read`."""
        while size > 0:
            block = self._take(size)
            if not block:
                return
            size -= len(block)

    def _take(self, size: int) -> bytes:
        if self._ahead:
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            return block
        return self._fetch(size)

    def _fetch(self, size: int) -> bytes:
        block = self._stream.read(min(size, BLOCK)) or b""  # None: a pipe that has nothing now
        self._left -= len(block)
        if self._left < 0:
            raise InputError(f"larger than {self._limit} bytes; expected a workflow, or a picture that carries one.")
        return block
