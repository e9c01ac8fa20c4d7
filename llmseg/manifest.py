"""What became of each image of a batch: one JSON line an image, the last one of an image counts.

    {"schema": 1, "image": "/photos/a.png", "place": "a", "sha256": ..., "workflow": ..., "status": "done",
     "seconds": 0.41, "files": ["a/overlay_00001_.png"], "classes": {"dog": 0.12}, "finished": "2026-01-31T12:00:00Z"}

A line is written after its files are in place, and a line that a crash cut off is as if it were not there: so whoever
reads the file may believe it.

Not here: running (`batch_runs`), which images are meant (`batch`), how lines are kept (`places`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .places import Place

__all__ = ["Manifest", "Record"]

SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """What became of one image.

    Args:
        image: its path in full, or its URL without credentials.
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
    """The records of a batch, in the place of its results.

    Args:
        place: it may hold none yet.

    Raises:
        InputError: they cannot be read.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        found = filter(None, map(_parse, place.read_lines()))
        self.records: dict[str, Record] = {record.image: record for record in found}

    def finished(self, image: str, sha256: str, workflow: str) -> bool:
        """Whether this very image went through this very workflow, and all its files are still there."""
        record = self.records.get(image)
        if record is None or (record.status, record.sha256, record.workflow) != ("done", sha256, workflow):
            return False
        return all(map(self.place.has, record.files))

    def append(self, record: Record) -> None:
        """Add a line, so that it is kept before this returns.

        Raises:
            InputError: it cannot be written.
        """
        line = json.dumps({"schema": SCHEMA, **asdict(record)}, ensure_ascii=True) + "\n"
        self.place.append_line(line.encode())
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
