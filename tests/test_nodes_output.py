"""Nodes from a label map to masks, pictures and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import import_nodes
from PIL import Image

from llmseg import InputError, LabelMap

OUTPUT: Any = import_nodes("output")


@pytest.fixture
def labels() -> LabelMap:
    """Two images of 2 x 3; the second has no dog and one unknown pixel."""
    values = torch.tensor([[[0, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, -1]]])
    return LabelMap(
        labels=values,
        names=("dog", "sky"),
        palette=((255, 0, 0), (0, 0, 255)),
        confidence=torch.ones(2, 2, 3),
        winning_phrase=torch.tensor([[[0, 1, 2], [0, 2, 2]], [[2, 2, 2], [2, 2, -1]]]),
        phrases=("poodle", "shiba", "sky"),
    )


def test_select_mask_is_zero_where_the_class_is_absent(labels: LabelMap) -> None:
    (mask,) = OUTPUT.LLMSegSelectMask().execute(labels, " Dog ")
    assert mask.tolist() == [[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    assert mask.dtype == torch.float32


def test_select_mask_names_the_classes(labels: LabelMap) -> None:
    with pytest.raises(InputError) as error:
        OUTPUT.LLMSegSelectMask().execute(labels, "dgo")
    assert str(error.value) == ("class_name: unknown name 'dgo'; expected one of dog, sky. Did you mean 'dog'?")


def test_class_masks_are_one_batch_per_class(labels: LabelMap) -> None:
    masks, names = OUTPUT.LLMSegClassMasks().execute(labels)
    assert names == ["dog", "sky"]
    assert [mask.shape for mask in masks] == [(2, 2, 3)] * 2
    assert (masks[0] + masks[1]).sum() == 11  # every pixel but the unknown one, once


def test_save_labels_numbers_its_files(labels: LabelMap, host: Any, tmp_path: Path) -> None:
    for start in (1, 3):
        shown = OUTPUT.LLMSegSaveLabels().execute(labels, "sub/x", start == 1)["ui"]["files"]
        names = [entry["filename"] for entry in shown]
        masks = [f"_mask_{name}.png" for name in ("dog", "sky")] if start == 1 else []
        assert names == [
            f"x_{start + image:05}{end}" for image in range(2) for end in ("_labels.png", "_classes.json", *masks)
        ]
        assert all((tmp_path / "output" / "sub" / name).is_file() for name in names)
    folder = tmp_path / "output" / "sub"
    assert np.asarray(Image.open(folder / "x_00002_labels.png")).tolist() == [[1, 1, 1], [1, 1, 255]]
    assert json.loads((folder / "x_00001_classes.json").read_text(encoding="utf-8"))["classes"][0]["pixels"] == 3


def test_segment_does_everything_and_takes_own_subclasses() -> None:
    image, _ = import_nodes("encoding").LLMSegExampleImage().execute("park")
    names = "dog, ball, grass, sky"
    run = OUTPUT.LLMSegSegment().execute
    full, overlay, table = run(image, names, "embedded", "auto", "auto", 0.0, 0.0)
    alone, _, _ = run(image, names, "embedded", "off", "auto", 0.0, 0.0)
    own, _, _ = run(image, names, "embedded", "off", "auto", 0.0, 0.0, "dog: poodle")
    assert full.labels.shape == (1, 192, 256)
    assert overlay.shape[0] == 1
    assert "grass" in table
    dog = [result.area()["dog"] for result in (full, alone, own)]
    assert dog[0] > 0.02 > dog[1]  # the poodle is no dog to this model until it is told
    assert dog[2] > 0.02


def test_segment_reads_own_subclasses_as_expand_does() -> None:
    image, _ = import_nodes("encoding").LLMSegExampleImage().execute("park")
    with pytest.raises(InputError) as error:
        OUTPUT.LLMSegSegment().execute(image, "dog, sky", "embedded", "off", "auto", 0.0, 0.0, "poodle, beagle")
    assert str(error.value) == (
        "subclasses: no class is called 'poodle'; expected lines 'class: subclass, subclass', "
        "or one list for each of the 2 classes."
    )


def test_size_tokens_of_a_prefix_are_filled(labels: LabelMap, host: Any, tmp_path: Path) -> None:
    OUTPUT.LLMSegSaveLabels().execute(labels, "%width%x%height%/x", False)
    assert (tmp_path / "output" / "3x2" / "x_00001_labels.png").is_file()
