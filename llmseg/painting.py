"""Class maps and class scores -> masks, one class at a time, as SimSeg does (Yi et al., CVPR 2023).

    present_classes  few classes whose names stand out for the whole image
    mask_classes     the map of each one stretched to 0..1, told from the rest by a CRF, closed

Nothing here compares maps of different classes: what a map weighs is its shape, and which class wins is decided
by its name alone: `refinement` lays the masks over each other. arXiv:2404.00701 keeps all of it but the maps.

Not here: the CRF (`crf`), labels by comparing maps (`labels`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .crf import CRF_PRESETS, DenseCrf
from .errors import InputError
from .squash import squash

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["close_masks", "mask_classes", "present_classes"]

CLASSES_AT_ONCE = 16  # in the CRF: 100 MB at 288 x 288
DEVIATIONS = 1.0  # above the mean of the best scores
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the colours that their tower is given


def present_classes(class_score: Tensor, background: int | None, top: int = 30, most: int = 5) -> Tensor:
    """Which classes stand out: at least a standard deviation above the mean of the best scores.

    Of two neither does, unless they are equal; a class alone does.

    Args:
        class_score: of the class names, for the whole image. [C]
        background: label of the background, never present although its score counts; None without one.
        top: how many of the best scores make the mean, at least 1.
        most: how many classes are present at most, the background included if it is one of them.

    Returns:
        Whether each class is present. bool [C]

    Raises:
        InputError: a score is not a number.
    """
    import torch

    if not class_score.isfinite().all():
        raise InputError("holds NaN or infinity; expected numbers.", place="class_score")
    best = class_score.float().sort(descending=True, stable=True)
    labels, below = best.indices[:top], best.values[:top] - best.values[:1]
    # Measured from the best score: of equal scores the mean is then exact.
    threshold = below.mean() + DEVIATIONS * (below.std() if len(below) > 1 else 0)
    present = torch.zeros_like(class_score, dtype=torch.bool)
    present[labels[:most][(below >= threshold)[:most]]] = True
    if background is not None:
        present[background] = False
    return present


def mask_classes(maps: Tensor, present: Tensor, image: Tensor, side: int = 288) -> Tensor:
    """Where each class that is present is.

    Args:
        maps: of all classes; only their shape matters, not their range. [C,h,w]
        present: classes to be masked. bool [C]
        image: RGB in 0..1. [3,H,W]
        side: of the square to which image and maps are resized for the CRF.

    Returns:
        A mask per class, empty for those that are not present. bool [C,H,W]

    Raises:
        InputError: maps or image hold something that is not a number.
    """
    import torch
    from torch.nn.functional import interpolate

    height, width = image.shape[1:]
    masks = torch.zeros(len(maps), height, width, dtype=torch.bool, device=maps.device)
    if not present.any():
        return masks
    preset = CRF_PRESETS["simseg"]
    if not image.isfinite().all():
        raise InputError("holds NaN or infinity; expected numbers.", place="image")
    crf = DenseCrf(_published_colours(image, side).to(maps.device), preset.gaussian, preset.bilateral)
    for labels in present.nonzero()[:, 0].split(CLASSES_AT_ONCE):
        stretched = interpolate(_stretch(maps[labels].float())[None], size=(side, side), mode="nearest")[0]
        refined = crf.infer(torch.stack([1 - stretched, stretched], dim=1), preset.steps)  # [N,2,side,side]
        closed = close_masks(refined[:, 1] > refined[:, 0])
        masks[labels] = interpolate(closed[None].float(), size=(height, width), mode="nearest")[0].bool()
    return masks


def _published_colours(image: Tensor, side: int) -> Tensor:
    """What the authors' CRF looks at, in 0..255. [3,H,W] -> [3,side,side]

    They get the picture back from what their tower is given, and cut the digits off: rounding makes an eighth of the
    numbers one less.
    """
    import torch

    mean, deviation = (torch.tensor(numbers).view(3, 1, 1) for numbers in (MEAN, DEVIATION))
    square = squash(image[None].float().cpu(), side)[0]
    return (((square - mean) / deviation * deviation + mean) * 255).trunc()


def close_masks(masks: Tensor, side: int = 7) -> Tensor:
    """Fill gaps narrower than a square: dilate once, then erode once.

    Args:
        masks: what is outside of them neither grows into them nor eats away at them. bool [N,H,W]
        side: of the square, odd.
    """
    from torch.nn.functional import max_pool2d

    grown = max_pool2d(masks[:, None].float(), side, stride=1, padding=side // 2)
    return max_pool2d(1 - grown, side, stride=1, padding=side // 2)[:, 0] == 0


def _stretch(maps: Tensor) -> Tensor:
    """Each map to 0..1; one that is the same everywhere to 0. [N,h,w] -> [N,h,w]"""
    lowest = maps.amin((1, 2), keepdim=True)
    span = maps.amax((1, 2), keepdim=True) - lowest
    return (maps - lowest) / span.where(span != 0, span.new_ones(()))
