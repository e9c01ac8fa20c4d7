"""`vit`: both towers equal open_clip's on the same weights."""

from __future__ import annotations

import math

import pytest
import torch
from slow_tower import SlowTower, dino_positions
from torch.nn import functional as F

from llmseg import options, vit
from llmseg.clip_config import infer_config
from llmseg.vit import build_clip


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def clip(tiny_clip):
    state = tiny_clip()
    return build_clip(state, infer_config(state))


def their_clip(state, config):
    """open_clip's own model with these weights."""
    model = pytest.importorskip("open_clip.model")
    vision = {"layers": config.vision.layers, "width": config.vision.width, "patch_size": config.patch_size}
    vision |= {"image_size": config.image_size, "head_width": config.vision.width // config.vision.heads}
    vision |= {"mlp_ratio": config.vision.hidden / config.vision.width}
    text = {
        "context_length": config.context_length,
        "vocab_size": config.vocab_size,
        "width": config.text.width,
    }
    text |= {"heads": config.text.heads, "layers": config.text.layers}
    text |= {"mlp_ratio": config.text.hidden / config.text.width}
    theirs = model.CLIP(
        config.embed_dim,
        model.CLIPVisionCfg(**vision),
        model.CLIPTextCfg(**text),
        quick_gelu=config.activation == "quickgelu",
    )
    theirs.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    return theirs.eval()


def sentences(vocab_size):
    ids = torch.randint(1, vocab_size - 2, (2, 16), generator=torch.Generator().manual_seed(6))
    ids[:, 0] = vocab_size - 2
    for row, end in enumerate((4, 15)):
        ids[row, end:] = 0
        ids[row, end] = vocab_size - 1
    return ids


# --- towers ---


@pytest.mark.parametrize("hidden", [4, 2])
@pytest.mark.parametrize("activation", options.ACTIVATION.names)
def test_both_towers_equal_open_clip(tiny_clip, images, activation, hidden):
    state = tiny_clip(hidden=hidden)
    config = infer_config(state, activation)
    ours, theirs = build_clip(state, config), their_clip(state, config)
    tokens = sentences(config.vocab_size)
    with torch.no_grad():
        torch.testing.assert_close(ours.visual(images), theirs.encode_image(images), atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.encode_text(tokens), theirs.encode_text(tokens), atol=1e-5, rtol=0)
    assert set(ours.state_dict()) == set(theirs.state_dict())


def test_activations_differ_and_are_the_listed_ones(tiny_clip, images):
    assert set(vit.ACTIVATIONS) == set(options.ACTIVATION.names)
    state = tiny_clip()
    gelu, quick = (build_clip(state, infer_config(state, name)).visual(images) for name in ("gelu", "quickgelu"))
    assert (gelu - quick).abs().max() > 1e-3


def test_quickgelu_by_hand():
    assert vit.QuickGELU()(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0, 1 / (1 + math.exp(-1.702))])


def test_text_may_be_trimmed_after_its_end_token(clip):
    tokens = sentences(49408)[:1]
    torch.testing.assert_close(clip.encode_text(tokens[:, :5]), clip.encode_text(tokens), atol=1e-5, rtol=0)


# --- parts ---


def test_an_image_is_its_blocks_and_the_read_out_of_cls(clip, images):
    tower = clip.visual
    x, grid = tower.embed(images)
    assert (x.shape, grid) == ((2, 17, 128), (4, 4))
    for block in tower.blocks:
        x = block(x)
    torch.testing.assert_close(tower(images), tower.ln_post(x[:, 0]) @ tower.proj)
    torch.testing.assert_close(tower.read_out(x)[:, 0], tower(images))


def test_patches_are_embedded_where_their_pixels_are(clip):
    pictures = torch.zeros(1, 3, 24, 40)
    changed = pictures.clone()
    changed[:, :, 8:16, 32:40] = 3.0  # patch (1, 4)
    x, grid = clip.visual.embed(changed)
    assert grid == (3, 5)
    differs = (x != clip.visual.embed(pictures)[0]).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == [1 + 1 * 5 + 4]


def test_what_is_over_whole_patches_is_not_looked_at(clip, images):
    padded = F.pad(images, (0, 7, 0, 5), value=9.0)
    x, grid = clip.visual.embed(padded)
    assert grid == (4, 4)
    assert x.equal(clip.visual.embed(images)[0])


@pytest.mark.parametrize("which", ["q", "k", "v", "qk", "kv", "qv", "qkv"])
def test_projections_equal_a_slow_product_per_head(clip, which):
    attn = clip.visual.blocks[0].attn
    x = torch.randn(2, 5, 128, generator=torch.Generator().manual_seed(7))
    got = attn.project(x, which)
    for number, name in enumerate("qkv"):
        if name not in which:
            continue
        rows = slice(number * 128, (number + 1) * 128)
        whole = x @ attn.in_proj_weight[rows].T + attn.in_proj_bias[rows]
        for head in range(2):
            wanted = whole[:, :, head * 64 : (head + 1) * 64]
            torch.testing.assert_close(got[number][:, head], wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("which", "empty"), [("v", (0, 1)), ("kv", (0,)), ("q", (1, 2)), ("qv", ())])
def test_projections_that_nobody_reads_are_not_computed(clip, which, empty):
    got = clip.visual.blocks[0].attn.project(torch.zeros(2, 5, 128), which)
    assert [number for number, part in enumerate(got) if not part.numel()] == list(empty)


def test_heads_are_merged_in_order(clip):
    attn = clip.visual.blocks[0].attn
    heads = torch.randn(2, 2, 5, 64, generator=torch.Generator().manual_seed(7))
    wanted = torch.cat([heads[:, 0], heads[:, 1]], -1) @ attn.out_proj.weight.T + attn.out_proj.bias
    torch.testing.assert_close(attn.merge(heads), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layers", [1, 3, 12])
def test_the_image_tower_equals_its_twin(tiny_clip, layers):
    state = tiny_clip(layers=layers)
    pictures = torch.randn(2, 3, 24, 40, generator=torch.Generator().manual_seed(7))
    x, grid = (tower := build_clip(state, infer_config(state)).visual).embed(pictures)
    for block in tower.blocks:
        x = block(x)
    for image, own in zip(pictures, x, strict=True):
        after, slow_grid = SlowTower(state).outputs(image)
        assert grid == slow_grid == (3, 5)
        torch.testing.assert_close(own, after[-1].float(), atol=1e-4, rtol=1e-5)


# --- position embeddings of other grids ---


@pytest.mark.parametrize("grid", [(3, 5), (7, 2), (1, 1), (1, 9), (14, 14), (37, 60)])
def test_positions_equal_dino(clip, grid):
    torch.testing.assert_close(clip.visual._positions(grid), dino_positions(clip.visual.positional_embedding, grid))


def test_positions_of_the_trained_grid_are_the_table_itself(clip):
    assert clip.visual._positions((4, 4)) is clip.visual.positional_embedding


def test_portrait_positions_are_transposed_landscape_of_a_transposed_table(clip, tiny_clip):
    state = tiny_clip()
    table = state["visual.positional_embedding"]
    turned = torch.cat([table[:1], table[1:].reshape(4, 4, -1).transpose(0, 1).reshape(16, -1)])
    other = build_clip({**state, "visual.positional_embedding": turned}, infer_config(state))
    portrait, landscape = clip.visual._positions((7, 3))[1:], other.visual._positions((3, 7))[1:]
    torch.testing.assert_close(portrait.reshape(7, 3, -1), landscape.reshape(3, 7, -1).transpose(0, 1))
