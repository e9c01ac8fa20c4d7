"""Shared by the benchmarks on the embedded world: expansions, and mIoU of one setting.

Not here: any benchmark. Run `conditions.py` or `calibration.py`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmseg.assembly import assemble_classes
from llmseg.evaluation import confusion_matrix, mean_iou
from llmseg.examples import world_classes
from llmseg.labels import label_pixels
from llmseg.library import load_library
from llmseg.scores import score_image
from llmseg.types import ClassExpansion, Expansion, PatchFeatures, TextBank


def full_expansion() -> Expansion:
    """All 34 groups with all their drawings, and the 10 backgrounds."""
    return load_library("emoji")


def half_expansion(seed: int) -> Expansion:
    """The same with a random half of every list, at least one kept."""
    chooser = random.Random(seed)
    classes = []
    for entry in full_expansion().classes:
        kept = chooser.sample(entry.subclasses, max(1, len(entry.subclasses) // 2)) if entry.subclasses else ()
        classes.append(ClassExpansion(entry.class_name, tuple(kept)))
    return Expansion(tuple(classes), {"source": f"half, seed {seed}"})


def to_batch(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """uint8 [H,W,3] each -> 0..1 [B,3,H,W]"""
    return torch.tensor(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def coarse_labels(labels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Fine-grained label maps -> the position of their class in `full_expansion`. int64 [B,H,W]"""
    names = full_expansion().class_list.names
    table = torch.tensor([names.index(name) for name in world_classes().coarse])
    return table[torch.tensor(np.stack(labels)).long()]


def measure(
    features: PatchFeatures,
    bank: TextBank,
    truth: Tensor,
    mode: str,
    temperature: float = -1,
    name_weight: float = -1,
) -> float:
    """mIoU in percent over all images at once."""
    maps = assemble_classes(score_image(features, bank), mode, temperature=temperature, name_weight=name_weight)
    predicted = label_pixels(maps).labels
    return 100 * mean_iou(confusion_matrix(predicted, truth, len(bank.classes.names)))


def surprise(
    features: PatchFeatures, bank: TextBank, truth: Tensor, mode: str, temperature: float, scale: float
) -> float:
    """Mean negative log-likelihood of the true class: what the logit scale is chosen by."""
    maps = assemble_classes(score_image(features, bank), mode, temperature=temperature)
    size = truth.shape[1:]
    scaled = torch.nn.functional.interpolate(maps.maps * scale, size=tuple(size), mode="bilinear", align_corners=False)
    return float(torch.nn.functional.cross_entropy(scaled, truth))
