"""Corners of the packaged scenes as a data set in a folder, small enough to be measured in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from llmseg.evaluation.datasets import open_dataset

SIDE = 64
QUICK = ("scales=one", "refiner=none")  # settings that take a fraction of the time


def write_scenes(folder: Path, count: int, first: int = 0) -> Path:
    """`folder` with images, label pictures and a file of class names."""
    dataset = open_dataset("embedded")
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for sample in dataset.samples[first : first + count]:
        Image.fromarray(sample.read_image()[:SIDE, :SIDE]).save(folder / "images" / f"{sample.name}.png")
        labels = sample.read_truth()[:SIDE, :SIDE]
        labels[:3, :5] = 255  # not counted
        Image.fromarray(labels.astype(np.uint8)).save(folder / "labels" / f"{sample.name}.png")
    (folder / "classes.txt").write_text("\n".join(dataset.classes.names) + "\n", encoding="utf-8")
    return folder
