"""`sampling`: two small matrices do what resizing, adding up windows and resizing again do; tiles are the whole."""

from __future__ import annotations

import random
from itertools import product

import pytest
import torch
from torch.nn.functional import interpolate

from llmseg import sampling
from llmseg.errors import InputError
from llmseg.sampling import Box, Sampler, enlarge_axis, tile_boxes, window_axis

# points of the original, pixels of the resized line, pixels of a window, where windows start, patches of a window
LINES = {
    "one window": (20, 16, 16, (0,), 2),
    "one patch": (5, 8, 8, (0,), 1),
    "on the grid": (32, 32, 16, (0, 8, 16), 2),
    "between patches": (37, 41, 24, (0, 13, 17), 3),
    "no whole patches": (40, 45, 30, (0, 15), 3),
    "side by side": (30, 48, 16, (0, 16, 32), 2),
    "original smaller": (11, 40, 24, (0, 16), 3),
    "original a point": (1, 24, 16, (0, 8), 2),
    "original larger": (90, 40, 24, (0, 11, 16), 3),
}


def slow_line(values, points):
    """Value at the centre of every point, ends repeated."""
    cells = len(values)
    line = []
    for point in range(points):
        place = min(max((point + 0.5) * cells / points - 0.5, 0), cells - 1)
        before = int(place)
        after = min(before + 1, cells - 1)
        line.append(values[before] * (1 - (place - before)) + values[after] * (place - before))
    return line


def slow_windows(windows, points, length, window, starts):
    """Windows of one line enlarged, added up, divided by the count, the whole resized."""
    total, count = [0.0] * length, [0] * length
    for start, values in zip(starts, windows, strict=True):
        for offset, value in enumerate(slow_line(values, window)):
            total[start + offset] += value
            count[start + offset] += 1
    return slow_line([t / c for t, c in zip(total, count, strict=True)], points)


@pytest.mark.parametrize(("points", "cells"), [(7, 3), (8, 4), (3, 7), (5, 5), (1, 4), (6, 1), (1, 1), (33, 32)])
def test_enlarging_a_line_equals_a_loop_over_points(points, cells):
    values = torch.rand(cells, generator=torch.Generator().manual_seed(0))
    weights = enlarge_axis(points, cells)
    assert weights.shape == (points, cells)
    assert (weights @ values).tolist() == pytest.approx(slow_line(values.tolist(), points), abs=1e-5)
    assert weights.sum(1).tolist() == pytest.approx([1.0] * points)


def test_enlarging_by_hand():
    assert enlarge_axis(4, 2).tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]


@pytest.mark.parametrize("line", LINES)
def test_windows_of_a_line_equal_loops(line):
    points, length, window, starts, cells = LINES[line]
    windows = torch.rand(len(starts), cells, generator=torch.Generator().manual_seed(1))
    weights = window_axis(*LINES[line])
    assert weights.shape == (points, len(starts) * cells)
    wanted = slow_windows(windows.tolist(), points, length, window, starts)
    assert (weights @ windows.flatten()).tolist() == pytest.approx(wanted, abs=1e-6)
    assert weights.sum(1).tolist() == pytest.approx([1.0] * points, abs=1e-6), "constant maps stay constant"


def test_overlapping_windows_by_hand():
    # Pixels 0 1 2, windows 0-1 and 1-2 of one patch each: the middle pixel is the mean of both.
    assert window_axis(3, 3, 2, (0, 1), 1).tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


