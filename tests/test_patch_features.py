"""`patch_features`: windows in batches equal windows one by one; where windows lie."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import interpolate

from llmseg import patch_features
from llmseg.encoder import load_encoder
from llmseg.errors import InputError
from llmseg.patch_features import SCALE_FACTORS, build_patch_features, window_boxes


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 56, 88, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def tiny(tiny_clip, saved_clip):
    """A random CLIP that nobody calibrated: window 224, stride 112, short side 336."""
    return lambda patch: load_encoder(str(saved_clip(tiny_clip(patch=patch, grid=2))))


# --- boxes ---


def slow_starts(length, window, stride):
    """Walk until the end is reached; step back where a window would stick out."""
    starts, start = [], 0
    while start + window < length:
        starts.append(start)
        start += stride
    return [*starts, length - window]


GRIDS = [(1, 1), (4, 6), (7, 5), (12, 12), (3, 40)]


@pytest.mark.parametrize("grid", GRIDS)
def test_boxes_equal_brute_force_and_leave_no_patch_out(grid):
    for window, stride in itertools.product(range(1, 14), range(1, 14)):
        height, width = min(window, grid[0]), min(window, grid[1])
        wanted = [
            (top, left, top + height, left + width)
            for top in slow_starts(grid[0], height, stride)
            for left in slow_starts(grid[1], width, stride)
        ]
        boxes = window_boxes(grid, window, stride)
        assert list(boxes) == wanted
        if stride <= min(height, width):
            covered = {(y, x) for t, l, b, r in boxes for y in range(t, b) for x in range(l, r)}  # noqa: E741
            assert covered == set(itertools.product(range(grid[0]), range(grid[1])))


def test_boxes_by_hand():
    assert window_boxes((2, 5), window=2, stride=2) == ((0, 0, 2, 2), (0, 2, 2, 4), (0, 3, 2, 5))
    assert window_boxes((2, 5), window=0, stride=2) == ((0, 0, 2, 5),)
    assert window_boxes((2, 5), window=9, stride=2) == ((0, 0, 2, 5),)


# --- features ---


@pytest.mark.parametrize("tokens", [1, 60, 10**6], ids=["one by one", "few", "all at once"])
def test_batches_equal_windows_one_by_one(encoder, images, monkeypatch, tokens):
    monkeypatch.setattr(patch_features, "TOKENS_PER_BATCH", tokens)
    features = build_patch_features(encoder, images, window=32, stride=16, resize=0, scales="one")
    assert features.levels[0].windows.shape == (2, len(features.levels[0].boxes), 4, 4, encoder.embed_dim)
    assert features.levels[0].grid == (7, 11)
    for image, (number, (top, left, bottom, right)) in itertools.product(range(2), enumerate(features.levels[0].boxes)):
        pixels = images[image, :, top * 8 : bottom * 8, left * 8 : right * 8]
        alone = encoder.encode_patches(pixels[None])[0]
        torch.testing.assert_close(features.levels[0].windows[image, number], alone, atol=1e-5, rtol=0)


def test_the_record_is_filled(encoder, images):
    features = build_patch_features(encoder, images, attention="naclip", window=0, scales="one")
    assert (features.levels[0].boxes, features.size, features.model) == (((0, 0, 7, 11),), (56, 88), encoder.identity)
    assert features.defaults == encoder.defaults
    assert features.levels[0].windows[:, 0].equal(encoder.encode_patches(images, "naclip"))
    assert features.image_vector.equal(encoder.encode_image(images))


@pytest.mark.parametrize(
    ("height", "width", "resize", "grid"),
    [
        (56, 88, 0, (7, 11)),
        (56, 88, 28, (4, 6)),  # 3.5 and 5.5 patches, halves to even
        (88, 56, 112, (22, 14)),
        (1, 1, 0, (1, 1)),
        (1, 1, 16, (2, 2)),
        (5, 300, 0, (1, 38)),
        (300, 5, 8, (60, 1)),
    ],
)
def test_images_are_resized_to_whole_patches(encoder, height, width, resize, grid):
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(4))
    features = build_patch_features(encoder, images, window=0, resize=resize, scales="one")
    assert (features.levels[0].grid, features.size) == (grid, (height, width))
    pixels = interpolate(images, size=(grid[0] * 8, grid[1] * 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(features.levels[0].windows[:, 0], encoder.encode_patches(pixels), atol=1e-5, rtol=0)


def test_progress_is_told_after_each_batch(encoder, images, monkeypatch):
    monkeypatch.setattr(patch_features, "TOKENS_PER_BATCH", 3 * 17)
    told = []
    features = build_patch_features(
        encoder, images, window=32, stride=32, resize=0, scales="one", on_batch=lambda *counts: told.append(counts)
    )
    assert len(features.levels[0].boxes) == 6
    assert told == [(3, 12), (6, 12), (9, 12), (12, 12)]


# --- scales ---


@pytest.mark.parametrize("scales", SCALE_FACTORS)
def test_every_scale_is_encoded_as_if_it_were_the_only_one(encoder, images, scales):
    features = build_patch_features(encoder, images, window=32, stride=16, resize=0, scales=scales)
    assert len(features.levels) == len(SCALE_FACTORS[scales])
    for level, factor in zip(features.levels, SCALE_FACTORS[scales], strict=True):
        grid = tuple(max(1, round(side * factor / 8)) for side in (56, 88))
        assert level.grid == grid
        pixels = interpolate(images, size=(grid[0] * 8, grid[1] * 8), mode="bilinear", antialias=True)
        (alone,) = build_patch_features(encoder, pixels, window=32, stride=16, resize=0, scales="one").levels
        assert alone.boxes == level.boxes
        torch.testing.assert_close(alone.windows, level.windows, atol=1e-5, rtol=0)


@pytest.mark.parametrize("factors", SCALE_FACTORS.values(), ids=list(SCALE_FACTORS))
def test_the_finest_scale_comes_first(factors):
    assert list(factors) == sorted(factors, reverse=True)


def test_scales_start_from_the_resized_picture(encoder, images):
    features = build_patch_features(encoder, images, window=0, resize=112, scales="three")
    assert [level.grid for level in features.levels] == [(20, 31), (10, 15), (5, 8)]


def test_progress_counts_the_windows_of_all_scales(encoder, images):
    told = []
    build_patch_features(
        encoder, images, window=32, stride=32, resize=0, scales="three", on_batch=lambda *counts: told.append(counts)
    )
    assert told == [(24, 34), (32, 34), (34, 34)]  # 2 images of 3 x 4, 2 x 2 and 1 x 1 windows


# --- defaults ---


def test_the_embedded_models_own_window(encoder):
    features = build_patch_features(encoder, torch.rand(1, 3, 96, 144), scales="one")
    assert features.levels[0].boxes == window_boxes((12, 18), window=8, stride=4)


def test_a_default_stride_never_leaves_gaps_between_smaller_windows(encoder, images):
    features = build_patch_features(encoder, images, window=16, scales="one")  # the model's own stride is 32
    assert features.levels[0].boxes == window_boxes((7, 11), window=2, stride=2)


@pytest.mark.parametrize(("patch", "window", "stride"), [(32, 7, 4), (14, 16, 8)])
def test_default_windows_fit_any_patch_size(tiny, patch, window, stride):
    features = build_patch_features(tiny(patch), torch.rand(1, 3, 336, 448))
    grid = (round(336 / patch), round(448 / patch))
    assert features.levels[0].boxes == window_boxes(grid, window, stride)


def test_a_stride_of_0_is_half_the_window(encoder, images):
    features = build_patch_features(encoder, images, window=32, stride=0, resize=0, scales="one")
    assert features.levels[0].boxes == window_boxes((7, 11), window=4, stride=2)


# --- refused ---


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 8, 8), "images: shape [3, 8, 8]; expected [B,3,H,W]."),
        ((1, 4, 8, 8), "images: shape [1, 4, 8, 8]; expected [B,3,H,W]."),
        ((0, 3, 8, 8), "images: shape [0, 3, 8, 8]; expected [B,3,H,W]."),
        ((1, 3, 0, 8), "images: shape [1, 3, 0, 8]; expected [B,3,H,W]."),
    ],
)
def test_other_shapes_are_refused(encoder, shape, message):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, torch.zeros(shape))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"window": 20}, "window: 20 pixels; expected a multiple of the model's patch size 8, such as 16."),
        ({"window": 3}, "window: 3 pixels; expected a multiple of the model's patch size 8, such as 8."),
        ({"window": -8}, "window: -8 pixels; expected a multiple of the model's patch size 8, such as 8."),
        ({"stride": 13}, "stride: 13 pixels; expected a multiple of the model's patch size 8, such as 16."),
        (
            {"window": 16, "stride": 24},
            "stride: 24 pixels; expected at most the window, 16. Some patches would be in no window.",
        ),
    ],
)
def test_windows_that_do_not_fit_are_refused(encoder, images, numbers, message):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, images, **numbers)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (
            (1, 10_000),
            {"resize": 336, "scales": "one"},
            "resize: 17640000 patches; expected at most 1048576. Choose a smaller size or a larger stride.",
        ),
        (
            (96, 96),
            {"resize": 2048, "window": 0, "scales": "one"},
            "window: 65536 patches; expected at most 16384. Choose a smaller size or a larger stride.",
        ),
    ],
)
def test_a_size_that_would_fill_the_memory_is_refused(encoder, size, options, message):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, torch.rand(1, 3, *size), **options)
    assert str(caught.value) == message
