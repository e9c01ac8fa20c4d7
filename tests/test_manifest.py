"""The manifest of a batch: what it says may be believed, whatever happened to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from llmseg.manifest import Manifest, Record
from llmseg.places import FolderPlace

RECORD = Record("/photos/ä.png", "ä", "s1", "w1", "done", 0.5, ("ä/x.png",), {"dog": 0.25}, "", "2026-01-31T12:00:00Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "ä").mkdir()
    (tmp_path / "ä" / "x.png").write_bytes(b"x")
    return tmp_path / "manifest.jsonl"


def read(path: Path) -> Manifest:
    return Manifest(FolderPlace(path.parent))


def finished(path: Path, record: Record = RECORD) -> bool:
    return read(path).finished(record.image, record.sha256, record.workflow)


def test_what_was_appended_is_read_back(path: Path) -> None:
    read(path).append(RECORD)
    read(path).append(replace(RECORD, image="/photos/b.png"))
    assert read(path).records[RECORD.image] == RECORD
    assert [json.loads(line)["image"] for line in path.read_text(encoding="utf-8").splitlines()] == [
        "/photos/ä.png", "/photos/b.png",
    ]  # fmt: skip
    assert finished(path)


@pytest.mark.parametrize("change", [{"sha256": "s2"}, {"workflow": "w2"}, {"image": "/photos/c.png"}])
def test_another_image_or_workflow_is_not_finished(change: dict[str, str], path: Path) -> None:
    read(path).append(RECORD)
    assert not finished(path, replace(RECORD, **change))


def test_the_last_line_of_an_image_counts(path: Path) -> None:
    for status in ("failed", "done", "partly"):
        read(path).append(replace(RECORD, status=status))
        assert finished(path) == (status == "done")


def test_lost_files_are_not_finished(path: Path) -> None:
    read(path).append(RECORD)
    (path.parent / "ä" / "x.png").unlink()
    assert not finished(path)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_that_was_cut_off_is_as_if_not_there_and_spoils_no_other(cut: int, path: Path) -> None:
    read(path).append(replace(RECORD, image="/photos/first.png"))
    read(path).append(RECORD)
    path.write_bytes(path.read_bytes()[:-cut])
    assert not finished(path) or cut == 1
    read(path).append(replace(RECORD, image="/photos/later.png"))
    images = set(read(path).records)
    assert {"/photos/first.png", "/photos/later.png"} <= images


@pytest.mark.parametrize(
    "line",
    [
        "", "null", "[]", "7", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "image": 3}', "[" * 100_000, "\\xff",
        json.dumps({"schema": 1, "image": "a", "place": "a", "sha256": "s", "workflow": "w", "status": "done", "seconds": 1, "files": [3]}),
        json.dumps({"schema": 1, "image": "a", "place": "a", "sha256": "s", "workflow": "w", "status": "done", "seconds": 1, "files": 3}),
        json.dumps({"schema": 1, "image": "a", "place": "a", "sha256": "s", "workflow": "w", "status": "done", "seconds": 1, "more": 3}),
    ],
)  # fmt: skip
def test_lines_that_are_no_records_are_passed_over(line: str, path: Path) -> None:
    path.write_text(line + "\n", encoding="utf-8")
    read(path).append(RECORD)
    assert set(read(path).records) == {RECORD.image}
