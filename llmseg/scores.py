"""`PatchFeatures` x `TextBank` -> `ScoreMaps`: the cosine of every patch or pixel with every phrase.

Lazy: scores are made tile by tile when assembly asks for them, never as one tensor over all pixels. In `fast`
scoring they live on the patch grid: overlapping windows and scales are averaged once, on the features, since a mean
of cosines is the product with the mean of the unit features. In `exact` scoring they live at the original's pixels:
patch scores of every window are enlarged, averaged and resized in one go (`sampling`). Enlarging the features first
would cost D multiplications per pixel and phrase, instead of about six.

Not here: merging phrases into classes (`assembly`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from .defaults import EngineDefaults
from .errors import InputError, lookup
from .options import AUTO, SCORING
from .phrases import PhraseOrder, order_phrases
from .sampling import Box, Sampler, window_axis
from .score_rows import ScoreRows
from .types import Level, PatchFeatures, TextBank

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Layer", "ScoreMaps", "merge_levels", "merge_windows", "score_image"]

EXACT, FAST = "exact", "fast"


@dataclass(frozen=True)
class Layer:
    """One addend of the scores.

    Args:
        values: features or, where `ScoreMaps.scored`, scores of its queries. [B,R,Q,D] or [B,R,Q,M]
        sampler: from its cells to the grid of the scores.
    """

    values: Tensor
    sampler: Sampler


@dataclass(frozen=True)
class ScoreMaps:
    """Cosines on a grid, computed on demand.

    Args:
        layers: their mean is scored.
        bank: the encoded phrases.
        grid: rows and columns on which scores live: patches, or the original's pixels.
        size: pixels of the original image. (H, W)
        seen: pixels of the image as it was encoded, at its finest scale.
        see_whole: gives the unit embedding of the whole images. [B,D]
        defaults: what "auto" means for the encoder.
        aligned: whether windows lie on the patch grid.
        scored: whether the layers hold scores already.
    """

    layers: tuple[Layer, ...]
    bank: TextBank
    grid: tuple[int, int]
    size: tuple[int, int]
    seen: tuple[int, int]
    see_whole: Callable[[], Tensor]
    defaults: EngineDefaults
    aligned: bool = True
    scored: bool = False
    _last: dict[bool, tuple[tuple[object, ...], Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _rows: dict[tuple[int, int, bool], ScoreRows] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.layers[0].values)

    @property
    def device(self) -> torch.device:
        """Where scores are made."""
        return self.layers[0].values.device

    @property
    def exact(self) -> bool:
        """Whether scores live at the original's pixels."""
        return self.grid == self.size

    @cached_property
    def order(self) -> PhraseOrder:
        """Phrases so ordered that classes of as many phrases stand together."""
        return order_phrases(self.bank.class_index, len(self.bank.classes.classes), self.bank.weights)

    @cached_property
    def image_vector(self) -> Tensor:
        """Unit embedding of the whole image. [B,D]"""
        return self.see_whole()

    @cached_property
    def queries(self) -> Tensor:
        """What patches are compared with: the phrases in `order`, then the class names that are no phrase. [M,D]"""
        import torch

        phrases, names = self.bank.embeddings[self.order.phrases], self.bank.name_embeddings
        return torch.cat([phrases, names[self.name_rows >= len(phrases)]])

    @cached_property
    def name_rows(self) -> Tensor:
        """Row of `queries` of each class name. int64 [C]"""
        import torch

        phrases, names = self.bank.embeddings[self.order.phrases], self.bank.name_embeddings
        nearest = (names @ phrases.T).argmax(1)
        new = (phrases[nearest] != names).any(1)
        return torch.where(new, len(phrases) + new.cumsum(0) - 1, nearest)

    def tile(self, image: int, box: Box, names: bool = False) -> Tensor:
        """Cosines of a tile of the grid with all phrases in `order`, or with all class names. [n,K or C,w]

        The last tile is kept: labels and winning phrases ask for the same one in turn. Not to be changed in place.
        """
        key = (image, *((each.start, each.stop) for each in box))
        if names not in self._last or self._last[names][0] != key:
            self._last[names] = (key, self._tile(image, box, names))
        return self._last[names][1]

    def _tile(self, image: int, box: Box, names: bool) -> Tensor:
        total = None
        for number, layer in enumerate(self.layers):
            part = layer.sampler.sample(self._cell_scores(image, number, layer.sampler.cells(box), names), box)
            total = part if total is None else total + part
        assert total is not None
        return total / len(self.layers) if len(self.layers) > 1 else total

    def _cell_scores(self, image: int, number: int, cells: Box, names: bool) -> Tensor:
        """Cosines of some cells of a layer. [r,K or C,q]"""
        layer = self.layers[number]
        wanted = self.name_rows if names else slice(len(self.bank.phrases))
        if self.scored:
            return layer.values[image, cells.rows, cells.columns][..., wanted].transpose(1, 2)
        if layer.sampler.rows is None:  # no cell is in more than one tile
            return (layer.values[image, cells.rows, cells.columns] @ self.queries[wanted].T).transpose(1, 2)
        key = (image, number, names)
        if key not in self._rows:
            for old in [other for other in self._rows if other[0] != image]:
                del self._rows[old]
            self._rows[key] = ScoreRows(layer.values[image], self.queries[wanted])
        return self._rows[key].tile(cells)

    def channels(self, image: int) -> Tensor:
        """What the scores of one image are linear in, all at once: scores of `queries`, or features if those are fewer.

        [min(M,D),H,W]
        """
        few = self.scored or len(self.queries) <= self.queries.shape[1]
        total = None
        for layer in self.layers:
            cells = layer.sampler.cells(self._whole)  # a small original leaves some out
            values = layer.values[image, cells.rows, cells.columns]
            values = values @ self.queries.T if few and not self.scored else values
            part = layer.sampler.sample(values.transpose(1, 2), self._whole)
            total = part if total is None else total + part
        assert total is not None
        return (total / len(self.layers)).movedim(1, 0)

    @property
    def _whole(self) -> Box:
        return Box(slice(0, self.grid[0]), slice(0, self.grid[1]))

    def phrase_scores(self, image: int) -> Tensor:
        """Cosine of every phrase with every point of the grid, in the bank's order, all at once. [K,h,w]"""
        scores = self._tile(image, self._whole, names=False)
        return scores.movedim(1, 0)[self.order.phrases.argsort()]

    def name_scores(self, image: int) -> Tensor:
        """The same for the class names. [C,h,w]"""
        return self._tile(image, self._whole, names=True).movedim(1, 0)

    def phrase_relevance(self, image: int) -> Tensor:
        """Cosine of every phrase with the whole image. [K]"""
        return self.bank.embeddings @ self.image_vector[image]

    @cached_property
    def class_score(self) -> Tensor:
        """Cosine of every class name with every whole image. [B,C]"""
        return self.image_vector @ self.bank.name_embeddings.T


