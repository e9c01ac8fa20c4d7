"""`clip_config`: sizes are read off the shapes, and other layouts are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from llmseg import clip_config
from llmseg.clip_config import infer_config
from llmseg.errors import ModelError
from llmseg.vit import Clip, build_clip

TOWERS = ((128, 3, 2), (64, 2, 1))  # width, layers, heads of the images' and the text's


def test_sizes_are_read_off_the_shapes(tiny_clip):
    config = infer_config(tiny_clip(hidden=2), "quickgelu")
    towers = [clip_config.TowerConfig(width, layers, heads, hidden=2 * width) for width, layers, heads in TOWERS]
    assert config == clip_config.ClipConfig(*towers, 32, 8, 16, 49408, 32, "quickgelu")


def test_head_counts_are_those_of_every_open_clip_model():
    open_clip = pytest.importorskip("open_clip")
    plain = 0
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision, text = config["vision_cfg"], config["text_cfg"]
        if {"width", "patch_size"} <= set(vision) and not isinstance(vision["layers"], list) and "heads" in text:
            plain += 1
            width, head = vision["width"], vision.get("head_width", 64)
            assert clip_config.HEADS_BY_WIDTH.get(width, width // clip_config.HEAD_WIDTH) == width // head, name
            if text.get("vocab_size") == 49408 and not config.get("custom_text"):
                assert text["width"] // clip_config.HEAD_WIDTH == text["heads"], name
    assert plain > 20


def test_build_keeps_nothing_to_train_and_makes_floats(tiny_clip):
    state = {name: tensor.half() for name, tensor in tiny_clip().items()}
    clip = build_clip(state, infer_config(state))
    assert isinstance(clip, Clip)
    assert not clip.training
    assert {(p.dtype, p.requires_grad) for p in clip.parameters()} == {(torch.float32, False)}


# --- refused ---


def refused(state):
    with pytest.raises(ModelError) as caught:
        build_clip(state, infer_config(state))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (
            "visual.conv1.weight",
            torch.ones(3),
            "model: not a CLIP checkpoint in OpenAI's layout (not enough values to unpack (expected 4, got 1)); "
            "expected a ViT with both towers.",
        ),
        (
            "token_embedding.weight",
            torch.ones(100, 64),
            "model: a vocabulary of 100 tokens; expected 49408 as in CLIP's own tokenizer.",
        ),
        (
            "visual.proj",
            torch.ones(0, 5),
            "model: tensor 'visual.proj' is empty; expected numbers in all of them.",
        ),
        (
            "visual.positional_embedding",
            torch.ones(15, 128),
            "model: 1 tensors missing or of another shape, first visual.positional_embedding; "
            "expected 74 as in OpenAI's layout.",
        ),
        (
            "visual.transformer.resblocks.0.ls_1.gamma",
            torch.ones(128),
            "model: 1 tensors too many, first visual.transformer.resblocks.0.ls_1.gamma; "
            "expected a plain ViT as OpenAI's.",
        ),
    ],
    ids=["conv", "vocabulary", "empty", "positions", "layer scale"],
)
def test_another_layout_is_refused(tiny_clip, name, tensor, message):
    assert refused({**tiny_clip(), name: tensor}) == message


@pytest.mark.parametrize("name", ["visual.conv1.weight", "text_projection", "transformer.resblocks.0.mlp.c_fc.weight"])
def test_a_missing_tensor_that_tells_a_size_is_named(tiny_clip, name):
    state = tiny_clip()
    del state[name]
    assert refused(state) == (
        f"model: not a CLIP checkpoint in OpenAI's layout ({name!r}); expected a ViT with both towers."
    )


def test_a_flood_of_layers_is_refused_before_they_are_built(tiny_clip):
    flood = {f"transformer.resblocks.{layer}.ln_1.weight": torch.ones(1) for layer in range(300)}
    assert refused({**tiny_clip(), **flood}) == (
        "model: not a CLIP checkpoint in OpenAI's layout (300 layers); expected a ViT with both towers."
    )


def test_heads_must_divide_the_width(tiny_clip):
    state = tiny_clip()
    config = infer_config(state)
    config = replace(config, vision=replace(config.vision, heads=3))
    with pytest.raises(ModelError) as caught:
        build_clip(state, config)
    assert str(caught.value) == "model: 3 heads; expected a divisor of the width 128."
