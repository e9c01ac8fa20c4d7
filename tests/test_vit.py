"""`vit`: both towers equal open_clip's on the same weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from llmseg import options, vit
from llmseg.attention import ATTENTION
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


def slow_last_block(block, x, attention, grid):
    """The last block written out for one head after another."""
    normed = block.ln_1(x)
    width = x.shape[-1] // block.attn.heads
    packed = normed @ block.attn.in_proj_weight.T + block.attn.in_proj_bias
    q, k, v = packed.chunk(3, -1)
    heads = []
    for head in range(block.attn.heads):
        part = slice(head * width, (head + 1) * width)
        heads.append(ATTENTION[attention].attend(*(t[:, None, :, part] for t in (q, k, v)), grid)[:, 0])
    out = torch.cat(heads, -1) @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
    if ATTENTION[attention].residual:
        out = out + x
    return out + block.mlp(block.ln_2(out)) if ATTENTION[attention].ffn else out


@pytest.mark.parametrize("attention", ATTENTION)
def test_patches_equal_a_slow_last_block(clip, attention):
    tower, pictures = clip.visual, torch.randn(2, 3, 24, 40, generator=torch.Generator().manual_seed(7))
    x, grid = tower._embed(pictures)
    for block in tower.transformer.resblocks[:-1]:
        x = block(x)
    x = slow_last_block(tower.transformer.resblocks[-1], x, attention, grid)[:, 1:]
    wanted = (tower.ln_post(x) @ tower.proj).reshape(2, 3, 5, 32)
    torch.testing.assert_close(tower.patches(pictures, ATTENTION[attention]), wanted, atol=1e-5, rtol=0)


def test_patches_lie_where_their_pixels_are(clip):
    pictures = torch.zeros(1, 3, 24, 40)
    changed = pictures.clone()
    changed[:, :, 8:16, 32:40] = 3.0  # patch (1, 4)
    vanilla = ATTENTION["vanilla"]
    change = (clip.visual.patches(changed, vanilla) - clip.visual.patches(pictures, vanilla)).norm(dim=-1)[0]
    assert divmod(int(change.argmax()), 5) == (1, 4)


# --- position embeddings of other grids ---


def dino_positions(table, grid):
    """DINO's `interpolate_pos_encoding`, which dense CLIP code shares. [1+P,width] -> [1+h*w,width]"""
    side, width = math.isqrt(len(table) - 1), table.shape[1]
    square = table[1:].reshape(1, side, side, width).permute(0, 3, 1, 2)
    height, length = grid[0] + 0.1, grid[1] + 0.1
    resized = F.interpolate(square, scale_factor=(height / side, length / side), mode="bicubic")
    assert resized.shape[-2:] == grid
    return torch.cat([table[:1], resized.permute(0, 2, 3, 1).reshape(-1, width)])


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
