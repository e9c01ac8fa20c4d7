"""Results on disk: what is written reads back, whatever a class is called."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg.errors import InputError
from llmseg.files import (
    classes_to_json,
    image_to_tensor,
    label_image,
    png_bytes,
    read_image,
    safe_name,
    write_labels,
    write_result,
)
from llmseg.palette import UNKNOWN_COLOUR, make_palette
from llmseg.rendering import overlay_image
from llmseg.types import LabelMap

EVIL = [
    "../dog",
    "..\\dog",
    "/dog",
    "C:\\dog",
    "CON",
    "nul.txt",
    ".hidden",
    "a\nb\0c",
    '*?<>|":',
    "\U0001f98a",
    "\U0001f436",
    "dog",
    "DOG/",
    "x" * 100,
    "\u6f22" * 100,
    "..",
    "-rf",
]


def label_map(count: int, names: tuple[str, ...] | None = None, size: tuple[int, int] = (5, 8)) -> LabelMap:
    """Two images: random labels, unknown and the last class among them."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.randint(-1, count, (2, *size), generator=generator)
    labels[1, 0, 0], labels[1, 0, 1] = -1, count - 1
    names = names or tuple(f"class {number}" for number in range(count))
    return LabelMap(labels, names, make_palette(count), torch.ones(labels.shape), torch.full_like(labels, -1))


def test_image_to_tensor_equals_a_loop() -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    tensor = image_to_tensor(array)
    assert (tensor.shape, tensor.dtype) == ((1, 3, 3, 4), torch.float32)
    for y, x, channel in np.ndindex(3, 4, 3):
        assert tensor[0, channel, y, x].item() == pytest.approx(array[y, x, channel] / 255)


@pytest.mark.parametrize("count", [1, 3, 255])
def test_label_file_has_a_palette(count: int, tmp_path: Path) -> None:
    result = label_map(count)
    path = write_labels(result, tmp_path, "x", index=1, masks=False)[0]
    with Image.open(path) as image:
        assert image.mode == "P"
        stored = np.asarray(image).astype(int)
        colours = np.asarray(image.convert("RGB"))
    expected = result.labels[1].numpy()
    assert np.array_equal(np.where(stored == 255, -1, stored), expected)
    for y, x in np.ndindex(expected.shape):
        label = expected[y, x]
        assert tuple(colours[y, x]) == (UNKNOWN_COLOUR if label < 0 else result.palette[label])


@pytest.mark.parametrize("count", [256, 1000])
def test_label_file_of_many_classes_is_16_bit(count: int, tmp_path: Path) -> None:
    result = label_map(count)
    path = write_labels(result, tmp_path, "x", index=1, masks=False)[0]
    assert path.read_bytes()[24] == 16, "bits per sample in a PNG header"
    with Image.open(path) as image:
        stored = np.asarray(image).astype(int)
    assert np.array_equal(np.where(stored == 65535, -1, stored), result.labels[1].numpy())
    assert classes_to_json(result)["unknown"] == 65535


def test_classes_by_hand() -> None:
    labels = torch.tensor([[[0, 1, 1], [-1, 1, 0]]])
    result = LabelMap(labels, ("dog", "caf\u00e9"), ((1, 2, 3), (4, 5, 6)), torch.ones(1, 2, 3), labels)
    assert classes_to_json(result) == {
        "schema": 1,
        "size": [3, 2],
        "unknown": 255,
        "classes": [
            {"label": 0, "name": "dog", "colour": [1, 2, 3], "pixels": 2},
            {"label": 1, "name": "caf\u00e9", "colour": [4, 5, 6], "pixels": 3},
        ],
    }


def test_everything_that_is_written(tmp_path: Path) -> None:
    result = label_map(2, ("dog", "traffic light"))
    image = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    folder = tmp_path / "new" / "folder"
    paths = write_result(result, image, folder, "street", index=1, opacity=0.3)
    assert [path.name for path in paths] == [
        "street_overlay.png",
        "street_labels.png",
        "street_classes.json",
        "street_mask_dog.png",
        "street_mask_traffic_light.png",
    ]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert paths[0].read_bytes() == png_bytes(overlay_image(result, image, 1, 0.3))
    assert paths[1].read_bytes() == png_bytes(label_image(result, 1))
    assert json.loads(paths[2].read_text(encoding="utf-8")) == classes_to_json(result, 1)
    for label, path in enumerate(paths[3:]):
        expected = np.where(result.labels[1].numpy() == label, 255, 0)
        with Image.open(path) as mask:
            assert mask.mode == "L"
            assert np.array_equal(np.asarray(mask), expected)
        assert np.array_equal(read_image(path)[..., 0], expected)


def test_classes_called_as_no_file_may_be(tmp_path: Path) -> None:
    result = label_map(len(EVIL), tuple(EVIL))
    folder = tmp_path / "out"
    paths = write_labels(result, folder, "x", index=1)
    assert [path.parent for path in paths] == [folder] * (2 + len(EVIL))
    assert sorted(tmp_path.rglob("*")) == sorted([folder, *paths]), "nothing outside, nothing twice"
    names = [path.name for path in paths]
    assert len({name.casefold() for name in names}) == len(names), "nor on a system that ignores case"
    assert all(len(name.encode()) <= 255 for name in names)
    for label, path in enumerate(paths[2:]):
        with Image.open(path) as mask:
            assert np.array_equal(np.asarray(mask) > 0, result.labels[1].numpy() == label)
    listed = json.loads(paths[1].read_text(encoding="utf-8"))["classes"]
    assert [entry["name"] for entry in listed] == EVIL


@pytest.mark.parametrize("text", EVIL)
def test_safe_name_is_safe(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name) <= 60
    assert not set(name) & set('/\\.:*?<>|" \0\n')


@pytest.mark.parametrize(
    ("text", "name"),
    [("traffic light", "traffic_light"), ("T-shirt", "T-shirt"), ("caf\u00e9", "caf\u00e9"), ("\U0001f98a", "class")],
)
def test_safe_name_by_hand(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_names_that_become_the_same(tmp_path: Path) -> None:
    names = ("a b", "a/b", "A_b", "a_b_2", "\U0001f98a", "?")
    written = write_labels(label_map(len(names), names), tmp_path, "x")[2:]
    assert [path.name[len("x_mask_") : -4] for path in written] == [
        "a_b",
        "a_b_2",
        "A_b_3",
        "a_b_2_2",
        "class",
        "class_2",
    ]


def test_no_masks_when_none_are_asked_for(tmp_path: Path) -> None:
    write_labels(label_map(2), tmp_path, "x", masks=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_classes.json", "x_labels.png"]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"^output: cannot write .*; expected a writable folder\.$"):
        write_result(label_map(2), np.zeros((5, 8, 3), dtype=np.uint8), tmp_path / "file", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_that_is_a_path_writes_nothing(tmp_path):
    with pytest.raises(InputError) as caught:
        write_result(label_map(2), np.zeros((5, 8, 3), np.uint8), tmp_path / "in", "../escaped")
    assert str(caught.value) == "name: '../escaped'; expected the start of a file name, without a folder."
    assert not list(tmp_path.rglob("*"))
