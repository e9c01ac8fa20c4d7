"""`ClassMaps` -> `LabelMap`: upsample, decide, and say how sure.

Not here: drawing (`rendering`), files (`files`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InputError
from .palette import make_palette
from .types import UNKNOWN, ClassMaps, LabelMap

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["label_phrases", "label_pixels"]


def label_pixels(maps: ClassMaps, *, threshold: float = 0.0, min_area: float = 0.0) -> LabelMap:
    """Give every pixel its most likely class.

    Scores are upsampled (bilinear), scaled by the logit scale and put through a softmax over the
    classes, so that probabilities do not depend on the number of phrases. A class that covers less
    than `min_area` of an image is given up there, its pixels go to their next best class. Then
    pixels less sure than `threshold` become background if there is such a class, else unknown.

    Args:
        maps: one score map per class.
        threshold: least probability, 0..1.
        min_area: least share of the image, 0..1.

    Returns:
        Labels at the original size. [B,H,W]

    Raises:
        InputError: threshold or min_area outside 0..1.
    """
    import torch

    for place, value in (("threshold", threshold), ("min_area", min_area)):
        if not 0 <= value <= 1:
            raise InputError(f"{value!r}; expected a number from 0 to 1.", place=place)
    background = maps.classes.background
    labels, confidences, phrases = [], [], []
    for image in range(len(maps.maps)):  # one at a time: [C,H,W] is the largest tensor there is
        probabilities = (_upsample(maps.maps[image], maps.size) * maps.logit_scale).softmax(0)
        label, confidence = _decide(probabilities, min_area)
        phrase = _phrase_at(maps.winning_phrase[image], label)
        unsure = confidence < threshold
        label[unsure] = UNKNOWN if background is None else background
        phrase[unsure] = -1
        labels.append(label)
        confidences.append(confidence)
        phrases.append(phrase)
    return LabelMap(
        labels=torch.stack(labels),
        names=maps.classes.names,
        palette=make_palette(len(maps.classes.classes)),
        confidence=torch.stack(confidences),
        winning_phrase=torch.stack(phrases),
        phrases=maps.phrases,
    )


def label_phrases(result: LabelMap) -> LabelMap:
    """The same decision told by phrase: names become "class: phrase", only those that won somewhere.

    A pixel where the class name itself won keeps the bare class name.
    """
    import torch

    width = len(result.phrases) + 1
    known = result.labels >= 0
    codes = result.labels * width + result.winning_phrase + 1
    winners, order = codes[known].unique(return_inverse=True)
    texts = [_tell(result, code // width, code % width - 1) for code in winners.tolist()]
    # A class name can win twice, as one of its own phrases and as the background of unsure pixels.
    names = {text: label for label, text in enumerate(dict.fromkeys(texts))}
    labels = torch.tensor([names[text] for text in texts], dtype=torch.int64, device=order.device)[order]
    return LabelMap(
        labels=torch.full_like(result.labels, UNKNOWN).masked_scatter(known, labels),
        names=tuple(names),
        palette=make_palette(len(names)),
        confidence=result.confidence,
        winning_phrase=torch.full_like(result.winning_phrase, -1),
    )


def _tell(result: LabelMap, label: int, phrase: int) -> str:
    class_name = result.names[label]
    own = phrase < 0 or result.phrases[phrase] == class_name
    return class_name if own else f"{class_name}: {result.phrases[phrase]}"


def _upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    from torch.nn.functional import interpolate

    return interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]


def _decide(probabilities: Tensor, min_area: float) -> tuple[Tensor, Tensor]:
    """Most likely class of each pixel, small classes given up. [C,H,W] -> two [H,W]"""
    confidence, label = probabilities.max(0)
    if min_area > 0:
        area = label.flatten().bincount(minlength=len(probabilities)) / label.numel()
        small = (area > 0) & (area < min_area)
        if small.any() and not small[area > 0].all():
            confidence, label = probabilities.masked_fill(small[:, None, None], 0.0).max(0)
    return label, confidence


def _phrase_at(winning_phrase: Tensor, label: Tensor) -> Tensor:
    """The phrase that won the decided class at the patch under each pixel. [C,h,w], [H,W] -> [H,W]"""
    import torch

    height, width = winning_phrase.shape[1:]
    rows = torch.arange(label.shape[0], device=label.device) * height // label.shape[0]
    columns = torch.arange(label.shape[1], device=label.device) * width // label.shape[1]
    return winning_phrase[label, rows[:, None], columns[None, :]]
