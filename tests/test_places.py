"""Where results go: a folder and a folder behind a URL do the same."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from folder_store import register

from llmseg.addresses import Url, read_location
from llmseg.errors import InputError
from llmseg.places import FolderPlace, Place, UrlPlace, open_place


@pytest.fixture(params=["", "file://", "memory://", "share://", "oss://"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    register()
    monkeypatch.setenv("LLMSEG_DATA", str(tmp_path / "data"))
    fsspec.filesystem("memory").store.clear()
    folder = "out" if request.param == "memory://" else (tmp_path / "out").as_posix()
    place = open_place(read_location(f"{request.param}{folder}"))
    assert isinstance(place, FolderPlace if request.param in ("", "file://") else UrlPlace)
    yield place
    fsspec.filesystem("memory").store.clear()


def staged(place: Place, **files: str) -> tuple[Path, list[Path]]:
    folder = place.work / "run-1"
    for name, text in files.items():
        (folder / "sub").mkdir(parents=True, exist_ok=True)
        (folder / "sub" / name).write_text(text, encoding="utf-8")
    return folder, [Path("sub", name) for name in files]


def test_files_are_put_found_and_removed(place: Place) -> None:
    lock = place.try_hold()
    assert lock is not None
    assert not place.has("a/b/sub/x")
    place.put(*staged(place, x="1", y="2"), Path("a", "b"))
    place.put(*staged(place, x="3"), Path("a", "b"))
    other = pickle.loads(pickle.dumps(place)) if isinstance(place, UrlPlace) else open_place(place.location)
    for one in (place, other):
        assert [one.has(f"a/b/sub/{name}") for name in "xyz"] == [True, True, False]
    for _ in range(2):
        place.remove("a/b/sub/y")
    assert not place.has("a/b/sub/y")
    lock.release()


def test_lines_are_kept(place: Place) -> None:
    lock = place.try_hold()
    assert lock is not None
    assert list(place.read_lines()) == []
    for line in (b"1\n", b"2\n"):
        place.append_line(line)
        assert list(open_place(place.location).read_lines())[-1] == line
    lock.release()
    place.finish()
    assert list(open_place(place.location).read_lines()) == [b"1\n", b"2\n"]


def test_another_run_is_kept_out(place: Place) -> None:
    lock = place.try_hold()
    assert lock is not None
    assert open_place(place.location).try_hold() is None
    lock.release()
    again = open_place(place.location).try_hold()
    assert again is not None
    again.release()


@pytest.mark.parametrize("name", ["../precious.txt", "a/../../precious.txt", "/precious.txt"])
def test_what_lies_elsewhere_is_not_removed(name: str, place: Place, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x", encoding="utf-8")
    if name.startswith("/"):
        name = (tmp_path / "precious.txt").as_posix()
    with pytest.raises(InputError, match="of the manifest leaves it; expected a writable folder"):
        place.remove(name)
    assert (tmp_path / "precious.txt").exists()


def test_the_work_folder_is_of_this_computer_and_does_not_tell_the_url(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LLMSEG_DATA", str(tmp_path / "data"))
    place = open_place(Url("s3://key:secret@bucket/out"))
    assert place.work.parent == tmp_path / "data" / "batches"
    assert place.work.name.isalnum()
    assert not (tmp_path / "data").exists(), "nothing is opened yet"
    assert place.work != open_place(Url("s3://key:secret@bucket/out2")).work
    assert place.work == open_place(Url("s3://bucket/out/")).work, "it is one place, whoever may write there"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://u:p@host/out", "'https://host/out' can only be read; expected a store such as s3, gs or az."),
        ("abfs://c@account/out?sig=abc", "'abfs://c@account/out' goes on with '?'; expected the URL of a folder."),
    ],
)
def test_urls_that_hold_no_results(url: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        open_place(Url(url))
    assert str(caught.value) == f"output: {message}"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    register()
    for location in (tmp_path / "out", Url(f"share://{(tmp_path / 'out').as_posix()}")):
        with pytest.raises(InputError, match=r"^(store|output): cannot (lock|write|list|open) "):
            open_place(location).try_hold()


def test_files_from_another_file_system_are_copied_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = FolderPlace(tmp_path / "out")
    staging, names = staged(place, x="1")
    rename = Path.replace

    def replace(source: Path, target: Path) -> Path:
        if source.parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    place.put(staging, names, Path("a"))
    assert [path.name for path in (tmp_path / "out" / "a" / "sub").iterdir()] == ["x"]
