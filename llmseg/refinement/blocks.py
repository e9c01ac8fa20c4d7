"""Class maps refined at the original's pixels, block by block, and only for classes that win something.

A picture of any size is refined in bounded memory: cut into blocks, each seen with a margin around it, so that what
a refiner does near an edge of a block is what it would have done without the cut, or nearly. Only classes that are
the best one somewhere are refined; the others have a probability of 0. What fits the memory is made at once and
held; otherwise a block is made when somebody asks for it, and forgotten after the next.

Not here: what is done to a block (`class_refiners`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..class_maps import ClassMaps, MapSource
from ..sampling import Box, Sampler, enlarge_axis, tile_boxes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BlockMaps", "ChosenMaps", "PixelMaps", "Step", "refine_in_blocks"]

LEAST_SHARE = 0.001  # of the points that a class must win to be refined
NUMBERS_PER_BLOCK = 2**24  # of the classes that are refined: 64 MB, a few times over
MOST_BLOCK_PIXELS = 2**19  # however few classes there are
LEAST_BLOCK_PIXELS = 2**14
MOST_HELD = 2**28  # numbers of refined maps: 1 GB

# Values of some classes in a block and its margin [C,n,w], the picture there [3,n,w], the number of the image and
# the block's place -> refined values [C,n,w].
Step = Callable[["Tensor", "Tensor", int, Box], "Tensor"]


@dataclass(frozen=True)
class PixelMaps:
    """Class maps enlarged to the original's pixels, some classes and pixels at a time.

    Args:
        maps: on any grid.
        chosen: the classes that are read, image by image. int64 [c] each
        sampler: from the grid to the pixels.
        probabilities: whether scores become probabilities among all classes.
    """

    maps: ClassMaps
    chosen: tuple[Tensor, ...]
    sampler: Sampler
    probabilities: bool = True

    def read(self, image: int, box: Box) -> Tensor:
        """Values of the chosen classes. [c,n,w]"""
        import torch

        maps, chosen = self.maps, self.chosen[image]
        size = (box.rows.stop - box.rows.start, box.columns.stop - box.columns.start)
        values = torch.empty(0)
        for part in tile_boxes(size, len(maps.classes.classes), device=chosen.device):
            there = Box(_shift(part.rows, box.rows.start), _shift(part.columns, box.columns.start))
            seen = self.sampler.sample(maps.source.tile(image, self.sampler.cells(there)), there)
            seen = (_likely(maps, image, seen) if self.probabilities else seen)[:, chosen].movedim(1, 0)
            if not values.numel():
                values = seen.new_empty(len(chosen), *size)
            values[:, part.rows, part.columns] = seen
        return values


@dataclass(frozen=True)
class BlockMaps:
    """Maps that are refined block by block when asked for; a `MapSource`.

    Args:
        pixels: what is refined.
        images: RGB in 0..1. [B,3,H,W]
        step: what is done to a block.
        margin: pixels around a block that the step sees too.
    """

    pixels: PixelMaps
    images: Tensor
    step: Step
    margin: int
    _last: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, C, H, W."""
        return len(self.images), len(self.pixels.maps.classes.classes), *self.pixels.maps.size

    def tile(self, image: int, box: Box) -> Tensor:
        """Values of a tile; 0 for classes that are not refined. [n,C,w]"""
        chosen, whole = self.pixels.chosen[image], None
        for number, block in enumerate(self.blocks(image)):
            rows, columns = _common(block.rows, box.rows), _common(block.columns, box.columns)
            if rows is None or columns is None:
                continue
            part = self.block(image, number, block)
            inside = part[:, _shift(rows, -block.rows.start), _shift(columns, -block.columns.start)]
            if whole is None:
                size = (box.rows.stop - box.rows.start, box.columns.stop - box.columns.start)
                whole = part.new_zeros(size[0], self.shape[1], size[1])
            place = _shift(rows, -box.rows.start), _shift(columns, -box.columns.start)
            whole[place[0], chosen, place[1]] = inside.transpose(0, 1)
        assert whole is not None
        return whole

    def blocks(self, image: int) -> list[Box]:
        """The blocks of an image."""
        area = NUMBERS_PER_BLOCK // max(1, len(self.pixels.chosen[image]))
        area = min(max(area, LEAST_BLOCK_PIXELS), MOST_BLOCK_PIXELS)
        height, width = self.pixels.maps.size
        high, wide = (height, width) if height * width <= area else (math.isqrt(area),) * 2
        return [
            Box(slice(top, min(top + high, height)), slice(left, min(left + wide, width)))
            for top in range(0, height, high)
            for left in range(0, width, wide)
        ]

    def block(self, image: int, number: int, block: Box) -> Tensor:
        """Refined values of the classes chosen; the last block is kept. [c,n,w]"""
        if (image, number) not in self._last:
            self._last.clear()
            self._last[image, number] = self._refine(image, block)
        return self._last[image, number]

    def _refine(self, image: int, block: Box) -> Tensor:
        height, width = self.pixels.maps.size
        outer = Box(_grow(block.rows, self.margin, height), _grow(block.columns, self.margin, width))
        values = self.pixels.read(image, outer)
        if len(values):
            picture = self.images[image, :, outer.rows, outer.columns].to(values)
            values = self.step(values, picture, image, outer)
        return values[
            :, _shift(block.rows, -outer.rows.start), _shift(block.columns, -outer.columns.start)
        ].contiguous()


