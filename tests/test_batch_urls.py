"""A batch from a store into a store: killed at any moment it goes on, and what fails takes nothing else with it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from folder_store import Share, register

from llmseg.addresses import read_location
from llmseg.batch import list_images
from llmseg.batch_runs import BatchRun, Outcome
from llmseg.commands import DONE, FAILED, PARTLY
from llmseg.errors import InputError
from llmseg.local_batch import run_batch
from llmseg.writer import BackgroundWriter

# A batch without nodes: three files an image, and joined lines often, so that a kill falls into anything.
PROGRAM = """
import sys
from folder_store import register
from llmseg import object_lines
from llmseg.addresses import read_location
from llmseg.batch import list_images
from llmseg.batch_runs import BatchRun, Outcome
from llmseg.local_batch import run_batch
from llmseg.reporting import JsonReporter
from llmseg.writer import BackgroundWriter

register()
object_lines.JOINED = 7

def run(image, folder):
    for name in ("one.txt", "two.txt", "sub/three.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(image.path.read_text(encoding="utf-8") * 4, encoding="utf-8")
    return Outcome(0)

output = read_location(sys.argv[2])
batch = BatchRun(output, "w", resume=True)
images = list_images([sys.argv[1]], batch.place.work)
with batch.opened(), BackgroundWriter() as writer:
    sys.exit(run_batch(batch, images, run, JsonReporter(), lambda result, image: None, writer))
"""
COUNT = 40


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    register()
    folder = tmp_path / "photos"
    for number in range(COUNT):
        path = folder / f"sub{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<{number}>", encoding="utf-8")
    return folder


def kill_and_resume(protocol: str, photos: Path, output: Path, kills: int, own_data: Path) -> int:
    """Start a batch until it ends by itself, killing it at random moments; gives how often it was killed."""
    tests = Path(__file__).parent
    command = [sys.executable, "-c", PROGRAM, f"share://{photos.as_posix()}", f"{protocol}://{output.as_posix()}"]
    paths = {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)]), "LLMSEG_DATA": str(own_data)}
    moment, killed = random.Random(protocol), 0
    for attempt in range(kills + 1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **paths})
        assert process.stdout is not None
        process.stdout.readline()  # it is at work
        if attempt < kills:
            time.sleep(moment.uniform(0, 0.05 if kills > 5 else 0.2))
            if process.poll() is None:
                process.kill()
                killed += 1
        process.communicate()
        if process.returncode == 0:
            return killed
    raise AssertionError(f"it did not end well: {process.returncode}")


@pytest.mark.parametrize(
    ("protocol", "kills"),
    [
        ("share", 3),
        pytest.param("file", 20, marks=pytest.mark.slow),
        pytest.param("share", 20, marks=pytest.mark.slow),
        pytest.param("oss", 20, marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_moment_every_image_is_there_once_and_whole(
    protocol: str, kills: int, photos: Path, tmp_path: Path, own_data: Path
) -> None:
    output = tmp_path / "out"
    assert kill_and_resume(protocol, photos, output, kills, own_data) >= 1
    records = [json.loads(line) for line in (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    done = [record["image"] for record in records]
    assert len(done) == len(set(done)) == COUNT, "nothing is lost and nothing done again"
    assert all(name.startswith("share://") for name in done)
    for number in range(COUNT):
        for name in ("one.txt", "two.txt", "sub/three.txt"):
            written = (output / f"sub{number % 3}" / str(number) / name).read_text(encoding="utf-8")
            assert written == f"<{number}>" * 4
    files = [path for path in output.rglob("*") if path.is_file() and path.suffix != ".upload"]
    assert len(files) == 3 * COUNT + 1
    assert protocol == "oss" or not (output / ".llmseg").exists(), "a bucket has no folders"
    assert not list(own_data.rglob("*.png")), "no copy is left"


class Silent:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.heard.append((name, *values))


def go(photos: Path, output: str, run: Any = None, resume: bool = True) -> tuple[int, list[tuple[Any, ...]]]:
    """Run the first five images; gives the exit code and what was said."""
    quiet: Any = Silent()
    batch = BatchRun(read_location(output), "w", resume)
    images = list_images([f"share://{photos.as_posix()}/sub0"], batch.place.work)[:5]
    with batch.opened(), BackgroundWriter() as writer:
        return run_batch(batch, images, run or writing, quiet, quiet.tell, writer), quiet.heard


def writing(image: Any, folder: Path) -> Outcome:
    (folder / "x.txt").write_text(image.path.read_text(encoding="utf-8"), encoding="utf-8")
    return Outcome(DONE)


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("protocol", ["file", "share"])
def test_an_object_that_is_gone_fails_alone(
    protocol: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, get = tmp_path / "out", Share.get_file
    reads: list[str] = []

    def get_file(files: Any, key: str, path: str, **more: Any) -> Any:
        reads.append(Path(key).name)
        if key.endswith("/12.png"):
            raise FileNotFoundError(key)
        if key.endswith("/15.png") and reads.count("15.png") == 1:
            raise TimeoutError  # the second attempt gets it
        return get(files, key, path, **more)

    monkeypatch.setattr(Share, "get_file", get_file)
    code, heard = go(photos, f"{protocol}://{output.as_posix()}")
    assert code == PARTLY
    name = f"share://{photos.as_posix()}/sub0/12.png"
    told = f"image: cannot fetch {name!r}: it is not there; expected an image that can be read."
    assert [said[1] for said in heard if said[0] == "failure"] == [told, f"1 of 5 images failed: {name}"]
    assert [record["status"] for record in lines(output)] == ["done", "failed", "done", "done", "done"]
    assert lines(output)[1]["error"] == told
    assert all(len(record["sha256"]) == 64 for record in lines(output) if record["status"] == "done")
    monkeypatch.setattr(Share, "get_file", get)
    code, heard = go(photos, f"{protocol}://{output.as_posix()}")
    assert (code, [said[1] for said in heard if said[0] == "image"]) == (DONE, [name])
    assert (output / "12" / "x.txt").read_text(encoding="utf-8") == "<12>"


def test_a_store_that_fails_ends_the_batch_and_loses_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, put = tmp_path / "out", Share.put_file
    url = f"share://{output.as_posix()}"

    def put_file(files: Any, path: str, key: str, **more: Any) -> None:
        if "/12/" in str(path) or Path(path).read_text(encoding="utf-8") == "<12>":
            raise PermissionError("key=secret")
        put(files, path, key, **more)

    monkeypatch.setattr(Share, "put_file", put_file)
    with pytest.raises(InputError) as caught:
        go(photos, url)
    assert str(caught.value) == (
        f"output: cannot put results into {url!r}: access is refused (key=secret); expected a folder that can be written."
    )
    places = [record["place"] for record in lines(output)]  # the manifest is whole
    assert places in (["0"], ["0", "15"]), "the next one may have run meanwhile"
    monkeypatch.setattr(Share, "put_file", put)
    assert go(photos, url)[0] == DONE
    assert sorted(record["place"] for record in lines(output)) == ["0", "12", "15", "18", "21"]


def test_what_an_earlier_run_left_goes_with_its_successor(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    url = f"share://{output.as_posix()}"

    def run(image: Any, folder: Path) -> Outcome:
        (folder / "y.txt").write_text("", encoding="utf-8")
        return Outcome(DONE)

    go(photos, url)
    go(photos, url, lambda image, folder: Outcome(FAILED), resume=False)
    assert (output / "0" / "x.txt").exists(), "a run that fails takes nothing away"
    go(photos, url, resume=False)
    go(photos, url, run, resume=False)
    assert sorted(path.name for path in (output / "0").iterdir()) == ["y.txt"]
    (output / "0" / "y.txt").unlink()
    _, heard = go(photos, url, run)
    assert [said[1][-5:] for said in heard if said[0] == "image"] == ["0.png"], "its file is gone"


def test_copies_are_few_and_go(photos: Path, tmp_path: Path, own_data: Path) -> None:
    most = 0

    def run(image: Any, folder: Path) -> Outcome:
        nonlocal most
        copies = (name for _, _, names in os.walk(own_data) for name in names if name.endswith(".png"))
        most = max(most, len(list(copies)))
        return Outcome(DONE)

    batch = BatchRun(read_location(f"share://{(tmp_path / 'out').as_posix()}"), "w", resume=False)
    images = list_images([f"share://{photos.as_posix()}"], batch.place.work)
    quiet: Any = Silent()
    with batch.opened(), BackgroundWriter() as writer:
        assert run_batch(batch, images, run, quiet, quiet.tell, writer) == DONE
    assert 1 <= most <= 6
    assert list((own_data / "batches").iterdir()) == []
