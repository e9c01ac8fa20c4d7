"""What the numbers in the label files of public data sets mean.

A table takes every number that a file may hold to a label 0..C-1, or to `UNKNOWN`, which is not counted. Any other
number is an error: a wrong folder must not become a wrong figure.

Not here: where the files lie (`folders`), class names (`datasets`). Sources of the numbers: the data sets' own
documents; mmsegmentation's converters, whose files most people have (COCO's train numbers, PASCAL Context's
alphabetical order); GroupViT's for COCO-Object; the label hierarchy of COCO-Stuff (arXiv:1612.03716), in the order of
IIC (arXiv:1807.06653).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import InputError
from ..library import library_ids
from ..store import content_hash
from ..types import UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CITYSCAPES_LABELS",
    "SUPERCATEGORIES",
    "NumberTable",
    "cityscapes_numbers",
    "coco_numbers",
    "merged_numbers",
    "numbers_from",
    "object_numbers",
]

UNKNOWN_NUMBERS = (255, 65535)  # in 8 bits, in 16 bits
STRANGE = -2  # no label at all
COCO_LAST = 181  # of the numbers of COCO-Stuff's pictures; the ids of its JSON are one higher
COCO_UNUSED = frozenset((11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90))  # things that nobody ever outlined
COCO_THINGS = 80

# Cityscapes' own numbers of the 19 classes of its benchmark, in the order of their train numbers.
CITYSCAPES_LABELS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES_LAST = 33

# Of COCO-Stuff: what each is the union of. Food and furniture are there twice, as things and as materials.
SUPERCATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "electronic": "tv, laptop, mouse, remote, keyboard, cell phone",
        "appliance": "microwave, oven, toaster, sink, refrigerator",
        "food things": "banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake",
        "furniture things": "chair, couch, potted plant, bed, dining table, toilet",
        "indoor": "book, clock, vase, scissors, teddy bear, hair drier, toothbrush",
        "kitchen": "bottle, wine glass, cup, fork, knife, spoon, bowl",
        "accessory": "backpack, umbrella, handbag, tie, suitcase",
        "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
        "outdoor": "traffic light, fire hydrant, stop sign, parking meter, bench",
        "person": "person",
        "sports": "frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
        "tennis racket",
        "vehicle": "bicycle, car, motorcycle, airplane, bus, train, truck, boat",
        "ceiling": "ceiling-tile, ceiling-other",
        "floor": "carpet, floor-tile, floor-wood, floor-marble, floor-stone, floor-other",
        "food stuff": "fruit, salad, vegetable, food-other",
        "furniture stuff": "door-stuff, desk-stuff, table, shelf, cabinet, cupboard, mirror-stuff, counter, light, "
        "stairs, furniture-other",
        "raw material": "cardboard, paper, plastic, metal",
        "textile": "rug, mat, towel, napkin, clothes, cloth, curtain, blanket, pillow, banner, textile-other",
        "wall": "wall-tile, wall-panel, wall-wood, wall-brick, wall-stone, wall-concrete, wall-other",
        "window": "window-blind, window-other",
        "building": "house, skyscraper, bridge, tent, roof, building-other",
        "ground": "sand, snow, dirt, mud, gravel, road, pavement, railroad, platform, playingfield, ground-other",
        "plant": "grass, tree, bush, leaves, flower, branch, moss, straw, plant-other",
        "sky": "clouds, sky-other",
        "solid": "wood, rock, stone, mountain, hill, solid-other",
        "structural": "fence, cage, net, railing, structural-other",
        "water": "fog, river, sea, waterdrops, water-other",
    }
)


@dataclass(frozen=True)
class NumberTable:
    """The label of every number.

    Args:
        labels: 0..C-1 or `UNKNOWN`, by number.
        unknown: the label of 255 and, in 16 bits, 65535, where `labels` has none for them.
    """

    labels: Mapping[int, int]
    unknown: int = UNKNOWN

    @property
    def identity(self) -> str:
        """Another one for every other table."""
        return content_hash(sorted(self.labels.items()), self.unknown)

    def translate(self, numbers: NDArray[np.int64], place: str) -> NDArray[np.int64]:
        """Numbers of a picture to labels. [H,W] -> [H,W]

        Args:
            numbers: 0..65535.
            place: the file, for the message.

        Raises:
            InputError: a number that is in no table.
        """
        import numpy as np

        table = np.full(UNKNOWN_NUMBERS[-1] + 1, STRANGE, dtype=np.int64)
        table[list(UNKNOWN_NUMBERS)] = self.unknown
        table[list(self.labels)] = list(self.labels.values())
        labels = table[numbers]
        strange = numbers[labels == STRANGE]
        if strange.size:
            known = f"one of the {len(self.labels)} from {min(self.labels)} to {max(self.labels)}"
            raise InputError(f"number {strange[0]} stands for no class; expected {known}, or 255.", place=place)
        return labels


def numbers_from(first: int, count: int, ignored: tuple[int, ...] = ()) -> NumberTable:
    """Consecutive numbers for labels 0..count-1, and numbers that are not counted."""
    labels = dict.fromkeys(ignored, UNKNOWN)
    return NumberTable(MappingProxyType(labels | {first + label: label for label in range(count)}))


@cache
def coco_numbers() -> Mapping[int, int]:
    """Numbers of COCO-Stuff's own pictures -> its 171 train numbers 0..170, things first."""
    used = [number for number in range(COCO_LAST + 1) if number not in COCO_UNUSED]
    return MappingProxyType({number: label for label, number in enumerate(used)})


def cityscapes_numbers() -> NumberTable:
    """Cityscapes' own numbers; those of no class of the benchmark are not counted."""
    labels = dict.fromkeys(range(CITYSCAPES_LAST + 1), UNKNOWN)
    return NumberTable(MappingProxyType(labels | {number: label for label, number in enumerate(CITYSCAPES_LABELS)}))


def object_numbers(numbers: Mapping[int, int]) -> NumberTable:
    """Numbers of the 171 classes -> COCO-Object: things are 1..80; all else, unknown and unused too, is background.

    Args:
        numbers: of the pictures -> train numbers 0..170.
    """
    others = dict.fromkeys(range(max(numbers) + 1), 0)
    things = {number: label + 1 for number, label in numbers.items() if label < COCO_THINGS}
    return NumberTable(MappingProxyType(others | things), unknown=0)


def merged_numbers(numbers: Mapping[int, int]) -> NumberTable:
    """Numbers of the 171 classes -> the 27 in `SUPERCATEGORIES`.

    Args:
        numbers: of the pictures -> train numbers 0..170.
    """
    return NumberTable(MappingProxyType({number: _supercategories()[label] for number, label in numbers.items()}))


@cache
def _supercategories() -> tuple[int, ...]:
    """Position in `SUPERCATEGORIES` of each of the 171 classes."""
    owners = {
        member: position for position, members in enumerate(SUPERCATEGORIES.values()) for member in members.split(", ")
    }
    return tuple(owners[name] for name in library_ids("cocostuff171"))
