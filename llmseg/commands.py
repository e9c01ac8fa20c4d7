"""What the commands share: exit codes, streams that speak UTF-8 on every console, and the library's warnings.

Not here: the commands (`run`, `expand`), what they say (`reporting`).
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable

__all__ = ["DONE", "FAILED", "INTERRUPTED", "INVALID", "PARTLY", "WarningHandler", "use_utf8"]

DONE, FAILED, INVALID, PARTLY, INTERRUPTED = 0, 1, 2, 3, 130


def use_utf8() -> None:
    """Make the standard streams take any text; a console of Windows may speak another encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


class WarningHandler(logging.Handler):
    """Hands on what the library has to say.

    Args:
        tell: is given each message.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        self.tell(record.getMessage())
