"""`windows`: where windows lie, by walking; sizes as mmsegmentation resizes; what is refused."""

from __future__ import annotations

import itertools

import pytest

from llmseg import options
from llmseg.defaults import EngineDefaults
from llmseg.errors import InputError
from llmseg.windows import GRID, PUBLISHED, SQUASH, WindowPlan, choose_window, plan_windows, starts

DEFAULTS = EngineDefaults()  # window 224, stride 112


def slow_starts(length, window, stride):
    """Walk until the end is reached; step back where a window would stick out."""
    places, place = [], 0
    while place + window < length:
        places.append(place)
        place += stride
    return (*places, length - window)


def published_starts(length, window, stride):
    """mmsegmentation's slide inference."""
    count = max(length - window + stride - 1, 0) // stride + 1
    ends = [min(number * stride + window, length) for number in range(count)]
    return tuple(max(end - window, 0) for end in ends)


def plan(size, patch=8, *, window=0, stride=8, resize=0, factor=1.0, layout=GRID):
    return plan_windows(size, patch, window=window, stride=stride, resize=resize, factor=factor, layout=layout)


def corners(windows: WindowPlan):
    return [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in windows.boxes]


def test_layouts_are_the_listed_ones():
    assert list(options.LAYOUT.names) == [GRID, PUBLISHED, SQUASH]


# --- one row ---


def test_starts_equal_a_walk_and_mmsegmentation():
    for length, window, stride in itertools.product(range(1, 25), range(1, 14), range(1, 14)):
        if window <= length:
            got = starts(length, window, stride)
            assert got == slow_starts(length, window, stride) == published_starts(length, window, stride)


@pytest.mark.parametrize(
    ("length", "window", "stride", "wanted"),
    [
        (336, 224, 112, (0, 112)),
        (337, 224, 112, (0, 112, 113)),  # the last one is shifted back
        (224, 224, 112, (0,)),
        (448, 224, 28, (0, 28, 56, 84, 112, 140, 168, 196, 224)),
        (10, 4, 4, (0, 4, 6)),
    ],
)
def test_starts_by_hand(length, window, stride, wanted):
    assert starts(length, window, stride) == wanted


# --- boxes ---


@pytest.mark.parametrize("layout", [GRID, PUBLISHED])
@pytest.mark.parametrize("size", [(1, 1), (4, 6), (7, 5), (12, 12), (3, 40)])
def test_boxes_equal_brute_force_and_leave_no_patch_out(size, layout):
    for window, stride in itertools.product(range(1, 14), range(1, 14)):
        height, width = min(window, size[0]), min(window, size[1])
        wanted = [
            (top, left, top + height, left + width)
            for top in slow_starts(size[0], height, stride)
            for left in slow_starts(size[1], width, stride)
        ]
        got = plan(size, 1, window=window, stride=stride, layout=layout)
        assert corners(got) == wanted
        assert got.count == len(wanted)
        if stride <= min(height, width):
            covered = {(y, x) for t, l, b, r in wanted for y in range(t, b) for x in range(l, r)}  # noqa: E741
            assert covered == set(itertools.product(range(size[0]), range(size[1])))


def test_boxes_by_hand():
    assert corners(plan((16, 40), window=16, stride=16)) == [(0, 0, 16, 16), (0, 16, 16, 32), (0, 24, 16, 40)]
    assert corners(plan((16, 40), window=0)) == [(0, 0, 16, 40)]
    assert corners(plan((16, 40), window=72)) == [(0, 0, 16, 40)]


@pytest.mark.parametrize(
    ("size", "window", "tops", "lefts", "cells"),
    [
        ((336, 448), (224, 224), (0, 112), (0, 112, 224), (14, 14)),
        ((336, 337), (224, 224), (0, 112), (0, 112, 113), (14, 14)),
        ((224, 224), (224, 224), (0,), (0,), (14, 14)),
        ((200, 500), (200, 224), (0,), (0, 112, 224, 276), (12, 14)),
    ],
)
def test_published_windows_of_some_sizes(size, window, tops, lefts, cells):
    got = plan(size, 16, window=224, stride=112, layout=PUBLISHED)
    assert got == WindowPlan(size, window, tops, lefts, cells)


