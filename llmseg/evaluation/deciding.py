"""Scores -> labels, by the engine's own steps and by the rules of published evaluations.

Not here: the steps (`pipeline`), which rules go with which figure (`protocols`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..backbone import Backbone
from ..class_maps import ClassMaps
from ..errors import InputError
from ..labels import label_pixels
from ..painting import present_classes
from ..pipeline import SegmentOptions, assemble_scores, sharpen_maps
from ..scores import ScoreMaps
from ..types import UNKNOWN, LabelMap
from .protocols import LabelRules

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["decide_labels"]

NO_RULES = LabelRules()


def decide_labels(
    scores: ScoreMaps,
    images: Tensor,
    options: SegmentOptions,
    rules: LabelRules = NO_RULES,
    *,
    backbone: Backbone | None = None,
) -> LabelMap:
    """Refine, merge phrases and decide, as `pipeline.segment` does, under the rules of an evaluation.

    Args:
        scores: B images against K phrases.
        images: RGB in 0..1. [B,3,H,W]
        options: the knobs from assembly on; those before are in the scores.
        rules: what is done beside.
        backbone: for refiner "lposs".

    Returns:
        Labels at the original size. [B,H,W]

    Raises:
        InputError: an option or a rule is wrong, or does not go with these scores.
    """
    _check(rules)
    if rules.logit_scale is not None:
        scores = replace(scores, defaults=replace(scores.defaults, logit_scale=rules.logit_scale))
    maps = assemble_scores(scores, images, options, backbone=backbone)
    if rules.gate_top:
        maps = _allow(maps, _gate(scores, rules.gate_top))
    maps = sharpen_maps(maps, images, options)
    if rules.least_share > 0:
        maps = _allow(maps, _find_large(maps, rules))
    result = label_pixels(maps, threshold=options.threshold, min_area=options.min_area)
    if rules.unknown_is_background:
        result = replace(result, labels=result.labels.clamp(min=0))
    return result


def _check(rules: LabelRules) -> None:
    scale = rules.logit_scale
    if scale is not None and not 0 < scale < float("inf"):
        raise InputError(f"{scale!r}; expected a number above 0, or none.", place="logit_scale")
    if not 0 <= rules.least_share <= 1:
        raise InputError(f"{rules.least_share!r}; expected a number from 0 to 1.", place="least_share")
    if rules.gate_top < 0:
        raise InputError(f"{rules.gate_top!r}; expected 0 or more.", place="gate_top")


def _allow(maps: ClassMaps, allowed: Tensor) -> ClassMaps:
    """Only these classes may be painted, of those that might. bool [B,C]"""
    return replace(maps, present=allowed if maps.present is None else maps.present & allowed)


def _gate(scores: ScoreMaps, top: int) -> Tensor:
    """The classes that SimSeg's gate lets through. bool [B,C]"""
    import torch

    background = scores.bank.classes.background
    return torch.stack([present_classes(score, background, top) for score in scores.class_score])


def _find_large(maps: ClassMaps, rules: LabelRules) -> Tensor:
    """The background, what only competes, and classes above `rules.least_share` of all others' pixels. bool [B,C]"""
    import torch

    count, shown = len(maps.classes.classes), len(maps.classes.shown.classes)
    background = maps.classes.background
    if background is None and rules.unknown_is_background:
        background = 0
    large = []
    for labels in label_pixels(maps).labels:
        areas = labels[labels != UNKNOWN].bincount(minlength=count)
        if background is not None:
            areas[background] = 0
        # At most: a class without any pixel is given up too, and cannot come back as the next best.
        kept = areas > rules.least_share * areas.sum()
        kept[shown:] = True
        if background is not None:
            kept[background] = True
        large.append(kept)
    return torch.stack(large)
