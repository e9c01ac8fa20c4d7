"""A batch in this process: files are put in place beside the next image, and what fails there is told of its own."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from llmseg.batch import BatchImage, list_images
from llmseg.batch_runs import BatchRun, Outcome
from llmseg.commands import DONE, FAILED, INTERRUPTED, PARTLY
from llmseg.local_batch import run_batch
from llmseg.writer import BackgroundWriter


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.calls.append((name, *values))


@pytest.fixture
def images(tmp_path: Path) -> list[BatchImage]:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(name, encoding="utf-8")
    return list_images([str(tmp_path / "in")])


def records(output: Path) -> dict[str, dict[str, Any]]:
    lines = (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["place"]: record for record in map(json.loads, lines)}


def go(images: list[BatchImage], output: Path, run: Any) -> tuple[int, list[tuple[Any, ...]]]:
    """Run images; gives the exit code and what was said."""
    batch, heard = BatchRun(output, "w", resume=False), Heard()
    reporter: Any = heard
    with batch.opened(), BackgroundWriter() as writer:

        def tell(result: Any, image: BatchImage | None) -> None:
            heard.calls.append(("told", result, image.place.as_posix() if image else None))

        code = run_batch(batch, images, lambda image, folder: run(image, folder, writer), reporter, tell, writer)
    return code, heard.calls


def test_the_next_image_runs_while_files_are_written(images: list[BatchImage], tmp_path: Path) -> None:
    second_runs = threading.Event()

    def run(image: BatchImage, folder: Path, writer: BackgroundWriter) -> Outcome:
        def make() -> bytes:
            assert image.place.name != "a" or second_runs.wait(30)
            return image.path.read_bytes()

        if image.place.name == "b":
            second_runs.set()
        writer.write(folder / "out.txt", make)
        return Outcome(DONE)

    code, heard = go(images, tmp_path / "out", run)
    assert code == DONE
    assert [call[2] for call in heard if call[0] == "told"] == ["a", "b", "c"]
    for place, record in records(tmp_path / "out").items():
        assert record["status"] == "done"
        assert record["files"] == [f"{place}/out.txt"]
        assert (tmp_path / "out" / place / "out.txt").read_text(encoding="utf-8") == f"{place}.png"


def test_a_file_that_cannot_be_made_fails_its_own_image_alone(images: list[BatchImage], tmp_path: Path) -> None:
    def run(image: BatchImage, folder: Path, writer: BackgroundWriter) -> Outcome:
        def make() -> bytes:
            if image.place.name == "b":
                raise OSError(28, "No space left on device")
            return b"whole"

        writer.write(folder / "out.txt", make)
        return Outcome(DONE)

    code, heard = go(images, tmp_path / "out", run)
    assert code == PARTLY
    message = f"{images[1].name}: [Errno 28] No space left on device"
    assert ("failure", message) in heard
    found = records(tmp_path / "out")
    assert {place: record["status"] for place, record in found.items()} == {"a": "done", "b": "failed", "c": "done"}
    assert found["b"]["error"] == message
    assert found["b"]["files"] == []
    assert not (tmp_path / "out" / "b").exists()


def test_what_a_node_says_goes_before_what_writing_says(images: list[BatchImage], tmp_path: Path) -> None:
    def run(image: BatchImage, folder: Path, writer: BackgroundWriter) -> Outcome:
        writer.write(folder / "out.txt", lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        return Outcome(FAILED, error="node 7 failed")

    assert go(images, tmp_path / "out", run)[0] == FAILED
    assert {record["error"] for record in records(tmp_path / "out").values()} == {"node 7 failed"}


def test_a_stop_ends_the_batch_when_what_has_run_is_written_down(images: list[BatchImage], tmp_path: Path) -> None:
    def run(image: BatchImage, folder: Path, writer: BackgroundWriter) -> Outcome:
        writer.write(folder / "out.txt", lambda: b"whole")
        return Outcome(INTERRUPTED if image.place.name == "b" else DONE)

    assert go(images, tmp_path / "out", run)[0] == INTERRUPTED
    found = records(tmp_path / "out")
    assert {place: record["status"] for place, record in found.items()} == {"a": "done", "b": "failed"}


def test_nothing_is_written_down_when_the_folder_is_given_back(images: list[BatchImage], tmp_path: Path) -> None:
    batch = BatchRun(tmp_path / "out", "w", resume=False)
    with batch.opened():
        _, finish = batch.start(images[0], "digest", lambda image, folder: Outcome(DONE))
        record = finish()[1]
    batch.commit(record)  # by a thread that a second stop has left behind
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
