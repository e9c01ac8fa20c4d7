"""`ClassMaps` -> `LabelMap`: upsample, decide, and say how sure.

Not here: drawing (`rendering`), files (`files`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .errors import InputError
from .palette import make_palette
from .types import UNKNOWN, ClassMaps, LabelMap

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["label_phrases", "label_pixels"]

NUMBERS_PER_BAND = 2**22  # 16 MB in float32, a few times over


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
    for image in range(len(maps.maps)):
        label, confidence = _decide(maps.maps[image] * maps.logit_scale, maps.size, min_area)
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


def _decide(logits: Tensor, size: tuple[int, int], min_area: float) -> tuple[Tensor, Tensor]:
    """Most likely class of each pixel, small classes given up. [C,h,w] -> two [H,W]"""
    label, confidence = _most_likely(logits, size, None)
    if min_area > 0:
        area = label.flatten().bincount(minlength=len(logits)) / label.numel()
        small = (area > 0) & (area < min_area)
        if small.any() and not small[area > 0].all():
            label, confidence = _most_likely(logits, size, small)
    return label, confidence


def _most_likely(logits: Tensor, size: tuple[int, int], given_up: Tensor | None) -> tuple[Tensor, Tensor]:
    """Argmax and maximum of the softmax over upsampled logits, without those of [C] given up. two [H,W]

    In bands of rows, so that no tensor [C,H,W] is ever made.
    """
    import torch

    rows_per_band = max(1, NUMBERS_PER_BAND // (len(logits) * size[1]))
    labels, confidences = [], []
    for band in _upsampled_bands(logits, size, rows_per_band):
        probabilities = band.softmax(0)
        if given_up is not None:
            probabilities = probabilities.masked_fill(given_up[:, None, None], 0.0)
        confidence, label = probabilities.max(0)
        labels.append(label)
        confidences.append(confidence)
    return torch.cat(labels), torch.cat(confidences)


def _upsampled_bands(maps: Tensor, size: tuple[int, int], rows_per_band: int) -> Iterator[Tensor]:
    """Bilinear upsampling, a band of rows at a time. [C,h,w] -> [C,rows,W] each

    The same numbers as `interpolate(mode="bilinear", align_corners=False)`: first the columns by
    that very function, then between two rows of the result.
    """
    import torch
    from torch.nn.functional import interpolate

    height = maps.shape[1]
    wide = interpolate(maps[None], size=(height, size[1]), mode="bilinear", align_corners=False)[0]  # [C,h,W]
    centres = (torch.arange(size[0], device=maps.device) + 0.5) * height / size[0] - 0.5
    centres = centres.clamp(0, height - 1)
    above = centres.long()
    below = (above + 1).clamp(max=height - 1)
    share = (centres - above).to(maps)[:, None]  # [H,1]
    for start in range(0, size[0], rows_per_band):
        band = slice(start, start + rows_per_band)
        yield torch.lerp(wide[:, above[band]], wide[:, below[band]], share[band])


def _phrase_at(winning_phrase: Tensor, label: Tensor) -> Tensor:
    """The phrase that won the decided class at the patch under each pixel. [C,h,w], [H,W] -> [H,W]"""
    import torch

    height, width = winning_phrase.shape[1:]
    rows = torch.arange(label.shape[0], device=label.device) * height // label.shape[0]
    columns = torch.arange(label.shape[1], device=label.device) * width // label.shape[1]
    return winning_phrase[label, rows[:, None], columns[None, :]]
