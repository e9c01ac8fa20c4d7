"""`ClassMaps` -> `LabelMap`: enlarge, decide, and say how sure.

Not here: drawing (`rendering`), files (`files`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .class_maps import ClassMaps
from .errors import InputError
from .palette import make_palette
from .refinement.blocks import BlockMaps
from .sampling import Box, Sampler, enlarge_axis, tile_boxes
from .types import UNKNOWN, LabelMap

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["label_phrases", "label_pixels"]


def label_pixels(maps: ClassMaps, *, threshold: float = 0.0, min_area: float = 0.0) -> LabelMap:
    """Give every pixel its most likely class.

    Scores are enlarged (bilinear), scaled by the logit scale and put through a softmax over the classes, so that
    probabilities do not depend on the number of phrases; maps that are probabilities already are taken as they are.
    A class that covers less than `min_area` of an image is given up there, its pixels go to their next best class.
    Then pixels less sure than `threshold`, pixels that no class claims, and those of classes that only stand in for
    everything else become background if there is such a class, else unknown.

    Args:
        maps: one map per class.
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
    shown = maps.classes.shown
    decided = [_decide_image(maps, image, min_area) for image in range(len(maps))]
    labels, confidence, phrase = (torch.stack(each) for each in zip(*decided, strict=True))
    nobody = (confidence < threshold) | (confidence <= 0) | (labels >= len(shown.classes))
    background = shown.background
    labels[nobody] = UNKNOWN if background is None else background
    phrase[nobody] = -1
    return LabelMap(
        labels=labels,
        names=shown.names,
        palette=make_palette(len(shown.classes)),
        confidence=confidence,
        winning_phrase=phrase,
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


def _decide_image(maps: ClassMaps, image: int, min_area: float) -> tuple[Tensor, Tensor, Tensor]:
    """Most likely class of each pixel, its probability and its best phrase; small classes given up. three [H,W]"""
    decided = _decide_tiles(maps, image, None)
    if min_area > 0:
        label, likely, _ = decided
        # A pixel that no class claims has a label too, and is nobody's.
        area = label[likely > 0].bincount(minlength=len(maps.classes.classes)) / label.numel()
        small = (area > 0) & (area < min_area)
        if small.any() and not small[area > 0].all():
            decided = _decide_tiles(maps, image, small)
    return decided


def _decide_tiles(maps: ClassMaps, image: int, given_up: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The same without classes [C] given up; tile by tile, so that no tensor [C,H,W] is ever made. three [H,W]"""
    import torch

    exact = maps.grid == maps.size
    sampler = Sampler() if exact else Sampler(*map(enlarge_axis, maps.size, maps.grid))
    channels, device = [len(maps.classes.classes)], None
    if maps.scores is not None:
        device = maps.scores.device
        channels += [int(maps.scores.order.count.max()), len(maps.phrases) if maps.scores.exact else 1]
    decided: tuple[Tensor, ...] = ()
    for box in _tiles(maps, image, max(channels), device):
        values = sampler.sample(maps.source.tile(image, sampler.cells(box)), box)
        likely, label = _most_likely(maps, image, values, given_up)
        found = (label, likely, _winning_phrase(maps, image, box, label))
        if not decided:
            decided = tuple(torch.empty(maps.size, dtype=each.dtype, device=each.device) for each in found)
        for whole, part in zip(decided, found, strict=True):
            whole[box.rows, box.columns] = part
    label, likely, phrase = decided
    return label, likely, phrase


def _tiles(maps: ClassMaps, image: int, channels: int, device: torch.device | None) -> Iterator[Box]:
    """Tiles of a picture; where maps are made block by block, one block after the other."""
    if not isinstance(maps.source, BlockMaps):
        yield from tile_boxes(maps.size, channels, device=device)
        return
    for block in maps.source.blocks(image):
        size = (block.rows.stop - block.rows.start, block.columns.stop - block.columns.start)
        for box in tile_boxes(size, channels, device=device):
            places = zip(box, block, strict=True)
            yield Box(*(slice(part.start + whole.start, part.stop + whole.start) for part, whole in places))


def _most_likely(maps: ClassMaps, image: int, values: Tensor, given_up: Tensor | None) -> tuple[Tensor, Tensor]:
    """Largest probability of each point, and its class. [n,C,w] -> two [n,w]"""
    if not maps.probabilities:
        values = values * maps.logit_scale
    never = 0.0 if maps.probabilities else float("-inf")
    if maps.present is not None:
        values = values.masked_fill(~maps.present[image][:, None], never)
    total = None if maps.probabilities else values.logsumexp(1)
    if given_up is not None:
        values = values.masked_fill(given_up[:, None], never)
    largest, label = values.max(1)
    return (largest if total is None else (largest - total).exp().nan_to_num(0.0)), label


def _winning_phrase(maps: ClassMaps, image: int, box: Box, label: Tensor) -> Tensor:
    """Best phrase of the decided class at each point, the first of equals; -1 for the class name itself. [n,w]"""
    import torch

    if maps.scores is None or maps.mode == "off":
        return torch.full_like(label, -1)
    order = maps.scores.order
    cells = [
        torch.arange(points.start, points.stop, device=label.device) * count // length
        for points, count, length in zip(box, maps.scores.grid, maps.size, strict=True)
    ]
    around = Box(*(slice(int(places[0]), int(places[-1]) + 1) for places in cells))
    scores = maps.scores.tile(image, around)  # [r,K,q]
    rows, columns = (places - places[0] for places in cells)
    height, classes, width = len(scores), len(order.count), scores.shape[2]
    if height * classes * width < label.numel():  # many pixels share a patch: asked once a patch and class
        every = torch.arange(classes, device=label.device)[None, :, None].expand(height, -1, width)
        places = (torch.arange(height, device=label.device), torch.arange(width, device=label.device))
        best = _best_phrase(maps, scores, every, places[0][:, None, None], places[1])
        return best[rows[:, None], label, columns]
    return _best_phrase(maps, scores, label, rows[:, None], columns)


def _best_phrase(maps: ClassMaps, scores: Tensor, label: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Best phrase of a class at a row and a column, all three of any one shape; `scores` [r,K,q]."""
    import torch

    assert maps.scores is not None
    order = maps.scores.order
    numbers = torch.arange(int(order.count.max()), device=label.device)  # [m]
    inside = numbers < order.count[label][..., None]
    candidates = (order.first[label][..., None] + numbers).clamp(max=scores.shape[1] - 1)  # [...,m]
    found = scores[rows[..., None], candidates, columns[..., None]]
    if order.weights is not None:
        found = found + (order.weights.log() / maps.logit_scale)[candidates]
    best = found.masked_fill(~inside, float("-inf")).argmax(-1)
    return order.phrases[order.first[label] + best]
