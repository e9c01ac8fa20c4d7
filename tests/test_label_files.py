"""Label files of ours and of data sets, and what is wrong with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg.errors import InputError
from llmseg.files import write_labels
from llmseg.label_files import label_map, names_file, read_labels
from llmseg.palette import make_palette

LABELS = np.array([[0, 1, 2, -1], [2, 2, 1, 0]])
NAMES = ("dog", "cat", "straße")


def picture(path: Path, numbers: Any, mode: str = "L") -> Path:
    array = np.asarray(numbers)
    if mode == "P":
        image = Image.fromarray(array.astype(np.uint8), mode="P")
        image.putpalette([*range(256)] * 3)
    else:
        image = Image.fromarray(array.astype(np.uint16 if mode == "I;16" else np.uint8))
    image.save(path)
    return path


@pytest.mark.parametrize("classes", [3, 255, 300])
@pytest.mark.parametrize("coco", [False, True])
def test_what_was_written_is_read_back(classes: int, coco: bool, tmp_path: Path) -> None:
    names = (*NAMES, *(f"class {number}" for number in range(3, classes)))
    written = write_labels(label_map(LABELS, names), tmp_path, "x", masks=False, coco=True)
    read = read_labels(written[-1] if coco else written[0])
    assert read.labels.tolist() == [LABELS.tolist()]
    assert read.labels.dtype == torch.int64
    assert read.names == names
    assert read.palette == make_palette(classes)
    assert read.confidence.tolist() == [(LABELS >= 0).astype(float).tolist()]
    assert set(read.winning_phrase.flatten().tolist()) == {-1}


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_names_typed_by_a_person(mode: str, tmp_path: Path) -> None:
    unknown = 65535 if mode == "I;16" else 255
    path = picture(tmp_path / "truth.png", np.where(LABELS < 0, unknown, LABELS), mode)
    read = read_labels(path, "dog, cat, straße")
    assert read.labels.tolist() == [LABELS.tolist()]
    assert read.names == NAMES
    own = ((0, 1, 2), (3, 4, 5), (6, 7, 8))
    assert read.palette == (own if mode == "P" else make_palette(3)), "a data set's palette is kept"


def test_numbers_with_gaps_and_numbers_that_nobody_wants(tmp_path: Path) -> None:
    path = picture(tmp_path / "truth.png", [[7, 26, 26], [0, 255, 7]])
    read = read_labels(path, "26: car\n7 : road, wet ground")
    assert read.names == ("car", "road, wet ground")
    assert read.labels.tolist() == [[[1, 0, 0], [-1, -1, 1]]]


def test_one_bit_pictures_are_two_classes(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "mask.png")
    assert read_labels(tmp_path / "mask.png", "else, dog").labels.tolist() == [[[1, 0]]]


def test_the_file_beside_a_picture() -> None:
    assert names_file(Path("a", "x_labels.png")) == Path("a", "x_classes.json")
    assert names_file(Path("a", "truth.png")) == Path("a", "truth_classes.json")


@pytest.mark.parametrize(
    ("numbers", "class_names", "message"),
    [
        ([[0, 9]], "dog, cat", "truth.png: number 9 has no name; expected 0 to 1, or 255 for unknown."),
        (
            [[0]],
            "",
            "class_names: nothing says what the numbers of 'truth.png' mean; expected class names or "
            "'truth_classes.json' beside it.",
        ),
        ([[0]], "1: dog\n1: cat", "class_names: number 1 stands twice; expected every number once."),
        ([[0]], "70000: dog", "class_names: number 70000; expected 0 to 65535."),
        (
            [[0]],
            "1: dog\n2: dog",
            "names: 'dog' stands twice; expected every class and alias once. Remove one of them.",
        ),
        ([[0]], ",", "names: no class name in ','; expected names separated by commas, such as 'dog, car, tree'."),
    ],
)
def test_names_that_do_not_fit(numbers: Any, class_names: str, message: str, tmp_path: Path) -> None:
    path = picture(tmp_path / "truth.png", numbers)
    with pytest.raises(InputError) as caught:
        read_labels(path, class_names)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "classes",
    [
        [],
        {},
        [{"label": 0}],
        [{"label": "0", "name": "dog"}],
        [{"label": True, "name": "dog"}],
        [{"label": 1, "name": "dog"}],
        [{"label": 0, "name": " "}],
        ["dog"],
    ],
)
def test_a_broken_list_of_classes(classes: Any, tmp_path: Path) -> None:
    path = picture(tmp_path / "x_labels.png", [[0]])
    (tmp_path / "x_classes.json").write_text(json.dumps({"classes": classes}), encoding="utf-8")
    with pytest.raises(InputError, match=r"^x_classes\.json: .*; expected "):
        read_labels(path)


def test_pictures_that_are_none(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "colours.png")
    Image.fromarray(np.array([[70000]], np.int32)).save(tmp_path / "huge.tif")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    for name, message in (
        ("colours.png", "labels: 'colours.png' holds colours (RGB); expected one number a pixel, in a PNG."),
        ("huge.tif", "labels: numbers from 70000 to 70000 in 'huge.tif'; expected 0 to 65535."),
        ("text.png", "not a readable picture; expected a label PNG."),
        ("none.png", "No such file or directory; expected a label PNG."),
        ("list.json", "list.json: a list; expected an object."),
        ("deep.json", "deep.json: not valid JSON"),
    ):
        with pytest.raises(InputError) as caught:
            read_labels(tmp_path / name, "dog")
        assert message in str(caught.value), name
