"""Which files are meant, and which node takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmseg.batch import ImageSlot, find_image_slot, list_images
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
    slot = ImageSlot("2", "file")
    assert slot.fill(prompt, inside, tmp_path / "in")["2"] == n("Load", file="sub/a.png", more=1)
    assert slot.fill(prompt, outside, tmp_path / "in")["2"] == n("Load", file=str(outside), more=1)
    swapped = ImageSlot("1", "image", swapped=True).fill(prompt, inside, tmp_path / "in")
    assert swapped["1"] == n("LoadImage", image="sub/a.png")
    assert prompt["1"] == n("Scene", scene="park")
