"""The manifest of a batch in a store that cannot append: a line is an object until the manifest is made whole.

    OUTPUT/.llmseg/lines/000002-000017.jsonl    the 17th object of lines of the second run since then

Many objects of one line become one from time to time, so that a run that goes on reads few of them; all of them become
`manifest.jsonl` at the end. No object is removed before another one has its lines: a run may end anywhere.

Not here: what a line says (`manifest`), speaking to the store (`stores`).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from .destinations import MANIFEST, OWN_FOLDER

if TYPE_CHECKING:
    from .stores import Store

__all__ = ["ObjectLines"]

FOLDER = f"{OWN_FOLDER}/lines"
JOINED = 256  # objects of one line that become one

_OBJECT = re.compile(rf"{re.escape(FOLDER)}/\d{{6,}}-\d{{6,}}\.jsonl")


class ObjectLines:
    """The lines of one output folder.

    Args:
        store: opened at that folder.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: list[bytes] = []  # all that the manifest will have
        self._is_whole = True  # whether it has them
        self._waiting: list[str] = []  # objects of one line
        self._run, self._count = 1, 0

    def read(self) -> list[bytes]:
        """The lines of the manifest and of the objects that are not in it yet, oldest first.

        Raises:
            InputError: they cannot be read.
        """
        kept = sorted(filter(_OBJECT.fullmatch, self._store.names(FOLDER)))
        self._lines = _split(self._store.read(MANIFEST))
        known = set(self._lines)
        for name in kept:  # a line may be in two objects, where a run ended before it removed one
            new = [line for line in _split(self._store.read(name)) if line not in known]
            known.update(new)
            self._lines.extend(new)
        self._is_whole = not kept
        self._run = 1 + max((int(PurePosixPath(name).stem.partition("-")[0]) for name in kept), default=0)
        return self._lines

    def append(self, line: bytes) -> None:
        """Add a line, so that it is in the store before this returns.

        Raises:
            InputError: it cannot be written.
        """
        name, self._is_whole = self._next_name(), False
        self._store.write(name, line)
        self._lines.append(line)
        self._waiting.append(name)
        if len(self._waiting) >= JOINED:
            self._store.write(self._next_name(), b"".join(self._lines[-len(self._waiting) :]))
            while self._waiting:
                self._store.remove(self._waiting.pop())

    def finish(self) -> None:
        """Make the manifest whole, and leave nothing else of this.

        Raises:
            InputError: it cannot be written.
        """
        if not self._is_whole:
            # Twice, as a rename is no single step everywhere: at any moment one of them is there.
            everything = b"".join(self._lines)
            self._store.write(self._next_name(), everything)
            self._store.write(MANIFEST, everything)
            self._is_whole = True
        self._waiting.clear()
        for name in self._store.names(OWN_FOLDER):
            self._store.remove(name)
        for folder in (FOLDER, OWN_FOLDER):
            self._store.remove_folder(folder)

    def tidy(self) -> None:
        """Remove what a run that was killed left half done.

        Raises:
            InputError: it cannot be removed.
        """
        for name in self._store.names(OWN_FOLDER):
            if not name.startswith(f"{FOLDER}/"):
                self._store.remove(name)

    def _next_name(self) -> str:
        self._count += 1
        return f"{FOLDER}/{self._run:06}-{self._count:06}.jsonl"


def _split(data: bytes) -> list[bytes]:
    """Lines, each with its end, which the last one may lack where somebody edited it."""
    return [line + b"\n" for line in data.split(b"\n") if line]