@pytest.mark.parametrize(
    ("size", "resized", "lefts", "cells"),
    [
        ((336, 448), (336, 448), (0, 112, 224), (14, 14)),
        ((336, 337), (336, 336), (0, 112), (14, 14)),
        ((224, 224), (224, 224), (0,), (14, 14)),
        ((200, 500), (192, 496), (0, 112, 224, 272), (12, 14)),  # 12.5 patches, halves to even
    ],
)
def test_windows_on_the_grid_of_the_same_sizes(size, resized, lefts, cells):
    got = plan(size, 16, window=224, stride=112)
    assert (got.size, got.lefts, got.cells) == (resized, lefts, cells)
    assert not any(place % 16 for place in (*got.size, *got.window, *got.tops, *got.lefts))


@pytest.mark.parametrize("layout", [GRID, PUBLISHED])
@pytest.mark.parametrize("size", [(336, 448), (337, 200), (375, 500), (96, 1000)])
def test_portrait_is_landscape_transposed(size, layout):
    options = {"window": 224, "stride": 112, "resize": 336, "factor": 0.7, "layout": layout}
    got, turned = plan(size, 16, **options), plan(size[::-1], 16, **options)
    assert turned == WindowPlan(got.size[::-1], got.window[::-1], got.lefts, got.tops, got.cells[::-1])
    assert {(c.start, r.start) for r, c in got.boxes} == {(r.start, c.start) for r, c in turned.boxes}


# --- sizes ---


@pytest.mark.parametrize(
    ("size", "resize", "resized"),
    [
        ((56, 88), 0, (56, 88)),
        ((56, 88), 28, (32, 48)),  # 3.5 and 5.5 patches, halves to even
        ((88, 56), 112, (176, 112)),
        ((1, 1), 0, (8, 8)),
        ((1, 1), 16, (16, 16)),
        ((5, 300), 0, (8, 304)),
        ((300, 5), 8, (480, 8)),
    ],
)
def test_the_grid_resizes_to_whole_patches(size, resize, resized):
    assert plan(size, resize=resize).size == resized


