"""`class_maps`: the record says what its source says, and holds no more than memory does."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from llmseg.class_maps import MOST_NUMBERS, ClassMaps, HeldMaps
from llmseg.errors import InputError
from llmseg.sampling import Box
from llmseg.types import ClassList, ClassName


@dataclass(frozen=True)
class Counted:
    """A source of values that say where they are: image, class, row and column as digits."""

    shape: tuple[int, int, int, int]
    asked: list[tuple[int, Box]] = field(default_factory=list)

    def tile(self, image, box):
        self.asked.append((image, box))
        rows, columns = (torch.arange(points.start, points.stop) for points in box)
        classes = torch.arange(self.shape[1])
        return 1000 * image + 100 * classes[:, None] + 10 * rows[:, None, None] + columns


def class_maps(source):
    classes = ClassList(tuple(ClassName(f"class {label}") for label in range(source.shape[1])))
    return ClassMaps(source, classes, (), (20, 30), 40.0, "max")


WHOLE = Box(slice(0, 4), slice(0, 5))


def test_held_maps_are_given_as_they_are():
    maps = torch.rand(2, 3, 4, 5)
    record = class_maps(HeldMaps(maps))
    assert record.maps is maps
    assert (len(record), record.grid, record.source.shape) == (2, (4, 5), (2, 3, 4, 5))


@pytest.mark.parametrize("box", [WHOLE, Box(slice(1, 3), slice(2, 5)), Box(slice(3, 4), slice(0, 1))])
def test_a_tile_of_held_maps_is_their_crop_rows_first(box):
    maps = torch.rand(2, 3, 4, 5)
    for image in range(2):
        tile = HeldMaps(maps).tile(image, box)
        for y, row in enumerate(range(4)[box.rows]):
            for x, column in enumerate(range(5)[box.columns]):
                assert tile[y, :, x].tolist() == maps[image, :, row, column].tolist()


def test_other_sources_are_asked_image_by_image():
    source = Counted((2, 3, 4, 5))
    record = class_maps(source)
    assert (len(record), record.grid) == (2, (4, 5))
    assert source.asked == [], "nothing before values are wanted"
    maps = record.maps
    assert source.asked == [(0, WHOLE), (1, WHOLE)]
    assert maps.shape == (2, 3, 4, 5)
    assert int(maps[1, 2, 3, 4]) == 1234


def test_maps_that_would_fill_the_memory_are_refused():
    most = Counted((1, MOST_NUMBERS // 2**20, 2**10, 2**10 + 1))
    with pytest.raises(InputError) as caught:
        class_maps(most).maps  # noqa: B018
    assert str(caught.value) == (
        "class_maps: 1024 classes on 1024 x 1025 points are too many to hold; expected fewer classes, "
        "a smaller picture or refiner 'none'."
    )
    assert most.asked == []
    held = HeldMaps(torch.zeros(()).expand(most.shape))
    assert class_maps(held).maps.shape == most.shape, "what is held already is no more than it is"


def test_what_is_not_said_is_nothing():
    record = class_maps(HeldMaps(torch.rand(1, 2, 3, 4)))
    assert (record.refiner, record.scores, record.probabilities, record.present) == ("none", None, False, None)