SAMPLERS = {
    "cells": (Sampler(), (9, 14)),
    "rows": (Sampler(rows=enlarge_axis(31, 9)), (9, 14)),
    "columns": (Sampler(columns=enlarge_axis(40, 14)), (9, 14)),
    "enlarged": (Sampler(enlarge_axis(31, 9), enlarge_axis(40, 14)), (9, 14)),
    "reduced": (Sampler(enlarge_axis(5, 9), enlarge_axis(3, 14)), (9, 14)),
    "windows": (Sampler(window_axis(*LINES["between patches"]), window_axis(*LINES["original larger"])), (9, 9)),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_any_tile_is_the_crop_of_the_whole(name):
    sampler, (rows, columns) = SAMPLERS[name]
    height = rows if sampler.rows is None else len(sampler.rows)
    width = columns if sampler.columns is None else len(sampler.columns)
    values = torch.rand(rows, 3, columns, generator=torch.Generator().manual_seed(2))
    box = Box(slice(0, height), slice(0, width))
    needed = sampler.cells(box)
    whole = sampler.sample(values[needed.rows, :, needed.columns], box)
    assert whole.shape == (height, 3, width)
    chooser = random.Random(name)
    for _ in range(25):
        box = Box(*(slice(*sorted(chooser.sample(range(side + 1), 2))) for side in (height, width)))
        cells = sampler.cells(box)
        tile = sampler.sample(values[cells.rows, :, cells.columns], box)
        torch.testing.assert_close(tile, whole[box.rows, :, box.columns], atol=1e-6, rtol=0)


def test_enlarging_both_axes_is_bilinear_resizing():
    values = torch.rand(3, 9, 14, generator=torch.Generator().manual_seed(3))
    sampler, box = Sampler(enlarge_axis(31, 9), enlarge_axis(40, 14)), Box(slice(0, 31), slice(0, 40))
    wanted = interpolate(values[None], size=(31, 40), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(sampler.sample(values.transpose(0, 1), box).transpose(0, 1), wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_tile_needs_exactly_the_cells_that_weigh_in_it(name):
    sampler, (rows, columns) = SAMPLERS[name]
    for weights, axis, length in ((sampler.rows, 0, rows), (sampler.columns, 1, columns)):
        points = slice(2, 3) if weights is None else slice(1, min(3, len(weights)))
        needed = sampler.cells(Box(points, points))[axis]
        if weights is None:
            assert needed == points
        else:
            used = [cell for cell in range(length) if weights[points, cell].any()]
            assert (needed.start, needed.stop) == (min(used), max(used) + 1)


def test_values_keep_their_precision():
    values = torch.rand(2, 3, 4, dtype=torch.float64)
    sampler = Sampler(enlarge_axis(5, 2), enlarge_axis(6, 4))
    assert sampler.sample(values, Box(slice(0, 5), slice(0, 6))).dtype == torch.float64


# --- tiles ---

SIZES = [(1, 1), (1, 97), (97, 1), (3, 1000), (1000, 3), (64, 64), (65, 129), (375, 500), (500, 375)]


@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_every_point_exactly_once(size):
    for channels, at_once in product([1, 7, 300, 10**5, 10**9], [1, 1000, 2**17, None]):
        seen = torch.zeros(size, dtype=torch.int64)
        most = max((at_once or sampling.NUMBERS_PER_TILE) // channels, sampling.SMALLEST_BAND * sampling.SMALLEST_SIDE)
        for box in tile_boxes(size, channels, at_once):
            part = seen[box]
            assert (box.rows.stop <= size[0], box.columns.stop <= size[1]) == (True, True)
            assert 1 <= part.numel() <= most
            seen[box] += 1
        assert bool((seen == 1).all())


def test_few_channels_come_in_bands_of_whole_rows_and_many_in_parts_of_them():
    bands = list(tile_boxes((100, 50), 4, at_once=50 * 4 * 30))
    assert bands == [Box(slice(top, min(top + 30, 100)), slice(0, 50)) for top in (0, 30, 60, 90)]
    parts = list(tile_boxes((40, 400), 4, at_once=4 * 16 * 150))
    assert [(box.rows.start, box.columns.start) for box in parts] == [
        (top, left) for top in (0, 16, 32) for left in (0, 150, 300)
    ], "in reading order"
    assert parts[-1] == Box(slice(32, 40), slice(300, 400))
    assert list(tile_boxes((5, 3), 1)) == [Box(slice(0, 5), slice(0, 3))]


def test_a_tile_has_a_least_size(monkeypatch):
    monkeypatch.setattr(sampling, "NUMBERS_PER_TILE", 1)
    starts = [(box.rows.start, box.columns.start) for box in tile_boxes((20, 130), 10)]
    assert starts == [(top, left) for top in (0, 16) for left in (0, 64, 128)]


def test_a_gpu_gets_fewer_and_larger_tiles():
    here, there = (len(list(tile_boxes((512, 512), 171, device=torch.device(name)))) for name in ("cpu", "cuda"))
    assert here == len(list(tile_boxes((512, 512), 171)))
    assert there == 2 < here  # 512 x 512 x 171 numbers, 2**25 at once


def test_a_side_whose_weights_would_fill_the_memory_is_refused():
    with pytest.raises(InputError) as caught:
        enlarge_axis(100_000, 6_250)
    assert str(caught.value) == "image: a side of 100000 pixels is too long to enlarge; expected a smaller picture."