@pytest.mark.parametrize(
    ("size", "resize", "factor", "side"),
    [
        ((375, 500), 288, 1.0, 288),
        ((500, 375), 288, 0.5, 144),
        ((40, 90), 0, 1.0, 32),  # 2.5 patches of the short side, halves to even
        ((1, 1), 0, 1.0, 16),
    ],
)
def test_squash_makes_squares_of_whole_patches(size, resize, factor, side):
    got = plan(size, 16, window=0, resize=resize, factor=factor, layout=SQUASH)
    assert (got.size, got.cells) == ((side, side), (side // 16, side // 16))


def test_squash_cuts_windows_on_the_grid():
    got = plan((100, 70), 16, window=48, stride=32, resize=96, layout=SQUASH)
    assert (got.size, got.tops, got.lefts) == ((96, 96), (0, 32, 48), (0, 32, 48))
    with pytest.raises(InputError):
        choose_window(20, 16, EngineDefaults(), 16, SQUASH)


def mmsegmentation_size(size, short):
    """Resize(scale=(2048, short), keep_ratio=True)"""
    factor = min(2048 / max(size), short / min(size))
    return tuple(int(side * factor + 0.5) for side in size)


@pytest.mark.parametrize("short", [336, 448, 560])
@pytest.mark.parametrize("size", [(375, 500), (500, 375), (333, 500), (1024, 2048), (426, 640), (100, 2000), (97, 89)])
def test_the_published_resize_is_mmsegmentations(size, short):
    got = plan(size, 16, window=224, stride=112, resize=short, layout=PUBLISHED)
    assert got.size == mmsegmentation_size(size, short)


@pytest.mark.parametrize(
    ("size", "resize", "factor", "resized"),
    [
        ((375, 500), 336, 1.0, (336, 448)),
        ((100, 2000), 336, 1.0, (102, 2048)),  # never longer than 2048
        ((100, 2000), 336, 1.4, (102, 2048)),
        ((100, 2000), 336, 0.25, (84, 1680)),
        ((100, 3000), 0, 1.0, (100, 3000)),  # kept as it is
        ((101, 75), 0, 0.5, (51, 38)),  # halves up
        ((3, 5), 0, 1.0, (16, 16)),  # at least a patch
        ((2, 300), 16, 1.0, (16, 2048)),
    ],
)
def test_published_sizes_by_hand(size, resize, factor, resized):
    assert plan(size, 16, resize=resize, factor=factor, layout=PUBLISHED).size == resized


def test_what_is_over_whole_patches_is_not_a_cell():
    got = plan((45, 100), 16, window=40, stride=13, layout=PUBLISHED)
    assert (got.size, got.window, got.cells) == ((45, 100), (40, 40), (2, 2))
    assert got.tops == (0, 5)


# --- window and stride in use ---


AUTO = options.AUTO_NUMBER


@pytest.mark.parametrize("layout", [GRID, PUBLISHED])
@pytest.mark.parametrize(
    ("patch", "window", "stride", "wanted"),
    [
        (16, AUTO, AUTO, (224, 112)),
        (32, AUTO, AUTO, (224, 128)),  # 3.5 patches, halves to even
        (14, AUTO, AUTO, (224, 112)),
        (16, AUTO, 0, (224, 112)),
        (16, 0, AUTO, (0, 16)),
        (16, 0, 64, (0, 16)),  # one window has no step
        (16, 64, AUTO, (64, 64)),  # a default never leaves gaps
        (16, 64, 0, (64, 32)),
        (16, 16, 0, (16, {GRID: 16, PUBLISHED: 8})),
        (16, 48, 0, (48, {GRID: 16, PUBLISHED: 24})),
        (16, 448, 224, (448, 224)),
    ],
)
def test_window_and_stride_in_use(patch, window, stride, wanted, layout):
    side, step = wanted
    step = step[layout] if isinstance(step, dict) else step
    assert choose_window(window, stride, DEFAULTS, patch, layout) == (side, step)


def test_published_windows_need_not_be_whole_patches():
    assert choose_window(100, 28, DEFAULTS, 16, PUBLISHED) == (100, 28)


def test_a_defaults_window_of_0_is_the_whole_image():
    assert choose_window(AUTO, AUTO, EngineDefaults(window=0), 16, GRID) == (0, 16)


# --- refused ---


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (20, AUTO, "window: 20 pixels; expected a multiple of the model's patch size 8, such as 16."),
        (3, AUTO, "window: 3 pixels; expected a multiple of the model's patch size 8, such as 8."),
        (-8, AUTO, "window: -8 pixels; expected a multiple of the model's patch size 8, such as 8."),
        (AUTO, 13, "stride: 13 pixels; expected a multiple of the model's patch size 8, such as 16."),
        (AUTO, -16, "stride: -16 pixels; expected a multiple of the model's patch size 8, such as 8."),
        (16, 24, "stride: 24 pixels; expected at most the window, 16. Some patches would be in no window."),
    ],
)
def test_windows_that_do_not_fit_the_grid_are_refused(window, stride, message):
    with pytest.raises(InputError) as caught:
        choose_window(window, stride, DEFAULTS, 8, GRID)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (20, 21, "stride: 21 pixels; expected at most the window, 20. Some patches would be in no window."),
        (3, AUTO, "window: 3 pixels; expected 0 or at least 8."),
        (-1 - 8, AUTO, "window: -9 pixels; expected 0 or at least 8."),
    ],
)
def test_published_windows_smaller_than_a_patch_or_with_gaps_are_refused(window, stride, message):
    with pytest.raises(InputError) as caught:
        choose_window(window, stride, DEFAULTS, 8, PUBLISHED)
    assert str(caught.value) == message


@pytest.mark.parametrize("layout", [GRID, PUBLISHED])
@pytest.mark.parametrize(
    ("size", "numbers", "message"),
    [
        (
            (8, 1_100_000 * 64),
            {},
            "resize: 8800000 patches; expected at most 1048576. Choose a smaller size or a larger stride.",
        ),
        (
            (2048, 2048),
            {},
            "window: 65536 patches; expected at most 16384. Choose a smaller size or a larger stride.",
        ),
        (
            (4096, 4096),
            {"window": 1024, "stride": 64},
            "stride: 39337984 patches; expected at most 4194304. Choose a smaller size or a larger stride.",
        ),
    ],
)
def test_a_size_that_would_fill_the_memory_is_refused(size, numbers, message, layout):
    with pytest.raises(InputError) as caught:
        plan(size, layout=layout, **numbers)
    assert str(caught.value) == message
