"""`towers.siglip_layout`: SigLIP as transformers stores it becomes open_clip's, and computes what transformers does."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_towers import CONFIGS, config, make_network, register
from torch.nn.functional import normalize

from llmseg.encoder import load_encoder
from llmseg.errors import ModelError
from llmseg.towers.siglip_layout import from_transformers, is_transformers_siglip

SIGLIP = CONFIGS["Tiny-SigLIP"]


@pytest.fixture(scope="module", autouse=True)
def names(tmp_path_factory):
    register(tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def ours():
    """open_clip's tensors of a SigLIP without layer scale."""
    state = make_network(config("tiny_siglip_plain", "map", "none", 48, **SIGLIP["text_cfg"])).state_dict()
    return {name: tensor for name, tensor in state.items() if name != "logit_scale"}


def to_transformers(state):
    """The other way round, name by name as transformers' documentation lists them."""
    out = {"logit_scale": torch.zeros(1), "logit_bias": torch.zeros(1)}
    for name, tensor in state.items():
        kind = name.rpartition(".")[2]
        match name.split("."):
            case ["visual", "trunk", "pos_embed"]:
                out["vision_model.embeddings.position_embedding.weight"] = tensor[0]
            case ["visual", "trunk", "patch_embed", "proj", _]:
                out[f"vision_model.embeddings.patch_embedding.{kind}"] = tensor
            case ["visual", "trunk", "norm", _]:
                out[f"vision_model.post_layernorm.{kind}"] = tensor
            case ["visual", "trunk", "attn_pool", "latent"]:
                out["vision_model.head.probe"] = tensor
            case ["visual", "trunk", "attn_pool", "q", _]:
                whole = torch.cat([tensor, state[f"visual.trunk.attn_pool.kv.{kind}"]])
                out[f"vision_model.head.attention.in_proj_{kind}"] = whole
            case ["visual", "trunk", "attn_pool", "kv", _]:
                pass
            case ["visual", "trunk", "attn_pool", "proj", _]:
                out[f"vision_model.head.attention.out_proj.{kind}"] = tensor
            case ["visual", "trunk", "attn_pool", "norm", _]:
                out[f"vision_model.head.layernorm.{kind}"] = tensor
            case ["visual", "trunk", "attn_pool", "mlp", layer, _]:
                out[f"vision_model.head.mlp.{layer}.{kind}"] = tensor
            case ["text", "token_embedding", _]:
                out["text_model.embeddings.token_embedding.weight"] = tensor
            case ["text", "positional_embedding"]:
                out["text_model.embeddings.position_embedding.weight"] = tensor
            case ["text", "ln_final", _]:
                out[f"text_model.final_layer_norm.{kind}"] = tensor
            case ["text", "text_projection", _]:
                out[f"text_model.head.{kind}"] = tensor
            case ["visual", "trunk", "blocks", layer, *part]:
                out |= block(f"vision_model.encoder.layers.{layer}", part, tensor)
            case ["text", "transformer", "resblocks", layer, *part]:
                out |= block(f"text_model.encoder.layers.{layer}", part, tensor)
            case _:
                raise AssertionError(name)
    return out


NAMES = {"norm1": "layer_norm1", "ln_1": "layer_norm1", "norm2": "layer_norm2", "ln_2": "layer_norm2"}
NAMES |= {"attn.proj": "self_attn.out_proj", "attn.out_proj": "self_attn.out_proj"}
NAMES |= {"mlp.fc1": "mlp.fc1", "mlp.c_fc": "mlp.fc1", "mlp.fc2": "mlp.fc2", "mlp.c_proj": "mlp.fc2"}


def block(prefix, part, tensor):
    name = ".".join(part)
    if name.startswith(("attn.qkv.", "attn.in_proj_")):
        kind = "weight" if name.endswith("weight") else "bias"
        return {f"{prefix}.self_attn.{q}_proj.{kind}": rows for q, rows in zip("qkv", tensor.chunk(3), strict=True)}
    stem, _, kind = name.rpartition(".")
    return {f"{prefix}.{NAMES[stem]}.{kind}": tensor}


def test_renaming_there_and_back_changes_nothing(ours):
    theirs = to_transformers(ours)
    assert is_transformers_siglip(theirs)
    assert not is_transformers_siglip(ours)
    back = from_transformers(theirs)
    assert set(back) == set(ours) - {"logit_bias"}
    assert all(back[name].equal(ours[name]) for name in back)


def message(state):
    with pytest.raises(ModelError) as caught:
        from_transformers(state)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["text_model.head.weight", "vision_model.encoder.layers.2.self_attn.k_proj.bias", "vision_model.head.probe"]
)
def test_a_tensor_that_is_missing_is_named(ours, name):
    state = to_transformers(ours)
    del state[name]
    assert message(state) == (
        f"model: no tensor {name!r}; expected all of a SiglipModel with both towers, as transformers stores it."
    )


def test_a_tensor_too_many_is_named(ours):
    assert message({**to_transformers(ours), "vision_model.extra": torch.zeros(1)}) == (
        "model: 1 tensors too many, first vision_model.extra; expected a SiglipModel."
    )


def test_positions_that_grow_with_the_image_are_refused(ours):
    state = to_transformers(ours)
    patches = "vision_model.embeddings.patch_embedding.weight"
    assert message({**state, patches: state[patches].flatten(1)}) == (
        "model: a SigLIP without a grid of positions; expected one of a fixed size, not NaFlex."
    )


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("vision_model.head.attention.in_proj_bias", torch.tensor(1.0)),
        ("text_model.encoder.layers.0.self_attn.q_proj.weight", torch.zeros(3)),
    ],
)
def test_tensors_of_other_shapes_are_refused(ours, name, tensor):
    assert "tensors of other shapes (" in message({**to_transformers(ours), name: tensor})


def test_layers_without_end_are_refused(ours):
    more = {f"vision_model.encoder.layers.{layer}.x": torch.zeros(1) for layer in range(257)}
    assert message({**to_transformers(ours), **more}) == "model: 257 layers; expected at most 256."


def test_it_equals_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 48, "intermediate_size": 192}
    vision = {**sizes, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 32, "patch_size": 8}
    text = {**sizes, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 300, "projection_size": 48}
    text |= {"max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 1}
    theirs = transformers.SiglipModel(transformers.SiglipConfig(vision_config=vision, text_config=text)).eval()
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            shift = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1 + shift)
    described = config("tiny_siglip_plain", "map", "none", 48, **{**SIGLIP["text_cfg"], "width": 48})
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": described}), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}, tmp_path / "s.safetensors")
    encoder = load_encoder(str(tmp_path / "s.safetensors"))
    images = torch.rand(2, 3, 32, 32, generator=generator)
    ids = torch.randint(1, 300, (3, 16), generator=generator)
    with torch.no_grad():
        wanted = theirs.get_image_features(pixel_values=(images - 0.5) / 0.5)
        wanted = normalize(getattr(wanted, "pooler_output", wanted), dim=-1)
        torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
        wanted = theirs.get_text_features(input_ids=ids)
        wanted = getattr(wanted, "pooler_output", wanted)
        torch.testing.assert_close(encoder.module.encode_text(ids), wanted, atol=1e-5, rtol=0)
