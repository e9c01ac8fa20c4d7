"""`clip_config`: sizes are read off the shapes, and other layouts are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from llmseg import clip_config
from llmseg.clip_config import infer_config
from llmseg.errors import ModelError
from llmseg.models.layouts import to_native
from llmseg.vit import Clip, build_clip

TOWERS = ((128, 3, 2), (64, 2, 1))  # width, layers, heads of the images' and the text's


def test_sizes_are_read_off_the_shapes(tiny_clip):
    config = infer_config(tiny_clip(hidden=2), "quickgelu")
    towers = [clip_config.TowerConfig(width, layers, heads, hidden=2 * width) for width, layers, heads in TOWERS]
    assert config == clip_config.ClipConfig(*towers, 32, 8, 16, 49408, 32, "quickgelu")


def own_names(open_clip):
    """Names of open_clip's own configurations; other tests register more."""
    return sorted(path.stem for path in Path(open_clip.__file__).parent.glob("model_configs/*.json"))


def test_head_counts_are_those_of_every_open_clip_model():
    open_clip = pytest.importorskip("open_clip")
    plain = 0
    for name in own_names(open_clip):
        config = open_clip.get_model_config(name)
        vision, text = config["vision_cfg"], config["text_cfg"]
        if {"width", "patch_size"} <= set(vision) and not isinstance(vision["layers"], list) and "heads" in text:
            plain += 1
            width, head = vision["width"], vision.get("head_width", 64)
            assert clip_config.HEADS_BY_WIDTH.get(width, width // clip_config.HEAD_WIDTH) == width // head, name
            if text.get("vocab_size") == 49408 and not config.get("custom_text"):
                assert text["width"] // clip_config.HEAD_WIDTH == text["heads"], name
    assert plain > 20


# What of open_clip's ViTs no shape can tell from a CLIP as OpenAI's, and what tells it.
ODD = {
    "ViT-M-16-alt": "too many",  # layer scale
    "coca_ViT-B-32": "no place",  # a token of its own in the text
    "coca_ViT-L-14": "no place",
    "coca_base": "no place",
    **{f"ViT-{size}-CLIPA{grid}": "a vocabulary of 32000" for size in ("L-14", "H-14", "bigG-14") for grid in ("", "-336")},
    **{f"ViT-L-14-worldwide{act}": "a vocabulary of 250100" for act in ("", "-quickgelu")},
    **{f"ViT-H-14-worldwide{end}": "a vocabulary of 901629" for end in ("", "-quickgelu", "-378")},
    **{f"ViT-bigG-14-worldwide{end}": "a vocabulary of 901629" for end in ("", "-378")},
}  # fmt: skip


def on_meta(open_clip, name):
    """Tensors of an open_clip model that hold no numbers."""
    from open_clip import coca_model, model

    config = open_clip.get_model_config(name)
    custom = config.pop("custom_text", False)
    kind = coca_model.CoCa if "multimodal_cfg" in config else model.CustomTextCLIP if custom else model.CLIP
    with torch.device("meta"):
        return kind(**config).state_dict()


@pytest.fixture(scope="module")
def vits():
    """Configurations of all of open_clip's own ViTs with its own text tower."""
    open_clip = pytest.importorskip("open_clip")
    configs = {name: open_clip.get_model_config(name) for name in own_names(open_clip)}
    return open_clip, {
        name: config
        for name, config in configs.items()
        if config["vision_cfg"].get("patch_size") and "hf_model_name" not in config["text_cfg"]
    }


@pytest.mark.slow
def test_sizes_are_those_of_every_open_clip_vit_or_it_is_refused(vits):
    open_clip, configs = vits
    refused = {}
    for name, config in configs.items():
        vision, text = config["vision_cfg"], config["text_cfg"]
        try:
            state = to_native(on_meta(open_clip, name))
            found = infer_config(state)
            build_clip(state, found)
        except ModelError as error:
            refused[name] = error.problem
            continue
        width, head = vision["width"], vision.get("head_width", 64)
        hidden = int(width * vision.get("mlp_ratio", 4.0))
        assert found.vision == clip_config.TowerConfig(width, vision["layers"], width // head, hidden), name
        assert found.text == clip_config.TowerConfig(text["width"], text["layers"], text["heads"], 4 * text["width"]), (
            name
        )
        measured = (found.image_size, found.patch_size, found.context_length, found.vocab_size, found.embed_dim)
        wanted = (vision["image_size"], vision["patch_size"], text["context_length"], 49408, config["embed_dim"])
        assert measured == wanted, name
    assert refused.keys() == ODD.keys() & configs.keys()
    assert [name for name in refused if ODD[name] not in refused[name]] == []
    assert len(configs) - len(refused) > 30


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
