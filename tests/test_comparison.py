"""A label map against the truth: by name, by hand, and against counting."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
import torch

from llmseg.errors import InputError, UnknownNameError
from llmseg.evaluation.comparison import MEASURE_TABLES, compare_labels, find_mistakes, format_comparison
from llmseg.label_files import label_map
from llmseg.types import LabelMap

TRUTH = np.array([[0, 0, 0, 1], [0, 0, -1, 1]])
FOUND = np.array([[2, 2, 1, 0], [2, -1, 0, 3]])  # in the numbers of its own list


def truth() -> LabelMap:
    return label_map(TRUTH, ("Dog", "cat", "tree"))


def found() -> LabelMap:
    return label_map(FOUND, ("cat", "tree", "dog", "chair"))


def test_by_hand() -> None:
    """Seven pixels count: three dogs found, one taken for a tree, one unknown; one cat found, one a chair."""
    comparison = compare_labels(found(), truth())
    dog, cat, tree = comparison.classes
    assert [each.name for each in comparison.classes] == ["Dog", "cat", "tree"]
    assert (dog.share, dog.iou, dog.precision, dog.recall) == pytest.approx((5 / 7, 3 / 5, 1, 3 / 5))
    assert (cat.share, cat.iou, cat.precision, cat.recall) == pytest.approx((2 / 7, 1 / 2, 1, 1 / 2))
    assert (tree.share, tree.iou, tree.precision) == (0, 0, 0)
    assert math.isnan(tree.recall)
    assert comparison.miou == pytest.approx((3 / 5 + 1 / 2) / 2), "trees are nowhere true"
    assert comparison.accuracy == pytest.approx(4 / 7)
    assert comparison.pixels == 7
    assert comparison.strangers == (("chair", 1 / 7),)


def test_mistakes_show_what_it_should_have_been() -> None:
    mistakes = find_mistakes(found(), truth())
    assert mistakes.labels.tolist() == [[[-1, -1, 0, -1], [-1, 0, -1, 1]]]
    assert mistakes.names == ("Dog", "cat", "tree")
    assert mistakes.confidence.tolist() == [[[0, 0, 1, 0], [0, 1, 0, 1]]]


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_torchmetrics(seed: int) -> None:
    metrics = pytest.importorskip("torchmetrics.classification")
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (2, 3, 9, 12), generator=generator)
    names = ("a", "b", "c", "d")
    maps = [LabelMap(each, names, ((0, 0, 0),) * 4, each.float(), torch.full_like(each, -1)) for each in labels]
    comparison = compare_labels(*maps)
    iou = metrics.MulticlassJaccardIndex(4, average="none")(labels[0], labels[1])
    recall = metrics.MulticlassRecall(4, average="none")(labels[0].flatten(), labels[1].flatten())
    precision = metrics.MulticlassPrecision(4, average="none")(labels[0].flatten(), labels[1].flatten())
    accuracy = metrics.MulticlassAccuracy(4, average="micro")(labels[0].flatten(), labels[1].flatten())
    assert [each.iou for each in comparison.classes] == pytest.approx(iou.tolist(), abs=1e-6)
    assert [each.recall for each in comparison.classes] == pytest.approx(recall.tolist(), abs=1e-6)
    assert [each.precision for each in comparison.classes] == pytest.approx(precision.tolist(), abs=1e-6)
    assert comparison.miou == pytest.approx(float(iou.mean()), abs=1e-6)
    assert comparison.accuracy == pytest.approx(float(accuracy), abs=1e-6)


def test_the_truth_itself_is_perfect() -> None:
    comparison = compare_labels(truth(), truth())
    assert (comparison.miou, comparison.boundary_miou, comparison.accuracy, comparison.strangers) == (1, 1, 1, ())
    assert (find_mistakes(truth(), truth()).labels == -1).all()


def test_what_cannot_be_compared() -> None:
    with pytest.raises(InputError) as caught:
        compare_labels(label_map(TRUTH[:, :3], ("dog", "cat")), truth())
    text = "label_map: 1 x 2 x 3 (images x height x width); expected 1 x 2 x 4 as in truth."
    assert str(caught.value) == text
    with pytest.raises(InputError, match=r"^truth: no pixel of a known class; expected some\.$"):
        compare_labels(found(), label_map(np.full((2, 4), -1), ("dog",)))


def test_text() -> None:
    lines = format_comparison(compare_labels(found(), truth())).splitlines()
    assert lines[0] == " 55.00%  mean IoU"
    assert lines[2] == " 57.14%  pixels right"
    assert lines[5].split() == ["71.43%", "60.00%", "60.00%", "100.00%", "60.00%", "Dog"]
    assert lines[-2:] == ["found, but nowhere true: tree", "found, but no class of the truth: chair (14.29%)"]


def test_csv_and_json_hold_every_class() -> None:
    comparison = compare_labels(found(), truth())
    rows = list(csv.DictReader(io.StringIO(format_comparison(comparison, "csv"))))
    assert [row["class"] for row in rows] == ["Dog", "cat", "tree", "mean"]
    assert float(rows[0]["iou"]) == pytest.approx(0.6)
    assert rows[2]["recall"] == ""
    document = json.loads(format_comparison(comparison, "json"))
    assert document["miou"] == pytest.approx(0.55)
    assert document["classes"][2]["recall"] is None
    assert document["strangers"] == {"chair": pytest.approx(1 / 7)}


def test_markdown_is_one_table() -> None:
    named = label_map(TRUTH, ("a|b", "cat", "tree"))
    lines = format_comparison(compare_labels(found(), named), "markdown").splitlines()
    assert len(lines) == 2 + 3 + 1
    assert {line.replace("\\|", "").count("|") for line in lines} == {7}


def test_unknown_layout() -> None:
    with pytest.raises(UnknownNameError):
        format_comparison(compare_labels(truth(), truth()), "html")
    assert set(MEASURE_TABLES) == {"text", "csv", "json", "markdown"}