@dataclass(frozen=True)
class ChosenMaps:
    """Maps in memory of the classes that have any; a `MapSource`.

    Args:
        values: of the classes chosen, image by image. [c,H,W] each
        chosen: their labels. int64 [c] each
        classes: C.
    """

    values: tuple[Tensor, ...]
    chosen: tuple[Tensor, ...]
    classes: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, C, H, W."""
        height, width = self.values[0].shape[1:]
        return len(self.values), self.classes, height, width

    def tile(self, image: int, box: Box) -> Tensor:
        """Values of a tile; 0 for classes that have none. [n,C,w]"""
        seen = self.values[image][:, box.rows, box.columns].transpose(0, 1)
        if len(self.chosen[image]) == self.classes:
            return seen
        whole = seen.new_zeros(seen.shape[0], self.classes, seen.shape[2])
        whole[:, self.chosen[image]] = seen
        return whole


def refine_in_blocks(maps: ClassMaps, images: Tensor, step: Step, margin: int, scores: bool = False) -> ClassMaps:
    """Refine class maps at the original's pixels.

    Args:
        maps: on any grid.
        images: RGB in 0..1. [B,3,H,W]
        step: what is done to the probabilities of the classes that win something.
        margin: pixels that the step looks at around a pixel.
        scores: hand it the values of all classes as they are instead.
    """
    pixels = read_pixels(maps, scores)
    blocks = BlockMaps(pixels, images, step, margin)
    source: MapSource = blocks
    if sum(map(len, pixels.chosen)) * math.prod(maps.size) <= MOST_HELD:
        held = tuple(_hold(blocks, image) for image in range(len(maps)))
        source = ChosenMaps(held, pixels.chosen, len(maps.classes.classes))
    return replace(maps, source=source, probabilities=maps.probabilities or not scores)


def read_pixels(maps: ClassMaps, scores: bool = False) -> PixelMaps:
    """The maps at the original's pixels: probabilities of the classes that win something, or the scores of all."""
    import torch

    sampler = Sampler() if maps.grid == maps.size else Sampler(*map(enlarge_axis, maps.size, maps.grid))
    winners = [_find_winners(maps, image) for image in range(len(maps))]
    if scores:
        winners = [torch.arange(len(maps.classes.classes), device=each.device) for each in winners]
    return PixelMaps(maps, tuple(winners), sampler, probabilities=not scores)


def _find_winners(maps: ClassMaps, image: int) -> Tensor:
    """Classes that are the best one at some share of the points of the grid, in label order. int64 [c]"""
    classes = len(maps.classes.classes)
    whole = None
    for box in tile_boxes(maps.grid, classes):
        values = _likely(maps, image, maps.source.tile(image, box))
        best = values.max(1)
        area = best.indices[best.values > 0].bincount(minlength=classes)
        whole = area if whole is None else whole + area
    assert whole is not None
    enough = whole >= LEAST_SHARE * math.prod(maps.grid)
    return ((whole > 0) & (enough | ~enough.any())).nonzero()[:, 0]


def _likely(maps: ClassMaps, image: int, values: Tensor) -> Tensor:
    """Probabilities at some points; 0 for classes that cannot be in the image. [n,C,w] -> [n,C,w]"""
    if maps.present is not None:
        values = values.masked_fill(~maps.present[image][:, None], 0.0 if maps.probabilities else float("-inf"))
    return values if maps.probabilities else (values * maps.logit_scale).softmax(1).nan_to_num(0.0)


def _hold(blocks: BlockMaps, image: int) -> Tensor:
    """All blocks of an image. [c,H,W]"""
    boxes = blocks.blocks(image)
    if len(boxes) == 1:
        return blocks.block(image, 0, boxes[0])
    whole = None
    for number, box in enumerate(boxes):
        part = blocks.block(image, number, box)
        whole = part.new_empty(len(part), *blocks.shape[2:]) if whole is None else whole
        whole[:, box.rows, box.columns] = part
    assert whole is not None
    return whole


def _shift(places: slice, by: int) -> slice:
    return slice(places.start + by, places.stop + by)


def _grow(places: slice, margin: int, length: int) -> slice:
    return slice(max(0, places.start - margin), min(length, places.stop + margin))


def _common(one: slice, other: slice) -> slice | None:
    start, stop = max(one.start, other.start), min(one.stop, other.stop)
    return slice(start, stop) if start < stop else None
