"""Two stores that a test can kill programs at: a share, where half a file can be seen, and a bucket, where it cannot.

Not here: the store in memory, which is fsspec's own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

PIECES = 4


class Share(LocalFileSystem):  # type: ignore[misc]
    """Files of another computer: written slowly, in the sight of all, and renamed in one step."""

    protocol = "share"

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        text = os.fspath(path)
        bare = text[text.index("://") + 3 :] if "://" in text else text
        return bare.rstrip("/")

    def put_file(self, lpath: Any, rpath: Any, callback: Any = None, mode: str = "overwrite", **more: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        target = Path(self._strip_protocol(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        step = max(1, len(value) // PIECES)
        with target.open("wb") as file:
            for start in range(0, len(value), step):
                file.write(value[start : start + step])
                file.flush()
                time.sleep(0.0005)


class Bucket(Share):
    """Whole objects under any key: no half ones, no renaming."""

    protocol = "oss"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder, "whole")
            super().pipe_file(str(whole), value)
            target = Path(self._strip_protocol(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.parent / f".{os.getpid()}.upload"  # in no listing, as an upload that is not complete
            shutil.copyfile(whole, beside)
            beside.replace(target)

    def find(self, path: str, **more: Any) -> Any:
        found = super().find(path, **more)
        return [key for key in found if not key.endswith(".upload")]

    def mv(self, path1: str, path2: str, **more: Any) -> None:
        raise NotImplementedError("objects cannot be renamed")


def register() -> None:
    """Let URLs name them, in this process."""
    for kind in (Share, Bucket):
        fsspec.register_implementation(kind.protocol, kind, clobber=True)