def score_image(features: PatchFeatures, bank: TextBank, scoring: str = AUTO) -> ScoreMaps:
    """Bring features and phrases together.

    Args:
        features: encoded images.
        bank: encoded phrases.
        scoring: fast, exact or auto; windows between patches can only be scored exactly.

    Raises:
        InputError: they come from different models, or fast scoring of windows between patches.
        UnknownNameError: no such scoring.
    """
    if features.model != bank.model:
        raise InputError(
            f"phrases encoded by {bank.model!r}, image by {features.model!r}; expected one encoder for both.",
            place="text_bank",
        )
    if scoring == AUTO:
        scoring = features.defaults.scoring if features.aligned else EXACT
    lookup(SCORING.names, scoring, place="scoring")
    if scoring == FAST and not features.aligned:
        raise InputError("windows lie between patches; expected 'exact', or layout 'grid'.", place="scoring")
    exact = scoring == EXACT
    if exact:
        layers = tuple(_exact_layer(level, features.size) for level in features.levels)
    else:
        layers = (Layer(merge_levels(features), Sampler()),)
    return ScoreMaps(
        layers=layers,
        bank=bank,
        grid=features.size if exact else features.levels[0].grid,
        size=features.size,
        seen=features.levels[0].plan.size,
        see_whole=features.see_whole,
        defaults=features.defaults,
        aligned=features.aligned,
    )


def _exact_layer(level: Level, size: tuple[int, int]) -> Layer:
    plan, windows = level.plan, level.windows
    axes = [
        window_axis(*lengths)
        for lengths in zip(size, plan.size, plan.window, (plan.tops, plan.lefts), plan.cells, strict=True)
    ]
    side_by_side = windows.permute(0, 1, 3, 2, 4, 5)  # [B,ny,h,nx,w,D]
    return Layer(side_by_side.flatten(3, 4).flatten(1, 2), Sampler(*axes))


def merge_levels(features: PatchFeatures) -> Tensor:
    """Mean over the scales, on the grid of the finest. [B,h,w,D]"""
    from torch.nn.functional import interpolate

    finest, *others = features.levels
    total = merge_windows(finest)
    for level in others:
        channels = merge_windows(level).movedim(-1, 1)
        resized = interpolate(channels, size=finest.grid, mode="bilinear", antialias=True, align_corners=False)
        total = total + resized.movedim(1, -1)
    return total / len(features.levels) if others else total


def merge_windows(level: Level) -> Tensor:
    """Mean over the windows that cover each patch. [B,ny,nx,h,w,D] -> [B,H,W,D]"""
    windows, plan = level.windows, level.plan
    if plan.count == 1:
        return windows[:, 0, 0]
    total = windows.new_zeros(len(windows), *level.grid, windows.shape[-1])
    count = windows.new_zeros(*level.grid, 1)
    high, wide = plan.cells
    patch = plan.window[0] // high
    for row, top in enumerate(plan.tops):
        for column, left in enumerate(plan.lefts):
            y, x = top // patch, left // patch
            total[:, y : y + high, x : x + wide] += windows[:, row, column]
            count[y : y + high, x : x + wide] += 1
    return total / count
