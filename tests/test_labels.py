"""Class maps to labels, against a loop over pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from slow_scores import PUBLISHED_CASES, make_bank, make_features, make_scores, published_scores, units
from torch import Tensor
from torch.overrides import TorchFunctionMode

from llmseg import assembly, sampling
from llmseg.assembly import AssembledMaps, assemble_classes
from llmseg.class_maps import ClassMaps, HeldMaps
from llmseg.errors import InputError
from llmseg.labels import label_phrases, label_pixels
from llmseg.modes import MODES
from llmseg.palette import make_palette
from llmseg.scores import score_image
from llmseg.types import UNKNOWN, ClassList, ClassName, LabelMap
from llmseg.windows import PUBLISHED

PHRASES = ("dog", "poodle", "car", "taxi", "sky")
INDEX = [2, 0, 0, 1, 0, 2, 3]  # in no order


def class_maps(maps: Tensor, size: tuple[int, int], scale: float = 1.0, sky: str = "thing", **given: Any) -> ClassMaps:
    classes = ClassList((ClassName("dog"), ClassName("car"), ClassName("sky", role=sky)))
    return ClassMaps(HeldMaps(maps), classes, PHRASES, size, scale, "max", **given)


def random_maps(size: tuple[int, int], sky: str = "thing", **given: Any) -> ClassMaps:
    maps = torch.randn(2, 3, 3, 5, generator=torch.Generator().manual_seed(0))
    maps = maps.softmax(1) * 0.9 if given.get("probabilities") else maps
    return class_maps(maps, size, 1.7, sky, **given)


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


Pixel = tuple[int, float]  # label, confidence


def naive_image(maps: ClassMaps, image: int, threshold: float, min_area: float) -> list[Pixel]:
    height, width = maps.size
    grids = maps.maps[image].double().tolist()
    present = [True] * len(grids) if maps.present is None else maps.present[image].tolist()
    pixels = []
    for y in range(height):
        for x in range(width):
            values = [bilinear(grid, y, x, maps.size) for grid in grids]
            if not maps.probabilities:
                values = [v * maps.logit_scale if there else -1e9 for v, there in zip(values, present, strict=True)]
                values = softmax(values) if any(present) else [0.0] * len(values)
            pixels.append([p if there else 0.0 for p, there in zip(values, present, strict=True)])
    first = [pixel.index(max(pixel)) for pixel in pixels if max(pixel) > 0]
    small = {label for label in set(first) if first.count(label) / len(pixels) < min_area}
    if small == set(first):
        small = set()
    decided: list[Pixel] = []
    for pixel in pixels:
        confidence, label = max((0.0 if c in small else p, -c) for c, p in enumerate(pixel))
        if confidence < threshold or confidence <= 0:
            label = -UNKNOWN if maps.classes.background is None else -maps.classes.background
        decided.append((-label, confidence))
    return decided


PRESENT = torch.tensor([[True, False, True], [False, False, False]])


@pytest.mark.parametrize("given", [{}, {"probabilities": True}, {"present": PRESENT}], ids=["scores", "sure", "gated"])
@pytest.mark.parametrize("min_area", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
@pytest.mark.parametrize("sky", ["thing", "background"])
@pytest.mark.parametrize("size", [(11, 17), (2, 3), (3, 5)])
def test_labels_equal_a_loop_over_pixels(
    size: tuple[int, int], sky: str, threshold: float, min_area: float, given: dict[str, Any]
) -> None:
    maps = random_maps(size, sky, **given)
    result = label_pixels(maps, threshold=threshold, min_area=min_area)
    assert result.labels.shape == (2, *size)
    assert result.labels.dtype == torch.int64
    for image in range(2):
        pixels = naive_image(maps, image, threshold, min_area)
        assert result.labels[image].flatten().tolist() == [pixel[0] for pixel in pixels]
        assert result.confidence[image].flatten().tolist() == pytest.approx([pixel[1] for pixel in pixels], abs=1e-5)
    assert (result.winning_phrase == -1).all(), "maps without scores know of no phrase"


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


def test_a_threshold_does_not_depend_on_the_number_of_phrases() -> None:
    names = units(3, seed=2)
    few = make_scores([0, 1, 2], embeddings=names, names=names)
    many = make_scores([0, 1, 2, *[2] * 9], embeddings=names[[0, 1, 2, *[2] * 9]], names=names)
    for mode in ("max", "lme", "blend"):
        one, other = (label_pixels(assemble_classes(scores, mode), threshold=0.9) for scores in (few, many))
        torch.testing.assert_close(one.confidence, other.confidence, atol=1e-5, rtol=0)
        assert one.labels.equal(other.labels)
        assert 0 < int((one.labels == UNKNOWN).sum()) < one.labels.numel()


@pytest.mark.parametrize(("sky", "label"), [("thing", UNKNOWN), ("background", 2)])
def test_pixels_that_nobody_painted_are_unknown(sky: str, label: int) -> None:
    values = one_row((0.0, 0.0, 0.0), (0.0, 0.2, 0.0), (0.1, 0.2, 0.0))
    result = label_pixels(class_maps(values, (1, 3), sky=sky, probabilities=True))
    assert result.labels.tolist() == [[[label, 1, 1]]]
    assert result.confidence.flatten().tolist() == pytest.approx([0, 0.2, 0.2])


# --- given up ---


@pytest.mark.parametrize(("min_area", "label"), [(0.25, 0), (0.26, 1)])
def test_small_class_gives_way_to_the_next_best(min_area: float, label: int) -> None:
    maps = class_maps(one_row((3.0, 2.0, 0.0), *[(0.0, 3.0, 2.0)] * 3), (1, 4))
    assert label_pixels(maps, min_area=min_area).labels.tolist() == [[[label, 1, 1, 1]]]


def test_nothing_is_given_up_where_all_are_small() -> None:
    maps = class_maps(one_row((3.0, 2.0, 0.0), (0.0, 3.0, 2.0)), (1, 2))
    assert label_pixels(maps, min_area=0.9).labels.tolist() == [[[0, 1]]]


def test_pixels_that_nobody_painted_are_no_area_of_a_class() -> None:
    painted = class_maps(one_row((0.3, 0.2, 0.0), *[(0.0, 0.3, 0.0)] * 3, *[(0.0, 0.0, 0.0)] * 6), (1, 10))
    result = label_pixels(replace(painted, probabilities=True), min_area=0.2)
    assert result.labels.tolist() == [[[1] * 4 + [UNKNOWN] * 6]]


def test_area_is_counted_image_by_image() -> None:
    first, second = one_row((3.0, 2.0, 0.0), *[(0.0, 3.0, 2.0)] * 3), one_row(*[(3.0, 2.0, 0.0)] * 4)
    result = label_pixels(class_maps(torch.cat([first, second]), (1, 4)), min_area=0.3)
    assert result.labels.tolist() == [[[1, 1, 1, 1]], [[0, 0, 0, 0]]]


# --- classes that only compete ---


def test_negative_classes_are_left_out_of_the_result() -> None:
    values = one_row((0.0, 0.0, 5.0), (5.0, 0.0, 0.0), (0.0, 5.0, 0.0))
    result = label_pixels(class_maps(values, (1, 3), sky="negative"))
    assert result.names == ("dog", "car")
    assert len(result.palette) == 2
    assert result.labels.tolist() == [[[UNKNOWN, 0, 1]]]
    assert result.confidence.flatten().tolist() == pytest.approx([math.exp(5) / (math.exp(5) + 2)] * 3)


def test_pixels_of_negative_classes_are_background_where_there_is_one() -> None:
    scores = make_scores(INDEX, roles=["thing", "background", "thing", "negative"])
    result = label_pixels(assemble_classes(scores, "max"))
    everybody = label_pixels(assemble_classes(make_scores(INDEX), "max"))
    assert result.names == ("class 0", "class 1", "class 2")
    negative = everybody.labels == 3
    assert 0 < int(negative.sum()) < negative.numel()
    assert result.labels.equal(everybody.labels.masked_fill(negative, 1))
    assert result.winning_phrase.equal(everybody.winning_phrase.masked_fill(negative, -1))
    assert label_phrases(result).labels.shape == result.labels.shape


# --- gate ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scoring", ["fast", "exact"])
def test_an_absent_class_never_wins(scoring: str, mode: str) -> None:
    scores = make_scores(INDEX, scoring=scoring, names=units(4, seed=6), logit_scale=9.0)
    maps = assemble_classes(scores, mode, gate="simseg")
    assert maps.present is not None
    result = label_pixels(maps)
    for image in range(2):
        present = set(maps.present[image].nonzero()[:, 0].tolist())
        assert 0 < len(present) < 4
        assert set(result.labels[image].unique().tolist()) <= {*present, *({UNKNOWN} if mode == "vote" else ())}
        open_gate = replace(maps, present=None)
        won = label_pixels(open_gate).labels[image]
        kept = torch.tensor([label in present for label in won.flatten().tolist()]).view_as(won)
        assert result.labels[image][kept].equal(won[kept]), "who wins among all wins among some"


def test_where_no_class_is_present_nothing_is_known() -> None:
    maps = random_maps((4, 6), present=torch.zeros(2, 3, dtype=torch.bool))
    result = label_pixels(maps)
    assert (result.labels == UNKNOWN).all()
    assert (result.confidence == 0).all()


# --- the published order ---


@pytest.mark.parametrize("case", PUBLISHED_CASES)
def test_exact_labels_are_the_published_order(case: str) -> None:
    """Softmax over all phrases, each class's best by a one-hot product, argmax."""
    features, bank = make_features(**PUBLISHED_CASES[case]), make_bank(INDEX)
    maps = assemble_classes(score_image(features, bank, "exact"), "softmax_max")
    result = label_pixels(maps)
    one_hot = torch.nn.functional.one_hot(bank.class_index).T.float()  # [C,K]
    for image in range(len(maps)):
        z = published_scores(features, image, bank.embeddings)
        p = (40 * z).softmax(0)
        wanted = (one_hot[:, :, None, None] * p).amax(1)
        torch.testing.assert_close(maps.maps[image], wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(result.confidence[image], wanted.amax(0), atol=1e-5, rtol=0)
        assert same_where_sure(result.labels[image], wanted)
        own = z.masked_fill(bank.class_index[:, None, None] != result.labels[image], -2)
        assert same_where_sure(result.winning_phrase[image], own)


def same_where_sure(found: Tensor, values: Tensor) -> bool:
    """Whether the largest value is found wherever it is not equal to the next but for rounding."""
    best = values.topk(2, 0)
    sure = best.values[0] - best.values[1] > 2e-5
    assert sure.float().mean() > 0.9
    return found[sure].equal(best.indices[0][sure])


# --- winning phrases ---


def test_phrases_by_hand() -> None:
    """Class 0 has its phrases at 1 and 3; the second is better on the right."""
    embeddings = torch.eye(6)[[2, 0, 2, 1]]
    scores = make_scores([1, 0, 2, 0], embeddings=embeddings, names=torch.eye(6)[[3, 4, 5]], size=(8, 16), images=1)
    values = torch.tensor([[1.0, 0.5, 0, 0, 0, 0], [0.5, 1.0, 0, 0, 0, 0]]).view(1, 1, 2, 6)
    scores = replace(scores, layers=(replace(scores.layers[0], values=values),))
    result = label_pixels(assemble_classes(scores, "max"))
    assert (result.labels == 0).all()
    assert result.winning_phrase[0].tolist() == [[1] * 8 + [3] * 8] * 8
    assert (label_pixels(assemble_classes(scores, "off")).winning_phrase == -1).all()


@pytest.mark.parametrize("weights", [None, [1.0, 0.2, 1.0, 0.3, 1.0, 2.0, 0.5]], ids=["alike", "weighted"])
@pytest.mark.parametrize("scoring", ["fast", "exact"])
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "off"])
def test_the_winning_phrase_is_the_best_of_the_decided_class(
    mode: str, scoring: str, weights: list[float] | None
) -> None:
    scores = make_scores(INDEX, scoring=scoring, size=(10, 13), seen=(40, 56), weights=weights)
    result = label_pixels(assemble_classes(scores, mode))
    for image in range(2):
        z = scores.phrase_scores(image).tolist()
        for y in range(10):
            for x in range(13):
                row, column = y * scores.grid[0] // 10, x * scores.grid[1] // 13
                own = [n for n, owner in enumerate(INDEX) if owner == int(result.labels[image, y, x])]
                values = [z[n][row][column] + (0 if weights is None else math.log(weights[n]) / 40) for n in own]
                found = own.index(int(result.winning_phrase[image, y, x]))
                assert values[found] == pytest.approx(max(values), abs=1e-6)


