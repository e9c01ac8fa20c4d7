"""What the commands share: exit codes, and streams that speak UTF-8 on every console.

Not here: the commands (`run`, `expand`), what they say (`reporting`).
"""

from __future__ import annotations

import io
import sys

__all__ = ["DONE", "FAILED", "INTERRUPTED", "INVALID", "PARTLY", "use_utf8"]

DONE, FAILED, INVALID, PARTLY, INTERRUPTED = 0, 1, 2, 3, 130


def use_utf8() -> None:
    """Make the standard streams take any text; a console of Windows may speak another encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
