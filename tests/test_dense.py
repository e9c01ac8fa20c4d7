"""`dense`: every method through the whole tower equals its twin."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from slow_tower import TWINS, SlowTower, slow_naclip_end

from llmseg import options
from llmseg.attention import ATTENTION
from llmseg.clip_config import infer_config
from llmseg.dense import embed_patches, finish_tokens, run_to_last
from llmseg.vit import build_clip

GRID = (4, 9)  # enough patches for outliers, and for a blur of 31


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 16, 36, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def build(tiny_clip):
    """A tower of so many blocks and its twin."""

    @lru_cache
    def build(layers=3):
        state = tiny_clip(patch=4, layers=layers)
        return build_clip(state, infer_config(state)).visual, SlowTower(state)

    return build


def unit_vectors(count, seed=8):
    vectors = torch.randn(count, 32, generator=torch.Generator().manual_seed(seed))
    return vectors / vectors.norm(dim=-1, keepdim=True)


def phrases_for(name, count=5):
    return unit_vectors(count) if ATTENTION[name].feedback else None


def run_twin(name, twin, images, phrases=None):
    """One image after another."""
    return torch.stack([TWINS[name](twin, image, phrases) for image in images]).float()


# --- twins ---


def test_there_is_a_twin_of_every_method():
    assert set(TWINS) == set(ATTENTION) == set(options.ATTENTION.names)


@pytest.mark.parametrize("name", ATTENTION)
def test_every_method_equals_its_twin_image_by_image(build, images, name):
    tower, twin = build()
    phrases = phrases_for(name)
    got = embed_patches(tower, images, ATTENTION[name], phrases)
    assert got.shape == (2, *GRID, 32)
    torch.testing.assert_close(got, run_twin(name, twin, images, phrases), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in ATTENTION if TWINS[name] is not TWINS["naclip"]])
def test_blocks_are_those_of_the_papers_in_a_tower_of_twelve(build, images, name):
    tower, twin = build(12)
    phrases = phrases_for(name)
    got = embed_patches(tower, images[:1], ATTENTION[name], phrases)
    torch.testing.assert_close(got, run_twin(name, twin, images[:1], phrases), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["itaclip", "scclip", "resclip"])
def test_blocks_of_a_tower_of_24_are_twice_as_high(build, images, name):
    tower, twin = build(24)
    phrases = phrases_for(name)
    got = embed_patches(tower, images[:1], ATTENTION[name], phrases)
    torch.testing.assert_close(got, run_twin(name, twin, images[:1], phrases), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["surgery", "gem"])
def test_the_last_six_blocks_are_six_in_a_deep_tower_too(build, images, name):
    tower, twin = build(24)
    got = embed_patches(tower, images[:1], ATTENTION[name])
    torch.testing.assert_close(got, run_twin(name, twin, images[:1]), atol=1e-5, rtol=0)


def test_published_numbers():
    borrowed = {name: entry.borrowed.blocks for name, entry in ATTENTION.items() if entry.borrowed}
    assert borrowed == {"itaclip": (7, 8, 10), "resclip": (6, 7, 8, 9)}
    assert {name: entry.depth for name, entry in ATTENTION.items() if entry.depth > 1} == {"surgery": 6, "gem": 6}
    (settings,) = (entry.calibration for entry in ATTENTION.values() if entry.calibration)
    assert (settings.middle, settings.early, settings.summed) == (9, 4, (4, 10))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ATTENTION)
def test_shallow_towers_have_unit_vectors_too(build, images, name, layers):
    tower, _ = build(layers)
    got = embed_patches(tower, images[:1], ATTENTION[name], phrases_for(name))
    torch.testing.assert_close(got.norm(dim=-1), torch.ones(1, *GRID))


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 12), (20, 4), (16, 16)])
def test_other_grids_equal_the_twin(build, name, height, width):
    tower, twin = build()
    picture = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height + width))
    phrases = phrases_for(name)
    got = embed_patches(tower, picture, ATTENTION[name], phrases)
    torch.testing.assert_close(got, run_twin(name, twin, picture, phrases), atol=1e-5, rtol=0)


# --- what a method looks at ---


LOOKED_AT = {
    "vanilla": "qkv",
    "maskclip": "v",
    "surgery": "v",
    "gem": "qkv",
    "sclip": "qkv",
    "clearclip": "qv",
    "naclip": "kv",
    "itaclip": "qkv",
    "scclip": "kv",
    "resclip": "kv",
    "stitched": "kv",
    "proxyclip": "v",
}


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("which", "qkv")
def test_projections_of_the_last_block_that_a_method_looks_at(build, images, name, which):
    tower, _ = build()
    packed = tower.blocks[-1].attn.in_proj_weight
    before, kept = embed_patches(tower, images[:1], ATTENTION[name]), packed.clone()
    rows = slice("qkv".index(which) * 128, ("qkv".index(which) + 1) * 128)
    packed[rows] = packed[rows].flip(0)
    after = embed_patches(tower, images[:1], ATTENTION[name])
    packed.copy_(kept)
    assert after.equal(before) is (which not in LOOKED_AT[name])


def test_maskclip_leaves_every_patch_its_own_value(build, images):
    tower, _ = build()
    x, last = run_to_last(tower, images), tower.blocks[-1]
    x = x + last.attn.out_proj(last.attn.project(last.ln_1(x)).v.transpose(1, 2).flatten(2))
    x = tower.read_out(x + last.mlp(last.ln_2(x)))[:, 1:].unflatten(1, GRID)
    wanted = x / x.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(embed_patches(tower, images, ATTENTION["maskclip"]), wanted)


@pytest.mark.parametrize("name", ATTENTION)
def test_patches_lie_where_their_pixels_are(build, name):
    tower, _ = build()
    picture = torch.randn(1, 3, 16, 36, generator=torch.Generator().manual_seed(9)) * 0.1
    changed = picture.clone()
    changed[:, :, 8:12, 24:28] += 3.0  # patch (2, 6)
    seen, other = (embed_patches(tower, x, ATTENTION[name]) for x in (picture, changed))
    assert divmod(int((seen - other).norm(dim=-1)[0].argmax()), 9) == (2, 6)


def test_what_is_over_whole_patches_is_not_looked_at(build, images):
    tower, _ = build()
    padded = torch.nn.functional.pad(images, (0, 3, 0, 2), value=7.0)
    got = embed_patches(tower, padded, ATTENTION["naclip"])
    assert got.equal(embed_patches(tower, images, ATTENTION["naclip"]))


# --- two passes ---


def test_resclip_without_phrases_is_its_first_pass(build, images):
    tower, twin = build()
    got = embed_patches(tower, images, ATTENTION["resclip"])
    assert got.equal(embed_patches(tower, images, replace(ATTENTION["resclip"], feedback=None), unit_vectors(5)))
    torch.testing.assert_close(got, run_twin("resclip", twin, images), atol=1e-5, rtol=0)
    second = embed_patches(tower, images, ATTENTION["resclip"], unit_vectors(5))
    assert (second - got).abs().max() > 1e-3


def test_more_phrases_than_numbers_in_a_vector_equal_the_twin(build, images):
    tower, twin = build()
    got = embed_patches(tower, images[:1], ATTENTION["resclip"], unit_vectors(40))
    torch.testing.assert_close(got, run_twin("resclip", twin, images[:1], unit_vectors(40)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name, entry in ATTENTION.items() if not entry.feedback])
def test_only_feedback_looks_at_phrases(build, images, name):
    tower, _ = build()
    with_phrases = embed_patches(tower, images, ATTENTION[name], unit_vectors(5))
    assert with_phrases.equal(embed_patches(tower, images, ATTENTION[name]))


# --- in two steps ---


def test_the_last_block_may_be_left_for_later(build, images):
    tower, twin = build()
    tokens = run_to_last(tower, images)
    for x, image in zip(tokens, images, strict=True):
        torch.testing.assert_close(x, twin.outputs(image)[0][2].float(), atol=1e-5, rtol=0)
    stitched = ATTENTION["stitched"]
    assert finish_tokens(tower, tokens, GRID, stitched).equal(embed_patches(tower, images, stitched))


def test_tokens_from_elsewhere_are_finished_like_the_twins(build):
    tower, twin = build()
    tokens = torch.randn(2, 1 + 6, 128, generator=torch.Generator().manual_seed(3))
    got = finish_tokens(tower, tokens, (2, 3), ATTENTION["stitched"])
    wanted = torch.stack([slow_naclip_end(twin, x.double(), (2, 3)) for x in tokens]).float()
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ATTENTION)
def test_a_tower_in_half_precision_answers_with_unit_vectors_in_float32(tiny_clip, images, name):
    state = tiny_clip(patch=4)
    tower = build_clip(state, infer_config(state)).visual.half()
    got = embed_patches(tower, images.half(), ATTENTION[name], phrases_for(name))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.norm(dim=-1), torch.ones(got.shape[:-1]))
