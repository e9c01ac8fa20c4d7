"""Watches what the code under test does to files, by the interpreter's own audit events.

What lies outside the allowed folders is refused before it happens, so that a fault found here does no damage, and
noted, so that nothing can swallow the refusal.
Not here: files that C code opens without asking the interpreter.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["FileGuard", "build_tree", "empty", "snapshot"]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
# How many of the arguments of an event are paths.
CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "os.truncate": 1,
           "os.chmod": 1, "os.chown": 1, "os.utime": 1, "shutil.move": 2}  # fmt: skip
PROGRAMS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.startfile",
    "socket.connect",
    "socket.getaddrinfo",
)

_guards: list[FileGuard] = []  # the one that is on, if any
_hooked: list[bool] = []


class FileGuard:
    """What the thread that turned it on may do while it is on.

    Args:
        writable: folders in which anything may be changed.
        secret: a folder in which nothing may even be read.
        program: the one script that may be started.
    """

    def __init__(self, writable: Sequence[Path], secret: Path, program: Path) -> None:
        self.program = str(program)
        self.writable = [str(folder.resolve()) for folder in writable]
        self.secret = str(secret.resolve())
        self.offences: list[str] = []
        self.thread = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch the code inside."""
        if not _hooked:
            sys.addaudithook(_hook)  # there is no way to take it off again
            _hooked.append(True)
        self.thread = threading.get_ident()
        _guards.append(self)
        try:
            yield
        finally:
            _guards.remove(self)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judge one event."""
        if event == "open":
            path, _, flags = arguments
            self._judge(event, path, bool(flags & WRITING))
        elif event in CHANGES:
            for path in arguments[: CHANGES[event]]:
                self._judge(event, path, True)
        elif event in PROGRAMS and not (event == "subprocess.Popen" and arguments[1][-1] == self.program):
            self._refuse(f"{event} {arguments!r}")

    def _judge(self, event: str, path: Any, changes: bool) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor of something that was opened before
        name = os.path.realpath(os.fsdecode(path))
        if _below(name, self.secret) or (changes and not self._may_change(name)):
            self._refuse(f"{event} {name}")

    def _may_change(self, name: str) -> bool:
        known = name == os.devnull or "__pycache__" in name
        return known or any(_below(name, folder) for folder in self.writable)

    def _refuse(self, what: str) -> None:
        self.offences.append(what)
        raise PermissionError(f"{what} is outside of what a workflow may do")


def _below(name: str, folder: str) -> bool:
    return name == folder or name.startswith(folder + os.sep)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _guards and _guards[-1].thread == threading.get_ident():
        guard = _guards[-1]
        _guards.remove(guard)  # what it does itself is not its business
        try:
            guard.see(event, arguments)
        finally:
            _guards.append(guard)


def build_tree(root: Path) -> None:
    from PIL import Image

    Image.init()
    for folder in ("input/sub", "outside", "output", "temp", "data"):
        (root / folder).mkdir(parents=True)
    picture = Image.new("RGBA", (8, 6), (10, 20, 30, 40))
    for name in ("input/example.png", "input/sub/x.png", "outside/secret.png"):
        picture.save(root / name)
    (root / "input/notes.txt").write_text("no picture", encoding="utf-8")
    try:
        (root / "input/link.png").symlink_to(root / "outside" / "secret.png")
        (root / "input/link").symlink_to(root / "outside", target_is_directory=True)
    except OSError:  # Windows lets only some users make links
        pass


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and folder below, with its content."""
    paths = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


def empty(folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
