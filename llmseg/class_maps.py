"""One map per class: a record that says where its values come from, tile by tile.

Not here: how phrases become classes (`assembly`), refinement (`refinement`), the decision (`labels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .errors import InputError
from .sampling import Box
from .scores import ScoreMaps
from .types import ClassList

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MOST_NUMBERS", "ClassMaps", "HeldMaps", "MapSource"]

MOST_NUMBERS = 2**30  # of maps held at once: 4 GB


class MapSource(Protocol):
    """Where the values of class maps come from."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, C, h, w."""

    def tile(self, image: int, box: Box) -> Tensor:
        """Values of a tile. [n,C,w]"""


@dataclass(frozen=True)
class HeldMaps:
    """Maps in memory.

    Args:
        maps: [B,C,h,w]
    """

    maps: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, C, h, w."""
        images, classes, height, width = self.maps.shape
        return images, classes, height, width

    def tile(self, image: int, box: Box) -> Tensor:
        """Values of a tile. [n,C,w]"""
        return self.maps[image, :, box.rows, box.columns].transpose(0, 1)


@dataclass(frozen=True)
class ClassMaps:
    """One map per class on some grid: patches, finer points, or the original's pixels.

    Args:
        source: the values, on the scale of cosines or, where `probabilities`, in 0..1.
        classes, phrases: as in `TextBank`.
        size: pixels of the original image. (H, W)
        logit_scale: factor on scores before a softmax over classes.
        mode, refiner: names of the assembly mode and of the encoder's own refiner.
        scores: what the maps were made of; None where no phrases are known.
        probabilities: whether values are probabilities.
        present: classes that may be in each image; None for all. bool [B,C]
    """

    source: MapSource
    classes: ClassList
    phrases: tuple[str, ...]
    size: tuple[int, int]
    logit_scale: float
    mode: str
    refiner: str = "none"
    scores: ScoreMaps | None = None
    probabilities: bool = False
    present: Tensor | None = None

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.source.shape[2:]

    @property
    def maps(self) -> Tensor:
        """All values at once. [B,C,h,w]

        Raises:
            InputError: they would fill the memory.
        """
        import torch

        if isinstance(self.source, HeldMaps):
            return self.source.maps
        images, classes, height, width = self.source.shape
        if images * classes * height * width > MOST_NUMBERS:
            raise InputError(
                f"{classes} classes on {height} x {width} points are too many to hold; expected fewer classes, "
                "a smaller picture or refiner 'none'.",
                place="class_maps",
            )
        whole = Box(slice(0, height), slice(0, width))
        return torch.stack([self.source.tile(image, whole).transpose(0, 1) for image in range(images)])
