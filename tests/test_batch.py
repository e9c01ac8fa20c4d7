"""Which files are meant, and which node takes them."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile

from llmseg.addresses import Url
from llmseg.batch import BatchImage, ImageSlot, Remote, fetched_files, find_image_slot, list_images
from llmseg.errors import InputError
from llmseg.graph import InputSpec, NodeDefinition

UPLOAD = NodeDefinition("Load", (InputSpec("file", ["a.png"], True, {"image_upload": True}),), output_types=("IMAGE",))
FIXED = NodeDefinition("Scene", (InputSpec("scene", ["park"]),), output_types=("IMAGE", "MASK"))
SAVE = NodeDefinition("Save", (InputSpec("images", "IMAGE"),), output_node=True)
DEFINITIONS = {"Load": UPLOAD, "Scene": FIXED, "Save": SAVE}


def n(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def test_files_folders_and_patterns_each_once_and_in_full(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    root = tmp_path.resolve()
    everything = [root / "a.JPG", root / "b.png", root / "sub" / "c.webp"]

    def paths(*names: str) -> list[Path]:
        return [image.path for image in list_images([str(tmp_path / name) for name in names])]

    assert paths(".") == everything
    assert paths("b.png", "*.*") == [root / "b.png", root / "a.JPG"]
    assert paths("**/*.webp") == everything[2:]
    assert paths("notes.txt") == [root / "notes.txt"]  # named in full: the loader will judge
    for name in ("none.png", "*.gif"):
        with pytest.raises(InputError, match="no image at"):
            list_images([str(tmp_path / name)])


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["one"], ["a", "b", "sub/a", "sub/c"]),
        (["one/sub"], ["a", "c"]),
        (["one/b.jpg"], ["b"]),
        (["one/**/*.png"], ["a", "sub/a", "sub/c"]),
        (["*/b.*"], ["one/b", "two/b"]),
        (["two"], ["B.JPG", "b.png"]),  # one name but for the suffix, on Windows
        (["one/a.png", "one/sub/a.png", "one/a.png"], ["a.png_1", "a.png_2"]),
    ],
)
def test_results_keep_sub_folders_and_names(names: list[str], places: list[str], tmp_path: Path) -> None:
    for name in ("one/a.png", "one/b.jpg", "one/sub/a.png", "one/sub/c.png", "two/b.png", "two/B.JPG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = list_images([str(tmp_path / name) for name in names])
    assert [image.place.as_posix() for image in found] == places


def test_the_only_loader_is_found_before_any_fixed_picture() -> None:
    prompt = {"1": n("Scene", scene="park"), "2": n("Load", file="x"), "3": n("Save", images=["1", 0])}
    assert find_image_slot(prompt, DEFINITIONS, "") == ImageSlot("2", "file")
    del prompt["2"]
    assert find_image_slot(prompt, DEFINITIONS, "") == ImageSlot("1", "image", swapped=True)


def test_a_fixed_picture_whose_other_outputs_are_read_keeps_its_place() -> None:
    prompt = {"1": n("Scene", scene="park"), "3": n("Save", images=["1", 1])}
    with pytest.raises(InputError, match="no node loads an image; expected one"):
        find_image_slot(prompt, DEFINITIONS, "")


def test_a_name_inside_the_input_folder_is_told_as_seen_from_there(tmp_path: Path) -> None:
    prompt = {"1": n("Scene", scene="park"), "2": n("Load", file="x", more=1)}
    inside, outside = (tmp_path / "in" / "sub" / "a.png").resolve(), (tmp_path / "b.png").resolve()
    slot, place = ImageSlot("2", "file"), Path("a")
    assert slot.fill(prompt, BatchImage(inside, place), tmp_path / "in")["2"] == n("Load", file="sub/a.png", more=1)
    assert slot.fill(prompt, BatchImage(outside, place), tmp_path / "in")["2"] == n("Load", file=str(outside), more=1)
    swapped = ImageSlot("1", "image", swapped=True).fill(prompt, BatchImage(inside, place), tmp_path / "in")
    assert swapped["1"] == n("LoadImage", image="sub/a.png")
    assert prompt["1"] == n("Scene", scene="park")
    remote = Remote(Url("s3://key:secret@bucket"), "bucket/a.png", "s3://bucket/a.png")
    copied = BatchImage(inside, place, remote)
    assert slot.fill(prompt, copied, tmp_path / "in")["2"] == n("Load", file="s3://bucket/a.png", more=1)
    assert fetched_files([copied, BatchImage(outside, place)]) == {"s3://bucket/a.png": inside}


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A store in memory, empty before and after."""
    files = fsspec.filesystem("memory")
    for _ in range(2):
        files.store.clear()
        files.pseudo_dirs[:] = [""]
        if not files.store:
            yield files
            break
    files.store.clear()


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["in"], ["a", "b", "sub/a", "sub/c"]),
        (["in/"], ["a", "b", "sub/a", "sub/c"]),
        (["in/sub"], ["a", "c"]),
        (["in/b.jpg"], ["b"]),
        (["in/notes.txt"], ["notes"]),
        (["in/**/*.png"], ["a", "sub/a", "sub/c"]),
        (["*/b.*"], ["in/b"]),
        (["in/[ab].*"], ["a", "b"]),
        (["in/b.jpg", "in", "in/sub/a.png"], ["b", "a", "sub/a", "sub/c"]),
        (["in/a.png", "in/sub/a.png"], ["a.png_1", "a.png_2"]),
    ],
)
def test_images_behind_a_url_are_listed_as_those_of_a_folder(names: list[str], places: list[str], bucket: Any) -> None:
    for key in ("in/a.png", "in/b.jpg", "in/notes.txt", "in/sub/a.png", "in/sub/c.PNG", "other/d.png"):
        bucket.pipe_file(key, b"")
    found = list_images([f"memory://{name}" for name in names])
    if names == ["in/**/*.png"]:  # patterns of a store tell capitals apart
        places = places[:2]
    assert [image.place.as_posix() for image in found] == places
    assert all(image.name == f"memory://{image.remote.key.lstrip('/')}" for image in found if image.remote)


