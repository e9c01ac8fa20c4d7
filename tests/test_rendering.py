"""Overlays and legends, against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from llmseg import rendering
from llmseg.errors import InputError
from llmseg.palette import INK, PAPER, UNKNOWN_COLOUR, Colour, make_palette
from llmseg.rendering import (
    draw_overlay,
    draw_results,
    format_areas,
    image_to_array,
    overlay_image,
)
from llmseg.types import LabelMap

Bytes = NDArray[np.uint8]


def label_map(labels: NDArray[np.int64], names: tuple[str, ...]) -> LabelMap:
    tensor = torch.from_numpy(labels)
    return LabelMap(tensor, names, make_palette(len(names)), torch.ones(tensor.shape), torch.full_like(tensor, -1))


def random_case(size: tuple[int, int] = (9, 14)) -> tuple[Bytes, NDArray[np.int64]]:
    chance = np.random.default_rng(0)
    return chance.integers(0, 256, (*size, 3), dtype=np.uint8), chance.integers(-1, 3, size)


def naive_overlay(image: Bytes, labels: NDArray[np.int64], palette: tuple[Colour, ...], opacity: float) -> Bytes:
    drawn = np.zeros_like(image)
    for y, x in np.ndindex(labels.shape):
        label = labels[y, x]
        edge = (x > 0 and labels[y, x - 1] != label) or (y > 0 and labels[y - 1, x] != label)
        for channel, colour in enumerate(UNKNOWN_COLOUR if label < 0 else palette[label]):
            value = float(image[y, x, channel]) * (1 - opacity) + colour * opacity
            drawn[y, x, channel] = int(value * (1 - 0.6 * opacity if edge else 1) + 0.5)
    return drawn


@pytest.mark.parametrize("opacity", [0.0, 0.3, 0.55, 1.0])
def test_overlay_equals_a_loop(opacity: float) -> None:
    image, labels = random_case()
    palette = make_palette(3)
    drawn = draw_overlay(image, labels, palette, opacity)
    assert drawn.dtype == np.uint8
    assert drawn.shape == image.shape
    difference = np.abs(drawn.astype(int) - naive_overlay(image, labels, palette, opacity))
    assert difference.max() <= 1, "the twin is float64: exact halves may round apart"
    assert (difference > 0).mean() < 0.05


def test_overlay_by_hand() -> None:
    image = np.full((1, 3, 3), 100, dtype=np.uint8)
    drawn = draw_overlay(image, np.array([[0, 0, -1]]), [(200, 0, 50)], 0.5)
    dark = [round((100 + part) / 2 * 0.7) for part in UNKNOWN_COLOUR]
    assert drawn.tolist() == [[[150, 50, 75], [150, 50, 75], dark]]
    assert draw_overlay(image, np.array([[0, 1, 2]]), make_palette(3), 0).tolist() == image.tolist()


def naive_outline(labels: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    """Pixels of a class from which `width` steps sideways, up or down, each way once, reach another label."""
    found = np.zeros(labels.shape, dtype=bool)
    for y, x in np.ndindex(labels.shape):
        around = labels[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
        found[y, x] = labels[y, x] >= 0 and (around != labels[y, x]).any()
    return found


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("opacity", [0.0, 0.55])
def test_outlines_have_their_width_and_the_colour_of_their_class(width: int, opacity: float) -> None:
    labels = np.zeros((20, 31), dtype=np.int64)
    labels[:, 12:] = 1
    labels[9:, 20:] = -1
    image = np.random.default_rng(3).integers(40, 60, (*labels.shape, 3), dtype=np.uint8)
    palette = ((250, 0, 0), (0, 250, 0))
    plain = draw_overlay(image, labels, palette, opacity, 0)
    drawn = draw_overlay(image, labels, palette, opacity, width)
    line = (drawn == INK).all(2)
    outline = naive_outline(labels, width)
    colours = np.array([*palette, UNKNOWN_COLOUR])[labels]
    assert (drawn == colours).all(2)[outline & ~line].all()
    assert np.array_equal(drawn[~outline & ~line], plain[~outline & ~line]), "inside nothing is drawn"
    assert line.any() == (width > 1), "wide outlines are parted by a dark line"
    if width > 1:
        assert line[:, 12].all()
        assert not line[:, 11].any()


def test_no_outline_is_only_colour() -> None:
    image, labels = random_case()
    table = np.array([*make_palette(3), UNKNOWN_COLOUR], dtype=float)
    expected = (image * 0.75 + table[labels] * 0.25 + 0.5).astype(np.uint8)
    assert np.abs(draw_overlay(image, labels, make_palette(3), 0.25, 0).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("size", "width"), [(1024, 1), (1025, 2), (2049, 3)])
def test_dark_lines_grow_with_the_picture(size: int, width: int) -> None:
    labels = np.zeros((4, size), dtype=np.int64)
    labels[:, 500:] = 1
    drawn = draw_overlay(np.full((4, size, 3), 200, dtype=np.uint8), labels, ((200, 200, 200),) * 2, 0.5)
    assert (drawn[0] == (140, 140, 140)).all(1).nonzero()[0].tolist() == list(range(500, 500 + width))


def test_bands_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image, labels = random_case((13, 8))
    whole = [draw_overlay(image, labels, make_palette(3), 0.4, contour) for contour in (-1, 0, 2)]
    monkeypatch.setattr(rendering, "BAND", 24)
    for contour, expected in zip((-1, 0, 2), whole, strict=True):
        assert np.array_equal(draw_overlay(image, labels, make_palette(3), 0.4, contour), expected)


@pytest.mark.parametrize("size", [(9, 14), (200, 3), (1, 1)])
def test_picture_and_legend_side_by_side(size: tuple[int, int]) -> None:
    image, labels = random_case(size)
    result = label_map(np.stack([np.zeros_like(labels), labels]), ("dog", "car", "sky"))
    canvas = np.asarray(overlay_image(result, image, 1, 0.4))
    drawn = draw_overlay(image, labels, result.palette, 0.4)
    assert np.array_equal(canvas[: size[0], : size[1]], drawn)
    assert (canvas[size[0] :, : size[1]] == PAPER).all()
    legend = canvas[:, size[1] :]
    for label, colour in [(-1, UNKNOWN_COLOUR), *enumerate(result.palette)]:
        assert (legend == colour).all(2).any() == (label in labels)


def test_legend_lists_the_largest_first() -> None:
    result = label_map(np.array([[[0, 1, 1, 1, 1], [0, 2, 1, 1, 1]]]), ("dog", "car", "sky"))
    legend = np.asarray(overlay_image(result, np.zeros((2, 5, 3), dtype=np.uint8)))[:, 5:]
    rows = [np.argwhere((legend == colour).all(2))[:, 0].mean() for colour in result.palette]
    assert rows[1] < rows[0] < rows[2]


def test_legend_of_a_wide_picture_stands_below() -> None:
    labels = np.arange(600)[None].repeat(60, 0) // 300
    picture = overlay_image(label_map(labels[None], ("dog", "car")), np.zeros((60, 600, 3), dtype=np.uint8))
    assert picture.width == 600
    assert picture.height > 60
    below = np.asarray(picture)[60:]
    assert all((below == colour).all(2).any() for colour in make_palette(2))


def test_each_image_is_told_when_it_is_drawn() -> None:
    _, labels = random_case()
    result = label_map(np.stack([labels, labels]), ("dog", "car", "sky"))
    told: list[tuple[int, tuple[int, int]]] = []
    draw_results(
        result, torch.zeros(2, 3, 9, 14), legend=False, on_image=lambda done, image: told.append((done, image.size))
    )
    assert told == [(1, (14, 9)), (2, (14, 9))]


@pytest.mark.parametrize("legend", [True, False])
def test_batch_is_drawn_one_by_one(legend: bool) -> None:
    _, labels = random_case()
    result = label_map(np.stack([np.zeros_like(labels), labels]), ("dog", "car", "sky"))
    images = torch.rand(2, 3, 9, 14)
    drawn = draw_results(result, images, opacity=0.4, legend=legend)
    assert drawn.shape[:2] == (2, 3)
    assert drawn.dtype == torch.float32
    for index in range(2):
        array = image_to_array(images, index)
        single = np.asarray(overlay_image(result, array, index, 0.4))
        if not legend:
            single = draw_overlay(array, result.labels[index].numpy(), result.palette, 0.4)
        height, width = single.shape[:2]
        assert np.array_equal(image_to_array(drawn, index)[:height, :width], single)
    if not legend:
        assert drawn.shape[2:] == (9, 14)


def test_picture_of_another_size_is_resized_to_the_labels() -> None:
    result = label_map(np.zeros((1, 9, 14), dtype=np.int64), ("dog",))
    drawn = draw_results(result, torch.full((1, 3, 40, 20), 0.5), opacity=0, legend=False)
    assert drawn.shape == (1, 3, 9, 14)
    assert drawn.unique().tolist() == pytest.approx([128 / 255])


def test_one_image_for_each_label_map() -> None:
    result = label_map(np.zeros((2, 3, 4), dtype=np.int64), ("dog",))
    with pytest.raises(InputError) as caught:
        draw_results(result, torch.zeros(3, 3, 3, 4))
    assert str(caught.value) == "image: 3 images; expected 2, one per label map."


def test_areas_largest_first_and_unknown_last() -> None:
    labels = np.array([[[1, 1, 1, -1], [-1, -1, -1, 2]]])
    assert format_areas(label_map(labels, ("dog", "car", "sky"))) == " 37.50%  car\n 12.50%  sky\n 50.00%  unknown"
    assert format_areas(label_map(np.zeros((1, 2, 2), dtype=np.int64), ("dog",))) == "100.00%  dog"


def test_image_to_array_rounds_and_clamps() -> None:
    values = torch.tensor([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 2.0]).view(1, 1, 2, 3).expand(1, 3, 2, 3)
    array = image_to_array(values)
    assert array.shape == (2, 3, 3)
    assert array[..., 0].tolist() == [[0, 0, 0], [1, 128, 255]]
