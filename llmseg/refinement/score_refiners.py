"""Refiners of score maps, before phrases are merged into classes: one function each.

Those that are linear work on whichever are fewer: phrases, or the features that their scores are linear in.

Not here: the arithmetic (`pamr`, `guided`, `propagation`), which refiner is called (`refining`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..class_maps import MOST_NUMBERS
from ..errors import InputError
from ..pamr import DILATIONS, pamr
from ..sampling import Box, Sampler, enlarge_axis
from ..scores import Layer, ScoreMaps
from .guided import filter_guided
from .guides import Guide
from .propagation import propagate_scores

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCORE_REFINERS"]

NEIGHBOURS = 8 * len(DILATIONS)  # of a pixel in PAMR, which holds a weight for each
COLOURS = 9  # of a pixel in the guided filter, which holds products of any two


def _keep(scores: ScoreMaps, guide: Guide) -> ScoreMaps:
    return scores


def _pamr(scores: ScoreMaps, guide: Guide) -> ScoreMaps:
    return _refine_channels(scores, guide.images, pamr, NEIGHBOURS)


def _guided(scores: ScoreMaps, guide: Guide) -> ScoreMaps:
    return _refine_channels(scores, guide.images, filter_guided, COLOURS)


def _lposs(scores: ScoreMaps, guide: Guide) -> ScoreMaps:
    return propagate_scores(scores, guide.images, guide.backbone)


def _refine_channels(
    scores: ScoreMaps, images: Tensor, refine: Callable[[Tensor, Tensor], Tensor], beside: int
) -> ScoreMaps:
    """Refine at the original's pixels.

    Args:
        scores: B images against K phrases.
        images: RGB in 0..1, of any size. [B,3,H',W']
        refine: linear in the channels: channels [C,H,W] and a picture [3,H,W] -> channels [C,H,W].
        beside: numbers at each pixel that it holds beside the channels.
    """
    import torch
    from torch.nn.functional import interpolate

    sampler = None if scores.exact else Sampler(*map(enlarge_axis, scores.size, scores.grid))
    few = min(len(scores.queries), scores.queries.shape[1])
    if (len(images) * few + beside) * math.prod(scores.size) > MOST_NUMBERS:
        raise InputError(
            f"{few} channels on {scores.size[0]} x {scores.size[1]} pixels are too many to refine; expected a smaller "
            "picture or refiner 'none'.",
            place="refiner",
        )
    if not scores.aligned:  # as published: guided by what the encoder saw
        images = interpolate(images, size=scores.seen, mode="bilinear", align_corners=False)
    images = interpolate(images, size=scores.size, mode="bilinear", align_corners=False)
    refined = []
    for image, picture in enumerate(images):
        channels = scores.channels(image)
        if sampler is not None:
            whole = Box(slice(0, scores.size[0]), slice(0, scores.size[1]))
            cells = sampler.cells(whole)
            channels = sampler.sample(channels[:, cells.rows, cells.columns].movedim(0, 1), whole).movedim(1, 0)
        refined.append(refine(channels, picture.to(channels)))
    layer = Layer(torch.stack(refined).movedim(1, -1), Sampler())
    return replace(scores, layers=(layer,), grid=scores.size, scored=few == len(scores.queries))


SCORE_REFINERS: Mapping[str, Callable[[ScoreMaps, Guide], ScoreMaps]] = MappingProxyType(
    {"none": _keep, "pamr": _pamr, "guided": _guided, "lposs": _lposs}
)
