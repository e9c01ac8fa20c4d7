"""Data sets in folders as people have them, against label maps written down by hand."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llmseg.errors import InputError, UnknownNameError
from llmseg.evaluation.datasets import DATASETS, Dataset, open_dataset
from llmseg.evaluation.layouts import PUBLIC
from llmseg.evaluation.number_tables import (
    CITYSCAPES_LABELS,
    COCO_UNUSED,
    SUPERCATEGORIES,
    NumberTable,
    cityscapes_numbers,
    coco_numbers,
    merged_numbers,
    object_numbers,
)
from llmseg.examples import benchmark_scenes, world_classes
from llmseg.library import library_classes, library_ids

Rows = list[list[int]]


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = (2, 4)) -> Path:
    """Any picture of H, W pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def save_labels(path: Path, numbers: Rows, mode: str = "L") -> Path:
    """A label picture: grey, with a palette that shuffles colours, or in 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(numbers, np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(array)
    if mode == "P":
        image.putpalette([value % 256 for number in range(256) for value in (7 * number, 255 - number, 13 * number)])
    image.save(path)
    return path


def truths(dataset: Dataset) -> dict[str, Rows]:
    return {sample.name: sample.read_truth().tolist() for sample in dataset.samples}


def build_voc(home: Path, numbers: Rows, year: str = "VOC2012", kind: str = "", mode: str = "P") -> None:
    """Two images of which the list names one."""
    for name in ("2007_000033", "2007_000042"):
        save_image(home / "JPEGImages" / f"{name}.jpg")
        save_labels(home / f"SegmentationClass{kind}" / f"{name}.png", numbers, mode)
    listed = home / "ImageSets" / f"Segmentation{kind}" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("2007_000042\n\n", encoding="utf-8")


VOC = [[0, 1, 15, 20], [255, 0, 2, 255]]


@pytest.mark.parametrize("level", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_at_any_level(tmp_path: Path, level: str) -> None:
    build_voc(tmp_path / "VOCdevkit" / "VOC2012", VOC)
    full, bare = (open_dataset(name, tmp_path / level) for name in ("voc21", "voc20"))
    assert truths(full) == {"2007_000042": [[0, 1, 15, 20], [-1, 0, 2, -1]]}
    assert truths(bare) == {"2007_000042": [[-1, 0, 14, 19], [-1, -1, 1, -1]]}
    assert [full.classes.names[label] for label in (0, 1, 15, 20)] == [
        "background",
        "aeroplane",
        "person",
        "tv monitor",
    ]
    assert bare.classes.names == full.classes.names[1:]
    assert (full.classes.background, bare.classes.background) == (0, None)
    assert full.samples[0].read_image().shape == (2, 4, 3)
    assert full.samples[0].read_truth().dtype == np.int64


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_label_files_of_all_modes(tmp_path: Path, mode: str) -> None:
    numbers = [[0, 1, 2, 65535 if mode == "I;16" else 255]]
    build_voc(tmp_path, numbers, mode=mode)
    assert truths(open_dataset("voc21", tmp_path)) == {"2007_000042": [[0, 1, 2, -1]]}


def test_context_is_numbered_by_name(tmp_path: Path) -> None:
    build_voc(tmp_path / "VOC2010", [[0, 1, 2, 3], [58, 59, 38, 255]], kind="Context")
    full, bare = (open_dataset(name, tmp_path) for name in ("context60", "context59"))
    assert truths(full) == {"2007_000042": [[0, 1, 2, 3], [58, 59, 38, -1]]}
    assert truths(bare) == {"2007_000042": [[-1, 0, 1, 2], [57, 58, 37, -1]]}
    named = [full.classes.names[label] for label in (0, 1, 2, 3, 38, 58, 59)]
    assert named == ["background", "aeroplane", "bag", "bed", "plate", "window", "wood"]
    assert bare.classes.names == full.classes.names[1:] == tuple(sorted(full.classes.names[1:]))
    assert set(full.classes.names) == set(library_classes("context60").names)


COCO_OWN = [[0, 10, 12, 89], [91, 181, 255, 90]]  # person, fire hydrant, stop sign, toothbrush; banner, wood; no thing


@pytest.mark.parametrize(
    "truth",
    [
        "annotations/val2017/000000000139.png",
        "stuffthingmaps_trainval2017/val2017/000000000139.png",
        "stuffthingmaps/val2017/000000000139.png",
    ],
)
@pytest.mark.parametrize("images", ["images/val2017", "val2017"])
def test_coco_of_its_own_pictures(tmp_path: Path, images: str, truth: str) -> None:
    save_image(tmp_path / images / "000000000139.jpg")
    save_labels(tmp_path / truth, COCO_OWN)
    things = open_dataset("object81", tmp_path)
    assert truths(things) == {"000000000139": [[1, 11, 12, 80], [0, 0, 0, 0]]}
    assert [things.classes.names[label] for label in (0, 1, 11, 12, 80)] == [
        *("background", "person", "fire hydrant", "stop sign", "toothbrush"),
    ]
    save_labels(tmp_path / truth, [[0, 10, 12, 89], [91, 181, 255, 170]])
    stuff = open_dataset("stuff171", tmp_path)
    assert truths(stuff) == {"000000000139": [[0, 10, 11, 79], [80, 170, -1, 159]]}
    assert [stuff.classes.names[label] for label in (79, 80, 159, 170)] == [
        "toothbrush",
        "banner",
        "brick wall",
        "wood",
    ]
    merged = open_dataset("stuff27_merged", tmp_path)
    assert truths(merged) == {"000000000139": [[9, 8, 8, 4], [17, 24, -1, 18]]}
    named = [merged.classes.names[label] for label in (9, 8, 4, 17, 24, 18)]
    assert named == ["person", "outdoor", "indoor", "textile", "solid", "wall"]


def test_coco_as_others_converted_it(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "val2017" / "a.jpg")
    save_labels(tmp_path / "annotations" / "val2017" / "a_labelTrainIds.png", [[0, 79, 80, 170, 255]])
    assert truths(open_dataset("stuff171", tmp_path)) == {"a": [[0, 79, 80, 170, -1]]}
    assert truths(open_dataset("object81", tmp_path, split="val")) == {"a": [[1, 80, 0, 0, 0]]}
    assert truths(open_dataset("stuff27_merged", tmp_path, split="val2017")) == {"a": [[9, 4, 17, 24, -1]]}
    save_labels(tmp_path / "annotations" / "val2017" / "a.png", COCO_OWN)
    assert truths(open_dataset("stuff171", tmp_path)) == {"a": [[0, 79, 80, 170, -1]]}, "converted files come first"
    save_labels(tmp_path / "annotations" / "val2017" / "a_instanceTrainIds.png", [[0, 1, 80, 255]])
    assert truths(open_dataset("object81", tmp_path)) == {"a": [[0, 1, 80, 0]]}


@pytest.mark.parametrize("level", ["", "ADEChallengeData2016"])
def test_ade(tmp_path: Path, level: str) -> None:
    home = tmp_path / "ADEChallengeData2016"
    for number in (2, 1):
        save_image(home / "images" / "validation" / f"ADE_val_0000000{number}.jpg")
        save_labels(home / "annotations" / "validation" / f"ADE_val_0000000{number}.png", [[0, 1, 150, number]])
    save_image(home / "images" / "training" / "ADE_train_00000001.jpg")
    save_labels(home / "annotations" / "training" / "ADE_train_00000001.png", [[13]])
    dataset = open_dataset("ade150", tmp_path / level)
    assert truths(dataset) == {"ADE_val_00000001": [[-1, 0, 149, 0]], "ADE_val_00000002": [[-1, 0, 149, 1]]}
    assert list(truths(dataset)) == ["ADE_val_00000001", "ADE_val_00000002"], "in the order of their names"
    assert [dataset.classes.names[label] for label in (0, 1, 149)] == ["wall", "building", "flag"]
    assert truths(open_dataset("ade150", tmp_path / level, split="train")) == {"ADE_train_00000001": [[12]]}


def test_cityscapes_takes_what_each_image_has(tmp_path: Path) -> None:
    cities = {"frankfurt": "frankfurt_000000_000294", "lindau": "lindau_000000_000019"}
    for city, name in cities.items():
        save_image(tmp_path / "leftImg8bit" / "val" / city / f"{name}_leftImg8bit.png")
        own = tmp_path / "gtFine" / "val" / city / f"{name}_gtFine_labelIds.png"
        save_labels(own, [[7, 8, 33, 32], [0, 4, 29, 24]])
    train = tmp_path / "gtFine" / "val" / "lindau" / "lindau_000000_000019_gtFine_labelTrainIds.png"
    save_labels(train, [[18, 0, 255, 11]])
    dataset = open_dataset("cityscapes19", tmp_path)
    assert truths(dataset) == {
        "frankfurt/frankfurt_000000_000294": [[0, 1, 18, 17], [-1, -1, -1, 11]],
        "lindau/lindau_000000_000019": [[18, 0, -1, 11]],
    }
    assert [dataset.classes.names[label] for label in (0, 1, 11, 17, 18)] == [
        *("road", "sidewalk", "person", "motorcycle", "bicycle"),
    ]


def test_a_list_of_the_data_sets_own_order(tmp_path: Path) -> None:
    build_voc(tmp_path, VOC)
    (tmp_path / "ImageSets" / "Segmentation" / "mine.txt").write_text("2007_000042 \n2007_000033\n", encoding="utf-8")
    assert list(truths(open_dataset("voc21", tmp_path, split="mine"))) == ["2007_000042", "2007_000033"]


# -- numbers ---------------------------------------------------------------------------------------------------------


def test_coco_numbers_are_one_to_one() -> None:
    numbers = coco_numbers()
    assert sorted(numbers.values()) == list(range(171))
    assert set(numbers) | COCO_UNUSED == set(range(182))
    assert not set(numbers) & COCO_UNUSED
    # The ids of COCO's own JSON are one higher: the last thing is 90 there, the first material 92, the last 182.
    assert (numbers[89], numbers[91], numbers[181]) == (79, 80, 170)
    assert {number: label for number, label in numbers.items() if number < 11} == {n: n for n in range(11)}


def test_cityscapes_numbers_are_one_to_one() -> None:
    labels = cityscapes_numbers().labels
    assert {labels[number]: number for number in CITYSCAPES_LABELS} == dict(enumerate(CITYSCAPES_LABELS))
    assert sorted(label for label in labels.values() if label >= 0) == list(range(19))
    assert set(labels) == set(range(34))


def test_things_of_coco_object_are_those_of_coco_stuff() -> None:
    table = object_numbers(coco_numbers())
    stuff, things = library_classes("cocostuff171").names, library_classes("coco81").names
    for number, label in coco_numbers().items():
        assert table.labels[number] == (things.index(stuff[label]) if label < 80 else 0)
    assert {table.labels[number] for number in COCO_UNUSED} == {0}
    assert table.unknown == 0


def test_every_class_of_coco_stuff_has_one_supercategory() -> None:
    members = [member for listed in SUPERCATEGORIES.values() for member in listed.split(", ")]
    assert len(SUPERCATEGORIES) == 27
    assert sorted(members) == sorted(library_ids("cocostuff171"))
    table = merged_numbers({label: label for label in range(171)})
    for label, own in enumerate(library_ids("cocostuff171")):
        assert own in list(SUPERCATEGORIES.values())[table.labels[label]].split(", ")
    roles = [entry.role for entry in PUBLIC["stuff27_merged"].classes().classes]
    assert roles == ["thing"] * 12 + ["stuff"] * 15


SIZES = {
    **{"voc21": 21, "voc20": 20, "context60": 60, "context59": 59, "object81": 81, "stuff171": 171},
    **{"stuff27_merged": 27, "ade150": 150, "cityscapes19": 19},
}


@pytest.mark.parametrize("name", PUBLIC)
def test_labels_and_classes_agree(name: str) -> None:
    classes = PUBLIC[name].classes()
    assert len(classes.classes) == len(set(classes.names)) == SIZES[name]
    for truth in PUBLIC[name].layout().truths:
        found = {truth.table.unknown, *truth.table.labels.values()} - {-1}
        assert found == set(range(SIZES[name])), "every label is some number's"


def test_another_table_is_another_identity() -> None:
    tables = [NumberTable({0: 0, 1: 1}), NumberTable({0: 1, 1: 0}), NumberTable({0: 0, 1: 1}, unknown=0)]
    assert len({table.identity for table in tables}) == 3
    assert NumberTable({1: 1, 0: 0}).identity == tables[0].identity


# -- a folder of one's own -------------------------------------------------------------------------------------------


def build_folder(root: Path, classes: str = "cat\ndog\ntree\n", name: str = "classes.txt") -> Path:
    save_image(root / "images" / "a.png", 1)
    save_image(root / "images" / "deep" / "b.JPG", 2)
    save_labels(root / "labels" / "a.png", [[0, 1, 2, 255]], "P")
    save_labels(root / "labels" / "deep" / "b_labels.png", [[2, 2, 65535, 1]], "I;16")
    (root / name).write_text(classes, encoding="utf-8")
    return root


SAVED = {"classes": [{"label": number, "name": name} for number, name in enumerate(("cat", "dog", "tree"))]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "cat, dog, tree"),
        ("classes.json", json.dumps(SAVED)),
        ("own.txt", "\ufeff0: cat\r\n1: dog\r\n2: tree\r\n"),
    ],
)
def test_folder(tmp_path: Path, name: str, text: str) -> None:
    build_folder(tmp_path, text, name)
    dataset = open_dataset("folder", tmp_path, classes=tmp_path / name if name == "own.txt" else None)
    assert dataset.classes.names == ("cat", "dog", "tree")
    assert truths(dataset) == {"a": [[0, 1, 2, -1]], "deep/b": [[2, 2, -1, 1]]}
    assert dataset.samples[1].read_image().shape == (2, 4, 3)


def test_folder_with_numbers_of_its_own(tmp_path: Path) -> None:
    build_folder(tmp_path, "2: background\n1: dog\n0: cat")
    dataset = open_dataset("folder", tmp_path)
    assert dataset.classes.names == ("background", "dog", "cat")
    assert dataset.classes.background == 0
    assert truths(dataset)["a"] == [[2, 1, 0, -1]]


def test_class_names_with_more_to_them(tmp_path: Path) -> None:
    build_folder(tmp_path, "0: sofa | couch\n1: mouse (computer device)\n2: tree")
    sofa, mouse, _ = open_dataset("folder", tmp_path).classes.classes
    assert (sofa.name, sofa.aliases) == ("sofa", ("couch",))
    assert (mouse.name, mouse.sense) == ("mouse", "computer device")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0: cat, dog\n1: tree\n2: cow", "classes: 'cat, dog' names 2 classes; expected one a number."),
        ("0: cat | cow\n1: tree\n2: lynx | Tree", "names: 'Tree' stands twice; expected every class and alias once. "
         "Remove one of them."),
    ],
)  # fmt: skip
def test_class_names_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    build_folder(tmp_path, text)
    refuse(message, "folder", tmp_path)


def test_labels_beside_the_images(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    save_labels(tmp_path / "a.png", [[0]])
    save_image(tmp_path / "b.png")
    save_labels(tmp_path / "b_labels.png", [[1]])
    (tmp_path / "classes.txt").write_text("cat, dog", encoding="utf-8")
    dataset = open_dataset("folder", tmp_path, labels=tmp_path)
    assert truths(dataset) == {"a": [[0]], "b": [[1]]}


def test_labels_in_a_folder_below_the_images(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    save_labels(tmp_path / "labels" / "a.png", [[0]])
    (tmp_path / "classes.txt").write_text("cat", encoding="utf-8")
    assert truths(open_dataset("folder", tmp_path, labels=tmp_path / "labels")) == {"a": [[0]]}


def test_images_without_labels_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build_folder(tmp_path)
    save_image(tmp_path / "images" / "c.png")
    with caplog.at_level(logging.WARNING, "llmseg"):
        assert len(open_dataset("folder", tmp_path).samples) == 2
    assert caplog.messages == ["1 of 3 images have no labels and are left out, the first is 'c'."]


# -- identity --------------------------------------------------------------------------------------------------------


def test_identity_is_of_the_content(tmp_path: Path) -> None:
    build_voc(tmp_path / "one", VOC)
    build_voc(tmp_path / "two", VOC)

    def identity(folder: str, name: str = "voc21") -> str:
        return open_dataset(name, tmp_path / folder).samples[0].identity()

    first = identity("one")
    assert identity("two") == first
    assert identity("one", "voc20") != first, "the same files mean other labels"
    save_labels(tmp_path / "two" / "SegmentationClass" / "2007_000042.png", VOC[::-1], "P")
    second = identity("two")
    assert second != first
    save_image(tmp_path / "two" / "JPEGImages" / "2007_000042.jpg", 5)
    assert identity("two") not in (first, second)


# -- packaged scenes -------------------------------------------------------------------------------------------------


def test_embedded_scenes() -> None:
    from tools.world.vocabulary import BACKGROUNDS, SUPERCLASSES

    dataset = open_dataset("embedded")
    assert dataset.classes.names == (*SUPERCLASSES, *BACKGROUNDS)
    assert [entry.role for entry in dataset.classes.classes] == ["thing"] * 42 + ["stuff"] * 10
    assert len(dataset.samples) == len({sample.identity() for sample in dataset.samples}) == 50
    coarse = world_classes().coarse
    for sample, (image, fine) in list(zip(dataset.samples, benchmark_scenes(), strict=True))[::7]:
        assert np.array_equal(sample.read_image(), image)
        truth = sample.read_truth()
        for y, x in ((0, 0), (3, 5), (image.shape[0] - 1, image.shape[1] - 1)):
            assert dataset.classes.names[truth[y, x]] == coarse[fine[y, x]]
        assert truth.dtype == np.int64
    dataset.samples[0].read_image()[:] = 0
    assert np.array_equal(dataset.samples[0].read_image(), benchmark_scenes()[0][0]), "every caller has its own"


# -- what is wrong ---------------------------------------------------------------------------------------------------


def refuse(message: str, name: str, root: Path | None, **more: object) -> None:
    with pytest.raises(InputError) as caught:
        open_dataset(name, root, **more)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_wrong_roots(tmp_path: Path) -> None:
    where = repr(str(tmp_path))
    listed = "ImageSets/Segmentation/val.txt"
    refuse(
        f"root: {where} holds none of {listed}, VOC2012/{listed}, VOCdevkit/VOC2012/{listed}; "
        "expected the data set's folder.",
        "voc21",
        tmp_path,
    )
    refuse(
        f"root: {where} holds none of images/val2017, val2017, coco_stuff164k/images/val2017, coco_stuff164k/val2017, "
        "coco/images/val2017, coco/val2017, dataset/images/val2017, dataset/val2017; expected the data set's folder.",
        "stuff171",
        tmp_path,
    )
    refuse(
        f"root: {where} holds none of leftImg8bit/test, cityscapes/leftImg8bit/test; expected the data set's folder.",
        "cityscapes19",
        tmp_path,
        split="test",
    )
    missing = tmp_path / "missing"
    refuse(f"root: no folder {str(missing)!r}; expected the one that holds the data set.", "ade150", missing)
    refuse("root: none; expected the folder that holds 'ade150'.", "ade150", None)
    refuse("root: none; expected a folder of images.", "folder", None)


def test_missing_files_of_a_public_data_set(tmp_path: Path) -> None:
    build_voc(tmp_path, VOC)
    listed = tmp_path / "ImageSets" / "Segmentation" / "val.txt"
    (tmp_path / "SegmentationClass" / "2007_000042.png").unlink()
    refuse(
        "root: 1 of 1 images have no label file, the first is '2007_000042'; expected SegmentationClass/*.png.",
        "voc21",
        tmp_path,
    )
    listed.write_text("2007_000033\n2007_000042\n", encoding="utf-8")
    save_labels(tmp_path / "SegmentationClass" / "2007_000042.png", VOC)
    (tmp_path / "JPEGImages" / "2007_000033.jpg").unlink()
    refuse(
        "root: 1 of 2 images have no file, the first is '2007_000033'; expected JPEGImages/*.jpg.", "voc21", tmp_path
    )


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "C:secret", "..\\secret", "a/../../b", "{split}"])
def test_lists_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    build_voc(tmp_path, VOC)
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text(f"2007_000033\n{name}\n", encoding="utf-8")
    refuse(f"val.txt: {name!r}; expected a name below the data set's folder.", "voc21", tmp_path)
    refuse(f"split: {name!r}; expected a name below the data set's folder.", "voc21", tmp_path, split=name)


def test_wrong_lists(tmp_path: Path) -> None:
    build_voc(tmp_path, VOC)
    listed = tmp_path / "ImageSets" / "Segmentation" / "val.txt"
    listed.write_text("a\nb\na\n", encoding="utf-8")
    refuse("val.txt: 'a' stands twice; expected every image once.", "voc21", tmp_path)
    listed.write_text("\n", encoding="utf-8")
    refuse(f"root: {str(listed)!r} is empty; expected a name a line.", "voc21", tmp_path)
    listed.write_bytes(b"\xff\xfe")
    refuse(f"root: {str(listed)!r} is not UTF-8 text; expected a text file.", "voc21", tmp_path)


@pytest.mark.parametrize(
    ("name", "number", "known"),
    [
        ("voc21", 21, "one of the 21 from 0 to 20"),
        ("voc20", 21, "one of the 21 from 0 to 20"),
        ("folder", 3, "one of the 3 from 0 to 2"),
    ],
)
def test_strange_numbers_are_told(tmp_path: Path, name: str, number: int, known: str) -> None:
    if name == "folder":
        build_folder(tmp_path)
        save_labels(tmp_path / "labels" / "a.png", [[0, number]])
    else:
        build_voc(tmp_path, [[0, number]])
    sample = open_dataset(name, tmp_path).samples[0]
    with pytest.raises(InputError) as caught:
        sample.read_truth()
    file = "a.png" if name == "folder" else "2007_000042.png"
    assert str(caught.value) == f"{file}: number {number} stands for no class; expected {known}, or 255."


def test_unused_things_of_coco_are_no_class(tmp_path: Path) -> None:
    save_image(tmp_path / "val2017" / "a.jpg")
    save_labels(tmp_path / "stuffthingmaps" / "val2017" / "a.png", [[11]])  # street sign, which nobody outlined
    with pytest.raises(
        InputError, match=r"^a\.png: number 11 stands for no class; expected one of the 171 from 0 to 181"
    ):
        open_dataset("stuff171", tmp_path).samples[0].read_truth()


def test_damaged_files(tmp_path: Path) -> None:
    build_voc(tmp_path, VOC)
    sample = open_dataset("voc21", tmp_path).samples[0]
    truth, image = (tmp_path / "SegmentationClass" / "2007_000042.png", tmp_path / "JPEGImages" / "2007_000042.jpg")
    truth.write_bytes(truth.read_bytes()[:40])
    with pytest.raises(InputError, match=r"^labels: cannot read .*2007_000042\.png.*; expected a label PNG\.$"):
        sample.read_truth()
    image.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^image: cannot read .*2007_000042\.jpg"):
        sample.read_image()
    image.unlink()
    with pytest.raises(InputError, match=r"^image: cannot read .*2007_000042\.jpg.*; expected a file\.$"):
        sample.identity()
    save_image(truth)
    with pytest.raises(InputError, match=r"holds colours \(RGB\)"):
        sample.read_truth()


Break = Callable[[Path], Mapping[str, object]]


def no_classes(root: Path) -> Mapping[str, object]:
    (root / "classes.txt").unlink()
    return {}


def two_images(root: Path) -> Mapping[str, object]:
    save_image(root / "images" / "a.jpg")
    return {}


def other_labels(root: Path) -> Mapping[str, object]:
    (root / "empty").mkdir()
    save_image(root / "pictures" / "a.png")
    return {"root": root / "pictures", "labels": root / "empty", "classes": root / "classes.txt"}


def no_labels(root: Path) -> Mapping[str, object]:
    return {"labels": root / "missing"}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (no_classes, "classes: nothing says what the numbers mean; expected classes.txt or classes.json in {root}, "
         "or another file."),
        (two_images, "root: 'a.jpg' and 'a.png' share the labels of 'a'; expected one image a name."),
        (other_labels, "labels: none of 1 images in {root/pictures} has labels in {root/empty}; expected NAME.png or "
         "NAME_labels.png."),
        (no_labels, "labels: no folder {root/missing}; expected one."),
    ],
)  # fmt: skip
def test_wrong_folders(tmp_path: Path, broken: Break, message: str) -> None:
    build_folder(tmp_path)
    more = dict(broken(tmp_path))
    for place in ("root/pictures", "root/empty", "root/missing", "root"):
        path = tmp_path / place.removeprefix("root").removeprefix("/")
        message = message.replace(f"{{{place}}}", repr(str(path)))
    refuse(message, "folder", more.pop("root", tmp_path), **more)  # type: ignore[arg-type]


def test_unknown_data_set() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^dataset: unknown name 'voc2'; expected one of embedded, folder, voc21,"
    ):
        open_dataset("voc2")
    assert set(SIZES) | {"embedded", "folder"} == set(DATASETS)
