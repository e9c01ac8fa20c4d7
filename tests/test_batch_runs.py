"""A batch that is killed at any moment goes on, and in the end every image is there exactly once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llmseg.batch import ImageSlot, list_images
from llmseg.batch_runs import BatchRun, Outcome, hash_workflow
from llmseg.commands import DONE, FAILED, INTERRUPTED, PARTLY
from llmseg.errors import InputError
from llmseg.local_batch import run_batch
from llmseg.writer import BackgroundWriter

# A batch without nodes: three files an image, written slowly and in pieces, so that a kill falls into anything.
PROGRAM = """
import sys, time
from pathlib import Path
from llmseg.batch import list_images
from llmseg.batch_runs import BatchRun, Outcome
from llmseg.local_batch import run_batch
from llmseg.reporting import JsonReporter
from llmseg.writer import BackgroundWriter

def run(image, folder):
    for name in ("one.txt", "two.txt"):
        with (folder / name).open("w", encoding="utf-8") as file:
            for _ in range(4):
                file.write(image.path.read_text(encoding="utf-8"))
                file.flush()
                time.sleep(0.001)
    (folder / "sub").mkdir()
    writer.write(folder / "sub" / "three.txt", lambda: make(image))
    return Outcome(0)

def make(image):
    time.sleep(0.004)
    return image.path.read_bytes() * 4

images = list_images([sys.argv[1]])
batch = BatchRun(Path(sys.argv[2]), "w", resume=True)
with batch.opened(), BackgroundWriter() as writer:
    sys.exit(run_batch(batch, images, run, JsonReporter(), lambda result, image: None, writer))
"""
COUNT = 60


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number in range(COUNT):
        path = folder / f"sub{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<{number}>", encoding="utf-8")
    return folder


def records(output: Path) -> list[dict[str, Any]]:
    found = []
    for line in (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # cut off
    return found


def test_killed_at_twenty_moments_every_image_is_there_once_and_whole(photos: Path, tmp_path: Path) -> None:
    output, moment = tmp_path / "out", random.Random(0)
    command = [sys.executable, "-c", PROGRAM, str(photos), str(output)]
    killed = 0
    while killed < 20:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
        assert process.stdout is not None
        process.stdout.readline()  # it is at work
        time.sleep(moment.uniform(0, 0.03))
        if process.poll() is None:
            process.kill()
            killed += 1
        process.stdout.close()
        process.wait()
        if process.returncode == 0:
            break
    assert killed >= 3
    assert subprocess.run(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent).returncode == 0
    done = [record["image"] for record in records(output)]
    assert len(done) == len(set(done)) == COUNT, "nothing is lost and nothing done again"
    for number in range(COUNT):
        for name in ("one.txt", "two.txt", "sub/three.txt"):
            written = (output / f"sub{number % 3}" / str(number) / name).read_text(encoding="utf-8")
            assert written == f"<{number}>" * 4
    files = [path for path in output.rglob("*") if path.is_file()]
    assert len(files) == 3 * COUNT + 1
    assert not (output / ".llmseg").exists()


class Silent:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.heard.append((name, *values))


def code_of(photos: Path, output: Path, codes: dict[str, int], **options: Any) -> int:
    batch = BatchRun(output, "w", options.get("resume", False))
    with batch.opened(), BackgroundWriter() as writer:
        images = list_images([str(photos)])[:3]
        quiet: Any = Silent()

        def run(image: Any, folder: Path) -> Outcome:
            return Outcome(codes.get(image.path.stem, DONE))

        return run_batch(batch, images, run, quiet, quiet.tell, writer)


def test_exit_codes(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert [image.path.stem for image in list_images([str(photos)])[:3]] == ["0", "12", "15"]
    assert code_of(photos, output, {}) == DONE
    assert code_of(photos, output, {"12": FAILED}) == PARTLY
    assert code_of(photos, output, dict.fromkeys(("0", "12", "15"), FAILED)) == FAILED
    assert code_of(photos, output, {"12": FAILED}, resume=True) == PARTLY
    assert [record["status"] for record in records(output)[-3:]] == ["done", "failed", "done"]
    assert code_of(photos, output, {"12": FAILED}, resume=True) == PARTLY, "the others were done before"
    assert code_of(photos, output, {"12": PARTLY}, resume=True) == PARTLY


def test_a_manifest_cannot_have_files_elsewhere_removed(photos: Path, tmp_path: Path) -> None:
    output, precious = tmp_path / "out", tmp_path / "precious.txt"
    precious.write_text("x", encoding="utf-8")
    assert code_of(photos, output, {}) == DONE
    lines = [json.dumps({**record, "files": ["../precious.txt"]}) for record in records(output)]
    (output / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="of the manifest leaves it"):
        code_of(photos, output, {})
    assert precious.exists()


def test_what_changes_the_hash_of_a_workflow() -> None:
    prompt = {"1": {"class_type": "Load", "inputs": {"image": "a.png", "x": 1}, "_meta": {"title": "A"}}}
    slot = ImageSlot("1", "image")
    first = hash_workflow(prompt, slot, "1.0", None)

    def changed(**record: Any) -> str:
        return hash_workflow({"1": {**prompt["1"], **record}}, slot, "1.0", None)

    assert changed(_meta={"title": "B"}) == first
    assert changed(inputs={"image": "b.png", "x": 1}) == first
    assert changed(inputs={"image": "a.png", "x": 2}) != first
    assert changed(class_type="Other") != first
    assert hash_workflow(prompt, slot, "1.1", None) != first
    assert hash_workflow(prompt, slot, "1.0", ["1"]) != first, "only some of its outputs"


def process(output: Path, image: Path, run: Any) -> Outcome:
    batch = BatchRun(output, "w", resume=False)
    with batch.opened():
        (found,) = list_images([str(image)])
        outcome, record = batch.make(found, "digest", run)
        batch.commit(record)
        return outcome


def writing(code: int, **files: str) -> Any:
    def run(image: Any, folder: Path) -> Outcome:
        for name, text in files.items():
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
        return Outcome(code)

    return run


def test_a_run_that_fails_takes_nothing_away_from_an_earlier_one(photos: Path, tmp_path: Path) -> None:
    output, image = tmp_path / "out", photos / "sub0" / "0.png"
    process(output, image, writing(DONE, one="1", two="2"))
    process(output, image, writing(FAILED))
    assert (output / "0" / "two.json").read_text(encoding="utf-8") == "2"
    process(output, image, writing(DONE, one="3"))
    assert (output / "0" / "one.json").read_text(encoding="utf-8") == "3"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"size": [0, 0], "classes": [{}]}', '{"size": 3}', "[" * 100_000])
def test_label_files_of_other_programs_end_no_batch(text: str, photos: Path, tmp_path: Path) -> None:
    process(tmp_path / "out", photos / "sub0" / "0.png", writing(DONE, x_classes=text))
    (record,) = records(tmp_path / "out")
    assert (record["status"], record["classes"]) == ("done", {})


@pytest.mark.parametrize("name", [".llmseg.png", ".LLMSEG.png", "manifest.jsonl.png"])
def test_an_image_cannot_take_the_places_of_the_batch_itself(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    process(tmp_path / "out", tmp_path / name, writing(DONE, one="1"))
    (record,) = records(tmp_path / "out")
    assert (tmp_path / "out" / record["files"][0]).read_text(encoding="utf-8") == "1"


def test_stop_ends_the_batch(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert code_of(photos, output, {"12": INTERRUPTED}) == INTERRUPTED
    assert [Path(record["image"]).stem for record in records(output)] == ["0", "12"]
