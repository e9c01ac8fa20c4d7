"""Files that a server wrote, fetched into our output folder under the same names, and never elsewhere.

A server is not trusted with names (`untrusted.safe_parts`) nor with sizes. A file of the same name and content
stays; one of other content stays too, and the new one is called `name (1).png`, as the server's own upload does:
nobody loses a picture because two machines count from 1.
Not here: the request (`wire`).
"""

from __future__ import annotations

import filecmp
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError, LLMSegError
from .following import Listener
from .limits import Limits
from .untrusted import as_mapping, as_text, clean_text, one_line, safe_parts
from .wire import Wire

__all__ = ["Fetcher"]

FETCHED = ("output", "temp")  # `input` is what was sent
MOST_NUMBERS = 1000
LONGEST_TEXT = 2**20  # characters of one text that a node shows


class Fetcher:
    """Fetches results, each once.

    Args:
        roots: folder for each kind of file: output, temp.
        missing: one line for each result that was refused or could not be fetched.
    """

    def __init__(self, wire: Wire, roots: Mapping[str, Path], listener: Listener, limits: Limits) -> None:
        self.missing: list[str] = []
        self._wire = wire
        self._roots = roots
        self._listener = listener
        self._limits = limits
        self._known: dict[tuple[str, str, str], dict[str, str] | None] = {}
        self._left = limits.total_bytes

    def fetch(self, outputs: object) -> dict[str, dict[str, list[Any]]]:
        """Fetch what the nodes wrote; answers what they show, with files as they are called here.

        Args:
            outputs: of a history record, in any shape.
        """
        return {
            node_id: {key: list(self._entries(key, values)) for key, values in as_mapping(shown).items()}
            for node_id, shown in as_mapping(outputs).items()
        }

    def _entries(self, key: str, values: object) -> Iterator[Any]:
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, dict) and "filename" in value:
                entry = self._entry(value)
                if entry is not None:
                    yield entry
            elif key == "text":
                yield clean_text(as_text(value)[:LONGEST_TEXT])
            else:
                yield value

    def _entry(self, value: Mapping[str, Any]) -> dict[str, Any] | None:
        kind, subfolder, name = value.get("type", "output"), value.get("subfolder") or "", value["filename"]
        if kind not in FETCHED:
            return None
        key = (str(kind), str(subfolder), str(name))
        if key not in self._known:
            self._known[key] = None
            try:
                self._known[key] = self._fetch(kind, subfolder, name)
            except LLMSegError as error:
                line = f"{one_line('/'.join(key[1:]).strip('/'), 200)!r} was not fetched: {error}"
                self.missing.append(line)
                self._listener.warning(line)
        found = self._known[key]
        return None if found is None else {**value, **found}

    def _fetch(self, kind: str, subfolder: object, name: object) -> dict[str, str]:
        root, place = self._roots[kind], self._wire.address.place
        parts = safe_parts(subfolder, name)
        if parts is None:
            raise InputError(
                "the server names a file that could lie elsewhere; expected one below the folder.", place=place
            )
        if len(self._known) > self._limits.files:
            raise InputError(f"the server names more than {self._limits.files} files; expected fewer.", place=place)
        target = root.joinpath(*parts)
        query = {"filename": parts[-1], "subfolder": str(subfolder), "type": kind}
        try:
            if not target.parent.resolve().is_relative_to(root.resolve()):
                raise InputError("a link leads out of the folder; expected a folder below it.", place="output")
            target.parent.mkdir(parents=True, exist_ok=True)
            path = self._write(target, query)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
            detail = getattr(error, "strerror", None) or error
            raise InputError(f"cannot write it ({detail}); expected a writable folder.", place="output") from error
        return {"filename": path.name, "subfolder": "/".join(parts[:-1]), "type": kind}

    def _write(self, target: Path, query: dict[str, str]) -> Path:
        """Write the content as it comes to a file beside the target, then give it its name."""
        temporary = target.with_name(f".{target.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            with self._wire.download(query) as blocks, temporary.open("xb") as file:
                for block in blocks:
                    self._left -= len(block)
                    if file.tell() + len(block) > self._limits.file_bytes or self._left < 0:
                        size = min(self._limits.file_bytes, self._limits.total_bytes)
                        raise InputError(f"more than {size} bytes; expected fewer.", place=self._wire.address.place)
                    file.write(block)
            path = _free_name(target, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path


def _free_name(target: Path, content: Path) -> Path:
    """`target`, or the first `target (n)`, that is free or already has this content."""
    names = (target, *(target.with_name(f"{target.stem} ({n}){target.suffix}") for n in range(1, MOST_NUMBERS)))
    for path in names:
        if not path.exists() and not path.is_symlink():
            return path
        if path.is_file() and not path.is_symlink() and filecmp.cmp(path, content, shallow=False):
            return path
    raise InputError(f"{MOST_NUMBERS} files of this name exist already; expected fewer.", place="output")