def test_the_first_of_equal_phrases_wins() -> None:
    embeddings = units(3, seed=5)[[2, 0, 0, 1, 0, 2, 2]]
    result = label_pixels(assemble_classes(make_scores([2, 0, 0, 1, 0, 2, 2], embeddings=embeddings), "max"))
    assert result.winning_phrase.unique().tolist() == [0, 1, 3]


# --- tile by tile ---

LARGE: dict[str, Any] = {"size": (36, 53), "seen": (40, 56), "window": 24, "stride": 16}


@pytest.mark.parametrize("mode", ["max", "blend", "vote"])
@pytest.mark.parametrize("scoring", ["fast", "exact"])
def test_small_tiles_change_nothing(scoring: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = assemble_classes(make_scores(INDEX, scoring=scoring, **LARGE), mode)
    whole = label_pixels(maps, min_area=0.25)
    for band, numbers in ((5, 1), (8, 7 * 53 * 12)):  # parts of bands, bands
        monkeypatch.setattr(sampling, "SMALLEST_BAND", band)
        monkeypatch.setattr(sampling, "SMALLEST_SIDE", 9)
        monkeypatch.setattr(sampling, "NUMBERS_PER_TILE", numbers)
        tiled = label_pixels(maps, min_area=0.25)
        assert tiled.labels.equal(whole.labels)
        assert tiled.winning_phrase.equal(whole.winning_phrase)
        torch.testing.assert_close(tiled.confidence, whole.confidence, atol=1e-5, rtol=0)


@pytest.mark.parametrize("gate", ["none", "simseg"])
@pytest.mark.parametrize("mode", MODES)
def test_maps_made_when_asked_for_give_the_labels_of_held_ones(
    mode: str, gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = make_scores(INDEX, names=units(4, seed=6), **LARGE)
    held = label_pixels(assemble_classes(scores, mode, gate=gate))
    monkeypatch.setattr(assembly, "MOST_HELD", 0)
    monkeypatch.setattr(sampling, "SMALLEST_SIDE", 17)
    monkeypatch.setattr(sampling, "NUMBERS_PER_TILE", 1)
    lazy = assemble_classes(scores, mode, gate=gate)
    assert isinstance(lazy.source, AssembledMaps)
    result = label_pixels(lazy)
    assert (result.labels == held.labels).float().mean() > 0.999, "but for rounding"
    assert (result.winning_phrase == held.winning_phrase).float().mean() > 0.999
    torch.testing.assert_close(result.confidence, held.confidence, atol=1e-5, rtol=0)


class Largest(TorchFunctionMode):
    """Remembers the most numbers that any tensor made inside holds."""

    numbers = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(made, Tensor):
                self.numbers = max(self.numbers, made.numel())
        return out


@pytest.mark.parametrize("mode", ["softmax_max", "blend"])
def test_no_tensor_of_all_phrases_at_all_pixels_is_ever_made(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size, phrases = (200, 200), 300
    index = [number // 2 for number in range(phrases)]
    given = {"size": size, "seen": (100, 100), "window": 40, "stride": 30, "layout": PUBLISHED, "images": 1}
    maps = assemble_classes(make_scores(index, scoring="exact", **given), mode)
    monkeypatch.setattr(sampling, "NUMBERS_PER_TILE", 2**17)
    monkeypatch.setattr(sampling, "SMALLEST_SIDE", 16)
    with Largest() as largest:
        result = label_pixels(maps)
    assert result.labels.shape == (1, *size)
    tile = max(2**17, sampling.SMALLEST_BAND * 16 * phrases)
    assert size[0] * size[1] <= largest.numbers <= 2 * tile < phrases * size[0] * size[1] / 40


# --- refused ---


@pytest.mark.parametrize("place", ["threshold", "min_area"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_shares_are_from_0_to_1(place: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        label_pixels(random_maps((2, 3)), **{place: value})
    assert str(caught.value) == f"{place}: {value!r}; expected a number from 0 to 1."


# --- told by phrase ---


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
    scores = make_scores(INDEX, roles=["thing", "thing", "background", "thing"], size=(7, 9), seen=(40, 56))
    before = label_pixels(assemble_classes(scores, "max"), threshold=threshold)
    after = label_phrases(before)
    assert len(set(after.names)) == len(after.names)
    for index in range(before.labels.numel()):
        label, phrase = int(before.labels.flatten()[index]), int(before.winning_phrase.flatten()[index])
        name = before.names[label]
        text = name if phrase < 0 or before.phrases[phrase] == name else f"{name}: {before.phrases[phrase]}"
        assert after.names[int(after.labels.flatten()[index])] == text
    assert after.labels.unique().tolist() == list(range(len(after.names)))


def test_nothing_known_to_tell() -> None:
    result = label_phrases(told([[UNKNOWN, UNKNOWN]], [[-1, -1]]))
    assert (result.names, result.labels.tolist()) == ((), [[[UNKNOWN, UNKNOWN]]])
