"""What became of each image of a batch: one JSON line an image, the last one of an image counts.

    {"schema": 1, "image": "/photos/a.png", "place": "a", "sha256": ..., "workflow": ..., "status": "done",
     "seconds": 0.41, "files": ["a/overlay_00001_.png"], "classes": {"dog": 0.12}, "finished": "2026-01-31T12:00:00Z"}

A line is written after its files are in place, and a line that a crash cut off is as if it were not there: so whoever
reads the file may believe it.

Not here: running (`batch_runs`), which images are meant (`batch`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError

__all__ = ["Manifest", "Record"]

SCHEMA = 1
LONGEST_LINE = 2**20  # bytes; far above any record, a mistake far above that


@dataclass(frozen=True)
class Record:
    """What became of one image.

    Args:
        image: its path in full.
        place: folder of its files, as seen from the output folder.
        sha256: of the image's content.
        workflow: hash of the workflow with everything set, but for the image.
        status: done, partly or failed.
        seconds: that it took.
        files: written, as seen from the output folder.
        classes: share of the image of each class, where labels were saved.
        error: why it failed; empty where it did not.
        finished: time, UTC.
    """

    image: str
    place: str
    sha256: str
    workflow: str
    status: str
    seconds: float
    files: tuple[str, ...] = ()
    classes: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    finished: str = ""


class Manifest:
    """The file of a batch's records.

    Args:
        path: it may not exist yet.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self._whole = True  # whether the file ends with a line's end
        try:
            with path.open("rb") as file:
                while line := file.readline(LONGEST_LINE):
                    self._whole = line.endswith(b"\n")
                    if (record := _parse(line)) is not None:
                        self.records[record.image] = record
        except FileNotFoundError:
            pass
        except OSError as error:
            raise InputError(
                f"cannot read {str(path)!r}: {error.strerror}; expected a text file.", place="output"
            ) from error

    def finished(self, image: Path, sha256: str, workflow: str) -> bool:
        """Whether this very image went through this very workflow, and its folder is still there."""
        record = self.records.get(str(image))
        if record is None or (record.status, record.sha256, record.workflow) != ("done", sha256, workflow):
            return False
        return all((self.path.parent / file).is_file() for file in record.files)

    def append(self, record: Record) -> None:
        """Add a line, so that it is on the disk before this returns.

        Raises:
            InputError: it cannot be written.
        """
        line = json.dumps({"schema": SCHEMA, **asdict(record)}, ensure_ascii=True) + "\n"
        try:
            with self.path.open("ab") as file:
                file.write((line if self._whole else "\n" + line).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            problem = f"cannot write {str(self.path)!r}: {error.strerror}; expected a writable folder."
            raise InputError(problem, place="output") from error
        self._whole = True
        self.records[record.image] = record


def _parse(line: bytes) -> Record | None:
    """A record, or None for a line that is none: cut off, edited, or of a later version."""
    try:
        value = json.loads(line)
        if value.pop("schema") != SCHEMA:
            return None
        record = Record(**{**value, "files": tuple(value.get("files", ()))})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if _is_sound(record) else None


def _is_sound(record: Record) -> bool:
    texts: tuple[Any, ...] = (record.image, record.place, record.sha256, record.workflow, record.status, *record.files)
    return all(isinstance(text, str) for text in texts)
