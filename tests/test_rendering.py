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
    draw_legend,
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


def test_legend_shows_each_colour_on_its_line() -> None:
    entries = [("dog", (200, 0, 0)), ("a longer name", (0, 200, 0)), ("\u6f22 \U0001f98a", (0, 0, 200))]
    legend = draw_legend(entries, height=10)
    assert legend.height > 10
    pixels = np.asarray(legend)
    rows = [np.argwhere((pixels == colour).all(2))[:, 0].mean() for _, colour in entries]
    assert rows == sorted(rows)
    assert np.diff(rows) == pytest.approx(20)
    assert tuple(pixels[0, 0]) == PAPER
    assert (pixels == INK).all(2).any(), "text and frames are drawn"
    assert legend.width > draw_legend(entries[:1], 10).width, "as wide as its longest text"


def test_legend_of_nothing_is_paper() -> None:
    legend = draw_legend([], height=33)
    assert legend.height == 33
    assert legend.getcolors() == [(33 * legend.width, PAPER)]


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


def test_long_legends_are_cut() -> None:
    count = rendering.LEGEND_ENTRIES + 9
    labels = np.arange(count).reshape(1, 1, count).repeat(2, axis=1)
    result = label_map(labels, tuple(f"class {n}" for n in range(count)))
    picture = overlay_image(result, np.zeros((2, count, 3), dtype=np.uint8))
    full = draw_legend([("class", (0, 0, 0))] * (rendering.LEGEND_ENTRIES + 1), 2)
    assert picture.height == full.height


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
