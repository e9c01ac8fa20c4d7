"""Where the results of a batch go: a folder of this computer, or one behind a URL.

Both hold whole files only, and keep each line of the manifest before they answer.

Not here: what a line says (`manifest`), speaking to a store (`stores`), its lines (`object_lines`), the folder of each
image (`destinations`).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .addresses import WEB, Location, Url
from .destinations import MANIFEST, OWN_FOLDER
from .errors import InputError
from .store import content_hash, try_lock, user_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from .object_lines import ObjectLines
    from .stores import Store

__all__ = ["FolderPlace", "Place", "UrlPlace", "open_place"]

PLACE = "output"
LONGEST_LINE = 2**20  # bytes; far above any record, a mistake far above that


def open_place(location: Location) -> Place:
    """The place at a path or a URL; nothing is opened yet.

    Raises:
        InputError: the URL can only be read.
    """
    return UrlPlace(location) if isinstance(location, Url) else FolderPlace(location)


class FolderPlace:
    """A folder of this computer.

    Args:
        location: it may not exist yet.
    """

    def __init__(self, location: Path) -> None:
        self.location = location
        self.work = location / OWN_FOLDER
        self._whole = True  # whether the manifest ends with a line's end

    def try_hold(self) -> BaseFileLock | None:
        """Keep other runs out, or None where one is at work; ready for results then.

        Raises:
            InputError: it cannot be written.
        """
        return try_lock(self.work / "lock")

    def put(self, staging: Path, names: Sequence[Path], below: Path) -> None:
        """Move files where they belong, each whole.

        Args:
            staging: the folder that they are in, on this computer.
            names: as seen from it.
            below: the folder that they go to, as seen from the place.

        Raises:
            InputError: it cannot be written.
        """
        target = self.location / below
        try:
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                _move(staging / name, target / name)
        except OSError as error:
            problem = f"cannot put results into {str(target)!r}: {error.strerror}; expected a writable folder."
            raise InputError(problem, place=PLACE) from error

    def remove(self, name: str) -> None:
        """Remove a file that the manifest names, which anybody may have edited.

        Raises:
            InputError: it lies elsewhere, or cannot be removed.
        """
        path = self.location / name
        try:
            if not path.resolve().is_relative_to(self.location.resolve()):
                raise OSError(0, f"{name!r} of the manifest leaves it")
            path.unlink(missing_ok=True)
        except OSError as error:
            problem = f"cannot remove {name!r}: {error.strerror}; expected a writable folder."
            raise InputError(problem, place=PLACE) from error

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.location / name).is_file()

    def read_lines(self) -> Iterator[bytes]:
        """The lines of the manifest, oldest first.

        Raises:
            InputError: it cannot be read.
        """
        path = self.location / MANIFEST
        try:
            with path.open("rb") as file:
                while line := file.readline(LONGEST_LINE):
                    self._whole = line.endswith(b"\n")
                    yield line
        except FileNotFoundError:
            return
        except OSError as error:
            problem = f"cannot read {str(path)!r}: {error.strerror}; expected a text file."
            raise InputError(problem, place=PLACE) from error

    def append_line(self, line: bytes) -> None:
        """Add a line, so that it is on the disk before this returns.

        Raises:
            InputError: it cannot be written.
        """
        path = self.location / MANIFEST
        try:
            with path.open("ab") as file:
                file.write(line if self._whole else b"\n" + line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            problem = f"cannot write {str(path)!r}: {error.strerror}; expected a writable folder."
            raise InputError(problem, place=PLACE) from error
        self._whole = True

    def finish(self) -> None:
        """The manifest is whole at any time."""


class UrlPlace:
    """A folder behind a URL. It may go to another process: a connection is made where it is used.

    Two runs of one user on one computer are kept apart; nothing keeps two computers apart.

    Args:
        location: its URL.

    Raises:
        InputError: the URL can only be read, or is more than that of a folder.
    """

    def __init__(self, location: Url) -> None:
        if location.protocol in WEB:
            raise InputError(f"{str(location)!r} can only be read; expected a store such as s3, gs or az.", place=PLACE)
        if "=" in location.text.partition("?")[2]:
            raise InputError(f"{str(location)!r} goes on with '?'; expected the URL of a folder.", place=PLACE)
        self.location = location
        self.work = user_folder("data") / "batches" / content_hash(str(location).rstrip("/"))[:16]
        self._names: set[str] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return UrlPlace, (self.location,)

    def try_hold(self) -> BaseFileLock | None:
        """Keep other runs of this computer out, or None where one is at work; ready for results then.

        Raises:
            InputError: it cannot be written.
        """
        lock = try_lock(self.work / "lock")
        if lock is not None:
            try:
                self._lines.tidy()
                self._store.write(f"{OWN_FOLDER}/probe", b"")  # before hours of work, not after
            except BaseException:
                lock.release()
                raise
        return lock

    def put(self, staging: Path, names: Sequence[Path], below: Path) -> None:
        """Upload files, each whole; arguments and errors as in a folder."""
        files = [(staging / name, (below / name).as_posix()) for name in names]
        self._store.put(files)
        if self._names is not None:
            self._names.update(name for _, name in files)

    def remove(self, name: str) -> None:
        """Remove an object that the manifest names, which anybody may have edited; errors as in a folder."""
        if name.startswith("/") or "\\" in name or not {".", "..", ""}.isdisjoint(name.split("/")):
            problem = f"cannot remove {name!r}: {name!r} of the manifest leaves it; expected a writable folder."
            raise InputError(problem, place=PLACE)
        self._store.remove(name)
        if self._names is not None:
            self._names.discard(name)

    def has(self, name: str) -> bool:
        """Whether an object is there; one listing answers for all of them."""
        if self._names is None:
            self._names = self._store.names()
        return name in self._names

    def read_lines(self) -> Iterator[bytes]:
        """The lines of the manifest, oldest first; errors as in a folder."""
        return iter(self._lines.read())

    def append_line(self, line: bytes) -> None:
        """Add a line, so that it is in the store before this returns; errors as in a folder."""
        self._lines.append(line)

    def finish(self) -> None:
        """Make the manifest whole, and leave nothing else; errors as in a folder."""
        self._lines.finish()

    @cached_property
    def _store(self) -> Store:
        from .stores import Store

        return Store(self.location, PLACE)

    @cached_property
    def _lines(self) -> ObjectLines:
        from .object_lines import ObjectLines

        return ObjectLines(self._store)


Place = FolderPlace | UrlPlace


def _move(source: Path, target: Path) -> None:
    """Rename a file; from another file system, copy it beside the target first."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name[:40]}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(source, beside)
            beside.replace(target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
