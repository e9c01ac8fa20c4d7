"""COCO's run lengths and documents, against pycocotools and by hand."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from llmseg.coco import decode_mask, encode_mask, labels_from_coco, labels_to_coco
from llmseg.errors import InputError
from llmseg.label_files import label_map

MASKS = {
    "empty": np.zeros((3, 4), bool),
    "full": np.ones((3, 4), bool),
    "first pixel": np.eye(3, dtype=bool),
    "one pixel": np.ones((1, 1), bool),
    "long runs": np.repeat([False, True, False], 70_000).reshape(300, 700),
    **{f"noise {seed}": np.random.default_rng(seed).random((13, 7 + 60 * seed)) < 0.4 for seed in range(4)},
    "stripes": np.arange(2000).reshape(40, 50) % 17 > 9,
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_come_back(name: str) -> None:
    mask = MASKS[name]
    assert np.array_equal(decode_mask(json.loads(json.dumps(encode_mask(mask)))), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("name", MASKS)
def test_strings_are_those_of_pycocotools(name: str) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask = MASKS[name]
    theirs = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    ours = encode_mask(mask)
    assert ours["counts"] == theirs["counts"].decode()
    assert tuple(ours["size"]) == tuple(theirs["size"])
    assert np.array_equal(coco.decode(ours), mask)


def test_plain_run_lengths_are_read() -> None:
    assert decode_mask({"size": [2, 3], "counts": [1, 2, 3]}).tolist() == [[False, True, False], [True, False, False]]


LABELS = np.array([[0, 0, 2], [2, 2, -1]])
NAMES = ("dog", "cat", "straße")


def test_a_document_holds_what_was_found() -> None:
    document = labels_to_coco(label_map(LABELS, NAMES), 0, "park.png")
    assert document["images"] == [{"id": 1, "file_name": "park.png", "height": 2, "width": 3}]
    assert document["categories"] == [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "straße"}]
    first, second = document["annotations"]
    assert (first["category_id"], first["area"], first["bbox"], first["iscrowd"]) == (1, 2, [0, 0, 2, 1], 0)
    assert (second["category_id"], second["area"], second["bbox"]) == (3, 3, [0, 0, 3, 2])
    labels, names = labels_from_coco(json.loads(json.dumps(document)), "x.json")
    assert np.array_equal(labels, LABELS)
    assert names == NAMES


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_pycocotools_opens_the_document(tmp_path: Any) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels_to_coco(label_map(LABELS, NAMES))), encoding="utf-8")
    opened = coco.COCO(str(path))
    for label in (0, 2):
        (annotation,) = opened.loadAnns(opened.getAnnIds(catIds=[label + 1]))
        assert np.array_equal(opened.annToMask(annotation) == 1, label == LABELS)


def test_the_later_of_two_overlapping_masks_counts() -> None:
    document = labels_to_coco(label_map(LABELS, NAMES))
    document["annotations"].append({"category_id": 2, "segmentation": encode_mask(LABELS >= 0)})
    assert labels_from_coco(document, "x.json")[0].tolist() == [[1, 1, 1], [1, 1, -1]]


GONE = object()
MASK = ("annotations", 0, "segmentation")
FAULTS = [
    (("images",), GONE),
    (("images",), [{"height": 2, "width": 3}] * 2),
    (("images", 0, "height"), 10**9),
    (("images", 0, "width"), -3),
    (("images", 0, "width"), "3"),
    (("categories",), []),
    (("categories", 0, "name"), 7),
    (("categories",), 5),
    (("annotations", 0, "category_id"), 99),
    (("annotations", 0, "category_id"), []),
    (MASK, [[0, 0, 1, 0, 1, 1]]),
    ((*MASK, "size"), [1, 1]),
    ((*MASK, "size"), [2**40, 2**40]),
    ((*MASK, "counts"), [3, -1, 4]),
    ((*MASK, "counts"), [10**30]),
    ((*MASK, "counts"), [True, 5]),
    ((*MASK, "counts"), "oooooooooooooooooooo"),
    ((*MASK, "counts"), "ü"),
    ((*MASK, "counts"), ""),
    ((*MASK, "counts"), None),
]


@pytest.mark.parametrize(("place", "value"), FAULTS)
def test_a_broken_document_is_one_clear_error(place: tuple[Any, ...], value: Any) -> None:
    document: Any = deepcopy(labels_to_coco(label_map(LABELS, NAMES)))
    *way, last = place
    parent = document
    for key in way:
        parent = parent[key]
    if value is GONE:
        del parent[last]
    else:
        parent[last] = value
    with pytest.raises(InputError) as caught:
        labels_from_coco(document, "x.json")
    assert str(caught.value).startswith("x.json: not the labels of one image in COCO's form (")
    assert "\n" not in str(caught.value)
