"""Files of the input folder that nodes read: whether they are there, and whether they changed.

Not here: where the folder is (`host`), what the files hold (the node that reads them).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmseg.errors import InputError
from llmseg.store import content_hash

from . import host


def allow_input(file: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers about the name of a file: True, or why it is refused."""
    try:
        if file is None or input_file(file).is_file():  # None: the name comes over a link
            return True
    except InputError as error:
        return error.problem
    return f"no file {file!r}; expected it in the input folder."


def input_file(file: str) -> Path:
    """The path that a name means, inside its folder; the file may be missing.

    Raises:
        InputError: the path leaves its folder.
    """
    return host.input_path(file, place="file")


def files_stamp(paths: Iterable[Path]) -> str:
    """Changes with the content of files, and when one appears or goes."""
    return content_hash(*(path.read_bytes() if path.is_file() else b"" for path in paths))
