"""Class maps to labels, against a loop over pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from llmseg import labels
from llmseg.errors import InputError
from llmseg.labels import label_phrases, label_pixels
from llmseg.palette import make_palette
from llmseg.types import UNKNOWN, ClassList, ClassMaps, ClassName, LabelMap

PHRASES = ("dog", "poodle", "car", "taxi", "sky")
OWNER = (0, 0, 1, 1, 2)  # the class of each phrase


def class_maps(
    maps: Tensor, size: tuple[int, int], winners: Tensor | None = None, scale: float = 1.0, sky: str = "thing"
) -> ClassMaps:
    classes = ClassList((ClassName("dog"), ClassName("car"), ClassName("sky", role=sky)))
    winners = torch.full(maps.shape, -1, dtype=torch.int64) if winners is None else winners
    score = torch.zeros(maps.shape[:2])
    return ClassMaps(maps, winners, score, classes, PHRASES, size, scale, "max")


def random_maps(size: tuple[int, int], sky: str = "thing", seed: int = 0) -> ClassMaps:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 3, 3, 5, generator=generator)
    choices = torch.randint(0, 2, (2, 3, 3, 5), generator=generator)
    winners = choices + torch.tensor([0, 2, 3]).view(1, 3, 1, 1)
    return class_maps(maps, size, winners, scale=1.7, sky=sky)


def bilinear(grid: list[list[float]], row: int, column: int, size: tuple[int, int]) -> float:
    """Value at the centre of a pixel, edges repeated."""
    height, width = len(grid), len(grid[0])
    y = min(max((row + 0.5) * height / size[0] - 0.5, 0), height - 1)
    x = min(max((column + 0.5) * width / size[1] - 0.5, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = grid[top][left] * (1 - (x - left)) + grid[top][right] * (x - left)
    lower = grid[bottom][left] * (1 - (x - left)) + grid[bottom][right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def softmax(values: list[float]) -> list[float]:
    raised = [math.exp(value) for value in values]
    return [value / sum(raised) for value in raised]


Pixel = tuple[int, float, int]  # label, confidence, phrase


def naive_image(maps: ClassMaps, image: int, threshold: float, min_area: float) -> list[list[Pixel]]:
    height, width = maps.size
    grids, winners = maps.maps[image].double().tolist(), maps.winning_phrase[image].tolist()
    rows, columns = len(grids[0]), len(grids[0][0])
    probabilities = [
        [softmax([maps.logit_scale * bilinear(grid, y, x, maps.size) for grid in grids]) for x in range(width)]
        for y in range(height)
    ]
    first = [pixel.index(max(pixel)) for line in probabilities for pixel in line]
    small = {label for label in set(first) if first.count(label) / len(first) < min_area}
    if small == set(first):
        small = set()
    decided = []
    for y in range(height):
        line: list[Pixel] = []
        for x in range(width):
            confidence, label = max((p, -c) for c, p in enumerate(probabilities[y][x]) if c not in small)
            phrase = winners[-label][y * rows // height][x * columns // width]
            if confidence < threshold:
                label = -UNKNOWN if maps.classes.background is None else -maps.classes.background
                phrase = -1
            line.append((-label, confidence, phrase))
        decided.append(line)
    return decided


@pytest.mark.parametrize("min_area", [0.0, 0.2, 0.35, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
@pytest.mark.parametrize("sky", ["thing", "background"])
@pytest.mark.parametrize("size", [(13, 21), (2, 3), (3, 5)])
def test_labels_equal_a_loop_over_pixels(size: tuple[int, int], sky: str, threshold: float, min_area: float) -> None:
    maps = random_maps(size, sky)
    result = label_pixels(maps, threshold=threshold, min_area=min_area)
    assert result.labels.shape == (2, *size)
    assert result.labels.dtype == torch.int64
    assert result.confidence is not None
    for image in range(2):
        pixels = [pixel for line in naive_image(maps, image, threshold, min_area) for pixel in line]
        assert result.labels[image].flatten().tolist() == [pixel[0] for pixel in pixels]
        assert result.confidence[image].flatten().tolist() == pytest.approx([pixel[1] for pixel in pixels], abs=1e-5)
        assert result.winning_phrase[image].flatten().tolist() == [pixel[2] for pixel in pixels]


def one_row(*columns: tuple[float, float, float]) -> Tensor:
    """Maps of one image of one row: the three scores of each pixel."""
    return torch.tensor(columns).T.reshape(1, 3, 1, len(columns))


def test_by_hand() -> None:
    maps = class_maps(one_row((math.log(6), math.log(3), 0.0), (0.0, 0.0, math.log(8))), (1, 2))
    result = label_pixels(maps)
    assert result.labels.tolist() == [[[0, 2]]]
    assert result.confidence.flatten().tolist() == pytest.approx([0.6, 0.8])
    assert (result.names, result.phrases) == (("dog", "car", "sky"), PHRASES)
    assert result.palette == make_palette(3)


@pytest.mark.parametrize(("sky", "label"), [("thing", UNKNOWN), ("background", 2)])
def test_unsure_pixels(sky: str, label: int) -> None:
    maps = class_maps(one_row((math.log(6), math.log(3), 0.0), (0.0, math.log(8), 0.0)), (1, 2), sky=sky)
    result = label_pixels(maps, threshold=0.7)
    assert result.labels.tolist() == [[[label, 1]]]
    assert result.confidence.flatten().tolist() == pytest.approx([0.6, 0.8]), "of the most likely class"


def test_certain_pixels_pass_any_threshold() -> None:
    maps = class_maps(one_row((1000.0, 0.0, 0.0)), (1, 1))
    assert label_pixels(maps, threshold=1.0).labels.tolist() == [[[0]]]


@pytest.mark.parametrize(("min_area", "label"), [(0.25, 0), (0.26, 1)])
def test_small_class_gives_way_to_the_next_best(min_area: float, label: int) -> None:
    maps = class_maps(one_row((3.0, 2.0, 0.0), *[(0.0, 3.0, 2.0)] * 3), (1, 4))
    assert label_pixels(maps, min_area=min_area).labels.tolist() == [[[label, 1, 1, 1]]]


def test_nothing_is_given_up_where_all_are_small() -> None:
    maps = class_maps(one_row((3.0, 2.0, 0.0), (0.0, 3.0, 2.0)), (1, 2))
    assert label_pixels(maps, min_area=0.9).labels.tolist() == [[[0, 1]]]


@pytest.mark.parametrize("place", ["threshold", "min_area"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_shares_are_from_0_to_1(place: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        label_pixels(random_maps((2, 3)), **{place: value})
    assert str(caught.value) == f"{place}: {value!r}; expected a number from 0 to 1."


def told(labels: list[list[int]], phrases: list[list[int]]) -> LabelMap:
    tensor = torch.tensor([labels])
    names = ("dog", "car", "sky")
    return LabelMap(tensor, names, make_palette(3), torch.ones(tensor.shape), torch.tensor([phrases]), PHRASES)


def test_labels_told_by_phrase() -> None:
    result = label_phrases(told([[0, 0, 1, UNKNOWN], [0, 2, 1, 2]], [[1, 0, 3, -1], [1, -1, 2, 4]]))
    assert result.names == ("dog", "dog: poodle", "car", "car: taxi", "sky")
    assert result.labels.tolist() == [[[1, 0, 3, UNKNOWN], [1, 4, 2, 4]]]
    assert len(set(result.palette)) == 5
    assert set(result.winning_phrase.flatten().tolist()) == {-1}


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_labels_told_by_phrase_equal_a_loop(threshold: float) -> None:
    before = label_pixels(random_maps((7, 9), "background"), threshold=threshold)
    after = label_phrases(before)
    assert len(set(after.names)) == len(after.names)
    for index in range(before.labels.numel()):
        label, phrase = int(before.labels.flatten()[index]), int(before.winning_phrase.flatten()[index])
        name = before.names[label]
        text = name if phrase < 0 or PHRASES[phrase] == name else f"{name}: {PHRASES[phrase]}"
        assert after.names[int(after.labels.flatten()[index])] == text
    assert after.labels.unique().tolist() == list(range(len(after.names)))


def test_nothing_known_to_tell() -> None:
    result = label_phrases(told([[UNKNOWN, UNKNOWN]], [[-1, -1]]))
    assert (result.names, result.labels.tolist()) == ((), [[[UNKNOWN, UNKNOWN]]])


@pytest.mark.parametrize("rows", [1, 3, 1000])
@pytest.mark.parametrize(("grid", "size"), [((3, 5), (17, 11)), ((4, 2), (4, 2)), ((1, 1), (6, 3)), ((9, 8), (4, 5))])
def test_bands_of_rows_are_the_whole_upsampling(grid, size, rows):
    maps = torch.rand(2, *grid)
    whole = torch.nn.functional.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
    bands = list(labels._upsampled_bands(maps, size, rows))
    assert max(band.shape[1] for band in bands) <= rows
    assert torch.allclose(torch.cat(bands, 1), whole, atol=1e-6)
