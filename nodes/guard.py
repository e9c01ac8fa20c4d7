"""Names from a workflow stay below the folder that they are looked up in.

Not here: which folders these are (`host`).
"""

from __future__ import annotations

import os
from pathlib import Path

from llmseg.errors import InputError


def resolve_inside(folder: Path, name: str, kind: str, *, place: str, expected: str, shown: str = "") -> Path:
    """Resolve `name` below a folder that people call `kind`; `shown` is what the message quotes instead.

    Raises:
        InputError: the path leaves the folder, links followed, or no file can have it.
    """
    wanted = f"expected {expected} inside it."
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        os.fsencode(shown or name)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a lone surrogate, a zero byte
        raise InputError(
            f"path {shown or name!r} cannot be used in the {kind} folder; {wanted}", place=place
        ) from error
    if "\0" in (shown or name) or not path.is_relative_to(root):  # Windows resolves a zero byte without complaint
        raise InputError(f"path {shown or name!r} leaves the {kind} folder; {wanted}", place=place)
    return path