def test_a_copy_is_there_from_fetch_to_drop(bucket: Any, tmp_path: Path) -> None:
    bucket.pipe_file("in/a.png", b"content")
    (image,) = list_images(["memory://in"], tmp_path / "work")
    assert image == pickle.loads(pickle.dumps(image))
    for one in (image, image.moved(tmp_path / "elsewhere")):
        for _ in range(2):
            one.fetch()
        assert one.path.read_bytes() == b"content"
        assert one.path.name == "a.png"
        one.drop()
        one.drop()
        assert list(tmp_path.iterdir()) == []
    bucket.rm_file("/in/a.png")
    with pytest.raises(InputError) as caught:
        image.fetch()
    assert str(caught.value) == (
        "image: cannot fetch 'memory://in/a.png': it is not there; expected an image that can be read."
    )
    assert not image.path.exists()


def test_names_of_objects_lead_nowhere(bucket: Any, tmp_path: Path) -> None:
    names = ["../up.png", "a:b.png", "a?b.png", "CON.png", "back\\..\\slash.png", "end..png", "nul\0.png", ".llmseg/lock.png", "manifest.jsonl.png"]  # fmt: skip
    for name in names:
        bucket.store[f"/in/{name}"] = MemoryFile(bucket, f"/in/{name}", name.encode())
    found = list_images(["memory://in/"], tmp_path)
    assert len(found) == len({image.place for image in found}) == len(names)
    for image in found:
        image.fetch()
        assert image.path.read_bytes().decode() == image.remote.key.removeprefix("/in/")  # type: ignore[union-attr]
        assert image.path.resolve().is_relative_to(tmp_path)
        assert image.place.parts[0].casefold() not in (".llmseg", "manifest.jsonl")
        assert not re.search(r'[\\:*?"<>|\0]|[. ](/|$)|(^|/)(\.\.|CON)(/|$)', image.place.as_posix())


def test_a_list_is_a_file_of_paths_and_urls(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.pipe_file("in/a.png", b"")
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "@c.png").write_bytes(b"")
    text = f"\ufeffmemory://in/a.png\r\n\n  {tmp_path / 'b.png'}\nmemory://in\n"
    (tmp_path / "list.txt").write_text(text, encoding="utf-8", newline="")
    monkeypatch.chdir(tmp_path)
    assert [image.name for image in list_images(["@list.txt", "@c.png"])] == [
        "memory://in/a.png", str((tmp_path / "b.png").resolve()), str((tmp_path / "@c.png").resolve()),
    ]  # fmt: skip
    for name, message in (
        ("@none.txt", "--images: cannot read 'none.txt': No such file or directory; expected a text file."),
        ("@b.png", ""),
        ("@s3://k:secret@b/list", "--images: 's3://b/list' is no list here; expected @FILE of this computer."),
    ):
        if message:
            with pytest.raises(InputError) as caught:
                list_images([name])
            assert str(caught.value) == message
        else:
            assert list_images([name]) == []


def test_images_that_differ_in_what_is_not_shown_have_names_of_their_own() -> None:
    found = list_images([f"https://u:p@host/get.png?token={number}" for number in (1, 2, 1)])
    assert [image.name for image in found] == ["https://host/get.png", "https://host/get.png#2"]
    assert [image.place.as_posix() for image in found] == ["get.png_1", "get.png_2"]
    assert "token" not in repr(found)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("memory://none", "no image at 'memory://none'; expected a file, a folder or a pattern."),
        ("memory://none/*.png", "no image at 'memory://none/*.png'; expected a file, a folder or a pattern."),
        ("zip://a.png::memory://x.zip", "'zip://...' joins several URLs; expected one."),
        ("memoy://x", "unknown name 'memoy'; expected one of * names. Did you mean 'memory'?"),
        ("oci://key:secret@bucket/x", "'oci' needs the package ocifs; pip install ocifs"),
    ],
)
def test_urls_without_an_image(name: str, message: str, bucket: Any) -> None:
    with pytest.raises(InputError) as caught:
        list_images([name])
    assert re.fullmatch(re.escape(f"--images: {message}").replace(r"\*\ names", r"\d+\ names"), str(caught.value))


def test_paths_alone_do_not_import_what_reads_urls(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    program = (
        "import sys; from pathlib import Path; from llmseg.batch import list_images; from llmseg.batch_runs import *\n"
        "batch = BatchRun(Path(sys.argv[2]), 'w', resume=True)\n"
        "with batch.opened():\n"
        "    for image, digest, due in batch.look_through(list_images(sys.argv[1:2])):\n"
        "        batch.commit(batch.make(image, digest, lambda image, folder: Outcome(0))[1])\n"
        "print(sorted({'fsspec', 'llmseg.stores', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, f"file://{tmp_path}", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=Path(__file__).parent.parent, check=True)
    assert done.stdout.strip() == "[]"
