"""`proxy`: attention by a backbone's eyes equals its twin, at any grid, window by window."""

from __future__ import annotations

import math
from functools import lru_cache

import pytest
import torch
from plain_models import make_backbone
from slow_tower import SlowTower, slow_proxyclip
from torch.nn import functional as F

from llmseg import looking, proxy
from llmseg.attention import ATTENTION
from llmseg.clip_config import infer_config
from llmseg.dense import embed_patches
from llmseg.encoder import load_encoder
from llmseg.errors import InputError
from llmseg.patch_features import build_patch_features
from llmseg.proxy import enlarge_values, proxy_attend
from llmseg.scores import merge_windows
from llmseg.stored_features import features_key
from llmseg.vit import build_clip

METHOD = ATTENTION["proxyclip"]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def units(*shape, seed=0):
    return F.normalize(draw(*shape, seed=seed), dim=-1)


def slow_attend(features, values, cutoff, sharpness):
    """Number by number. features [P,E], values [P,d] -> [P,d]"""
    count = len(features)
    cosines = [[float(features[i] @ features[j]) for j in range(count)] for i in range(count)]
    mean = sum(map(sum, cosines)) / count**2
    rows = []
    for i in range(count):
        weights = [math.exp(sharpness * (c - cutoff * mean)) if c >= cutoff * mean else 0.0 for c in cosines[i]]
        total = sum(weights)
        rows.append(sum(w / total * values[j] for j, w in enumerate(weights)) if total else values[i])
    return torch.stack(rows)


# --- the arithmetic ---


@pytest.mark.parametrize(("cutoff", "sharpness"), [(1.2, 3.0), (0.0, 1.0), (2.0, 10.0)])
def test_attention_equals_a_slow_loop(cutoff, sharpness):
    # Around a common direction, as features are: else the mean is near zero.
    features = F.normalize(draw(2, 7, 5) + torch.tensor([1.5, 0, 0, 0, 0]), dim=-1)
    values = draw(2, 3, 7, 4, seed=1)
    got = proxy_attend(features, values, cutoff, sharpness)
    for image in range(2):
        for head in range(3):
            wanted = slow_attend(features[image].double(), values[image, head].double(), cutoff, sharpness)
            torch.testing.assert_close(got[image, head], wanted.float(), atol=1e-5, rtol=0)


def test_bands_change_nothing(monkeypatch):
    features, values = units(2, 30, 6), draw(2, 2, 30, 4, seed=1)
    whole = proxy_attend(features, values, 1.2, 3.0)
    monkeypatch.setattr(proxy, "LARGEST_MAP", 2 * 30 * 7)
    torch.testing.assert_close(proxy_attend(features, values, 1.2, 3.0), whole, atol=1e-6, rtol=0)


def test_patches_that_find_none_alike_keep_their_values():
    """All features equal: no cosine reaches 1.2 times the mean."""
    features, values = units(1, 1, 6).expand(1, 9, 6), draw(1, 2, 9, 4, seed=1)
    assert proxy_attend(features, values, 1.2, 3.0).equal(values)


def test_two_kinds_of_patches_do_not_mix():
    kinds = torch.tensor([0, 1, 1, 0, 1])
    features, values = torch.eye(2)[kinds][None], draw(1, 1, 5, 3, seed=1)
    got = proxy_attend(features, values, 1.2, 3.0)[0, 0]
    for kind in (0, 1):
        wanted = values[0, 0, kinds == kind].mean(0).expand(int((kinds == kind).sum()), 3)
        torch.testing.assert_close(got[kinds == kind], wanted)


def test_values_are_enlarged_channel_by_channel():
    values = draw(2, 3, 12, 4)
    got = enlarge_values(values, (3, 4), (6, 10))
    for head in range(3):
        for channel in range(4):
            maps = values[:, head, :, channel].view(2, 1, 3, 4)
            wanted = F.interpolate(maps, size=(6, 10), mode="bilinear").flatten(1)
            torch.testing.assert_close(got[:, head, :, channel], wanted, atol=1e-6, rtol=0)
    assert enlarge_values(values, (3, 4), (3, 4)) is values


# --- in the tower ---


