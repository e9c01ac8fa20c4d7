"""Nodes that read labels and measure a label map; what Save Labels writes comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import import_nodes
from PIL import Image

from llmseg.errors import InputError
from llmseg.evaluation.comparison import compare_labels, find_mistakes
from llmseg.examples import load_truth
from llmseg.label_files import label_map
from llmseg.options import MEASURES

MEASURING: Any = import_nodes("measuring")
OUTPUT: Any = import_nodes("output")


def test_saved_labels_are_loaded_again(host: Any) -> None:
    truth = load_truth("park")
    shown = OUTPUT.LLMSegSaveLabels().execute(truth, "sub/x", False, coco=True, areas=True)["ui"]["files"]
    names = [entry["filename"] for entry in shown]
    assert names == [f"x_00001_{end}" for end in ("labels.png", "classes.json", "coco.json", "areas.csv")]
    for name in (names[0], names[2]):
        (read,) = MEASURING.LLMSegLoadLabels().execute(f"sub/{name} [output]", "")
        assert torch.equal(read.labels, truth.labels), name
        assert read.names == truth.names


def test_the_table_of_areas_is_of_one_image(host: Any, tmp_path: Path) -> None:
    both = label_map(np.array([[0, 0, 1]]), ("dog", "sky"))
    both = type(both)(
        both.labels.repeat(2, 1, 1), both.names, both.palette, both.confidence.repeat(2, 1, 1), both.labels
    )
    OUTPUT.LLMSegSaveLabels().execute(both, "x", False, areas=True)
    for number in (1, 2):
        lines = (tmp_path / "output" / f"x_0000{number}_areas.csv").read_text(encoding="utf-8").splitlines()
        assert lines == [
            "image,class,share,confidence,regions",
            "1,dog,0.666667,1.0,1",
            "1,sky,0.333333,1.0,1",
        ]


def test_loading_notices_changes_and_refuses_what_is_not_there(host: Any, tmp_path: Path) -> None:
    node = MEASURING.LLMSegLoadLabels
    file, classes = tmp_path / "input" / "x_labels.png", tmp_path / "input" / "x_classes.json"
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(file)
    stamps = [node.IS_CHANGED("x_labels.png", "dog, cat")]
    classes.write_text(json.dumps({"classes": [{"label": 0, "name": "dog"}]}), encoding="utf-8")
    stamps.append(node.IS_CHANGED("x_labels.png"))
    Image.fromarray(np.array([[0, 0]], np.uint8)).save(file)
    stamps.append(node.IS_CHANGED("x_labels.png"))
    assert len(set(stamps)) == 3
    assert node.VALIDATE_INPUTS("x_labels.png") is True
    assert node.VALIDATE_INPUTS(None) is True
    assert node.VALIDATE_INPUTS("y.png") == "no file 'y.png'; expected it in the input folder."
    assert node.VALIDATE_INPUTS("../y.png") == "path '../y.png' leaves the input folder; expected a file inside it."


@pytest.mark.parametrize("layout", MEASURES.names)
def test_evaluate_gives_the_librarys_measures(layout: str) -> None:
    truth = load_truth("table")
    found = label_map(truth.labels[0].numpy() // 2, ("fruit", "dessert", "wood"))
    table, miou, mistakes = MEASURING.LLMSegEvaluate().execute(found, truth, layout)
    comparison = compare_labels(found, truth)
    assert miou == comparison.miou
    assert "dessert" in table
    assert torch.equal(mistakes.labels, find_mistakes(found, truth).labels)


def test_evaluate_refuses_what_is_no_label_map() -> None:
    with pytest.raises(InputError, match=r"^truth: Tensor; expected LabelMap\.$"):
        MEASURING.LLMSegEvaluate().execute(load_truth("park"), torch.zeros(1), "text")