@pytest.fixture(scope="module")
def build(tiny_clip):
    @lru_cache
    def build(layers):
        state = tiny_clip(patch=4, layers=layers)
        return build_clip(state, infer_config(state)).visual, SlowTower(state)

    return build


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("finer", [1, 2, 3])
@pytest.mark.parametrize("size", [(16, 16), (12, 28), (28, 8)])
def test_the_method_equals_its_twin(build, layers, finer, size):
    tower, twin = build(layers)
    images = draw(2, 3, *size, seed=2)
    grid = (size[0] // 4 * finer, size[1] // 4 * finer)
    alike = F.normalize(draw(2, *grid, 6, seed=3) + torch.tensor([1.0, 0, 0, 0, 0, 0]), dim=-1)
    got = embed_patches(tower, images, METHOD, None, alike)
    assert got.shape == (2, *grid, 32)
    for image in range(2):
        wanted = slow_proxyclip(twin, images[image], alike=alike[image]).float()
        torch.testing.assert_close(got[image], wanted, atol=1e-5, rtol=0)


# --- over windows ---


@pytest.fixture(scope="module")
def encoder(tiny_clip, tmp_path_factory):
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("clip") / "tiny.safetensors"
    save_file(tiny_clip(), path)  # patches of 8
    return load_encoder(str(path))


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(4))


HOW = {"attention": "proxyclip", "window": 24, "stride": 16, "resize": 0, "scales": "one"}


@pytest.mark.parametrize("patch", [8, 4, 7, 16])
def test_every_window_is_looked_at_by_itself(encoder, images, patch):
    backbone = make_backbone(patch=patch)
    (level,) = build_patch_features(encoder, images, **HOW, backbone=backbone).levels
    cells = (6, 6) if patch == 4 else (3, 3)
    assert level.plan.cells == cells
    assert level.windows.shape[1:5] == (2, 3, *cells)
    assert level.grid == (5 * cells[0] // 3, 7 * cells[0] // 3)
    assert merge_windows(level).shape == (2, *level.grid, encoder.embed_dim)
    for image in range(2):
        for number, (rows, columns) in enumerate(level.plan.boxes):
            pixels = images[image, :, rows, columns][None]
            alone = encoder.encode_patches(pixels, "proxyclip", None, backbone.patch_features(pixels, cells))[0]
            torch.testing.assert_close(level.windows[image].flatten(0, 1)[number], alone, atol=1e-5, rtol=0)


def test_published_windows_show_both_models_the_same_pixels(encoder, images):
    backbone = make_backbone(patch=4)
    how = {**HOW, "layout": "published", "window": 21, "stride": 13}
    (level,) = build_patch_features(encoder, images, **how, backbone=backbone).levels
    rows, columns = level.plan.boxes[0]
    pixels = images[:1, :, rows, columns][..., :16, :16]
    alone = encoder.encode_patches(pixels, "proxyclip", None, backbone.patch_features(pixels))
    torch.testing.assert_close(level.windows[0, 0, 0], alone[0], atol=1e-5, rtol=0)


def test_mirror_images_are_mirrored_back(encoder, images):
    backbone = make_backbone(patch=4)
    plain, both = (
        build_patch_features(encoder, images, **HOW, backbone=backbone, flips=f) for f in ("none", "horizontal")
    )
    turned = build_patch_features(encoder, images.flip(3), **HOW, backbone=backbone, flips="horizontal")
    assert not both.levels[0].windows.equal(plain.levels[0].windows)
    wanted = merge_windows(both.levels[0]).flip(2)
    torch.testing.assert_close(merge_windows(turned.levels[0]), wanted, atol=1e-5, rtol=0)


def test_other_methods_do_not_ask_the_backbone(encoder, images):
    backbone = make_backbone()
    backbone.before_run = lambda: pytest.fail("asked")
    build_patch_features(encoder, images, **{**HOW, "attention": "naclip"}, backbone=backbone)


def test_more_patches_than_memory_holds_are_refused_in_one_line(encoder, images, monkeypatch):
    """A finer backbone makes more of them than the windows have."""
    monkeypatch.setattr(looking, "MOST_PATCHES_IN_ALL", 6 * 9)
    build_patch_features(encoder, images, **HOW, backbone=make_backbone(patch=8))
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, images, **HOW, backbone=make_backbone(patch=4))
    assert str(caught.value) == (
        "stride: 216 patches; expected at most 54 for attention 'proxyclip'. Choose a smaller window or a larger stride."
    )


def test_without_a_backbone_it_is_refused_in_one_line(encoder, images):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, images, **HOW)
    assert str(caught.value) == (
        "attention: 'proxyclip' asks a backbone which patches are alike; expected one. Connect Load Backbone, or choose "
        "another attention."
    )


def test_stored_features_are_found_by_the_backbone_too(encoder, images):
    some, other = make_backbone(), make_backbone(seed=1)
    keys = [features_key(encoder, images, attention="proxyclip", backbone=each) for each in (some, other)]
    assert keys[0] != keys[1]
    assert keys[0] == features_key(encoder, images, attention="proxyclip", backbone=make_backbone())
    assert features_key(encoder, images, attention="proxyclip") is None
    plain = features_key(encoder, images, attention="naclip")
    assert plain == features_key(encoder, images, attention="naclip", backbone=some)
