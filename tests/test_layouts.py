"""`layouts`, `clip_files`, `hub_config`: one CLIP in every layout that files come in, and what is none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from llmseg.encoder import load_encoder
from llmseg.errors import ModelError
from llmseg.models.clip_files import ModelFile, file_label, read_clip
from llmseg.models.layouts import IMAGE, PREFIXES, TEXT, list_towers, to_native
from llmseg.models.weights import holds_model, read_weights, split_files

OUTER = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "logit_scale": "logit_scale",
}
INNER = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}


def as_transformers(state):
    """The slow twin of the way back: OpenAI's names into those of transformers, one tensor after another."""
    out = {}
    for name, tensor in state.items():
        if name in OUTER:
            out[OUTER[name]] = tensor
        elif name in ("visual.proj", "text_projection"):
            out["visual_projection.weight" if name[0] == "v" else "text_projection.weight"] = tensor.T.contiguous()
        else:
            tower, _, rest = name.partition("transformer.resblocks.")
            layer, inner, kind = rest.split(".")[0], rest.split(".", 1)[1].rsplit(".", 1)[0], rest.rsplit(".", 1)[-1]
            start = f"{'vision_model' if tower else 'text_model'}.encoder.layers.{layer}"
            if kind.startswith("in_proj_"):
                width = len(tensor) // 3
                for number, part in enumerate("qkv"):
                    rows = tensor[number * width : (number + 1) * width].clone()
                    out[f"{start}.self_attn.{part}_proj.{kind.removeprefix('in_proj_')}"] = rows
            elif inner == "attn.out_proj":
                out[f"{start}.self_attn.out_proj.{kind}"] = tensor
            else:
                out[f"{start}.{INNER[inner]}.{kind}"] = tensor
    out["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    out["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    return out


def images_of(state):
    return {name: tensor for name, tensor in state.items() if name.startswith(("visual", "vision"))}


def texts_of(state):
    return {name: tensor for name, tensor in state.items() if name not in images_of(state)}


def below(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def same(state, other):
    return state.keys() == other.keys() and all(state[name].equal(other[name]) for name in state)


LAYOUTS = {
    "open_clip": lambda state: state,
    "OpenAI's scalars": lambda state: {**state, "input_resolution": torch.tensor(32), "vocab_size": torch.tensor(49408)},
    "open_clip, text apart": lambda state: {
        **images_of(state),
        **{name if name == "logit_scale" else f"text.{name}": tensor for name, tensor in texts_of(state).items()},
        "text.attn_mask": torch.zeros(16, 16),
    },
    "open_clip, linear projection": lambda state: {
        **{name: tensor for name, tensor in state.items() if name != "text_projection"},
        "text_projection.weight": state["text_projection"].T.contiguous(),
    },
    "transformers": as_transformers,
    "transformers, as older ComfyUI saves it": lambda state: {
        **{name: tensor for name, tensor in as_transformers(state).items() if name != "text_projection.weight"},
        "text_projection": state["text_projection"],
    },
    **{f"open_clip below {prefix}": lambda state, p=prefix: below(p, state) for prefix in PREFIXES[1:]},
    **{f"transformers below {prefix}": lambda state, p=prefix: below(p, as_transformers(state)) for prefix in PREFIXES[1:]},
    "Stable Diffusion XL": lambda state: {
        **below("conditioner.embedders.1.model.", texts_of(state)),
        **below("conditioner.embedders.0.transformer.", {k: v + 1 for k, v in texts_of(as_transformers(state)).items()}),
        **images_of(as_transformers(state)),
        "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4),
    },
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_becomes_the_same_tensors(tiny_clip, layout):
    state = LAYOUTS[layout](tiny_clip())
    assert list_towers(state) == {IMAGE, TEXT}
    assert list_towers(list(state)) == {IMAGE, TEXT}, "names alone are enough"
    assert holds_model(state.keys())
    assert same(to_native(state), tiny_clip())


@pytest.mark.parametrize("layout", ["open_clip", "transformers", "Stable Diffusion XL"])
def test_every_layout_is_read_from_a_file(tiny_clip, saved_clip, layout):
    assert same(read_weights(str(saved_clip(LAYOUTS[layout](tiny_clip())))).state, tiny_clip())


def test_half_numbers_become_whole_ones_when_built(tiny_clip, saved_clip):
    halves = {name: tensor.half() for name, tensor in as_transformers(tiny_clip()).items()}
    module = load_encoder(str(saved_clip(halves))).module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


# --- two files ---


def pair(tmp_path, image, text):
    save_file(image, tmp_path / "vision.safetensors")
    save_file(text, tmp_path / "text.safetensors")
    return f"{tmp_path / 'vision.safetensors'} + {tmp_path / 'text.safetensors'}"


@pytest.mark.parametrize("image_layout", ["open_clip", "transformers"])
@pytest.mark.parametrize("text_layout", ["open_clip", "transformers"])
def test_two_files_are_one_model(tiny_clip, tmp_path, image_layout, text_layout):
    image, text = images_of(LAYOUTS[image_layout](tiny_clip())), texts_of(LAYOUTS[text_layout](tiny_clip()))
    weights = read_weights(pair(tmp_path, image, text))
    assert same(weights.state, tiny_clip())
    assert weights.name == "vision + text"


def test_two_files_in_either_order_and_by_bare_names(tiny_clip, tmp_path):
    state = tiny_clip()
    pair(
        tmp_path, images_of(state), {name: tensor for name, tensor in texts_of(state).items() if name != "logit_scale"}
    )
    weights = read_weights("text.safetensors + vision.safetensors", folders=[tmp_path])
    assert weights.state["logit_scale"] == pytest.approx(4.60517)
    assert same({**weights.state, "logit_scale": state["logit_scale"]}, state)


def test_identity_changes_with_either_file(tiny_clip, tmp_path):
    state, other = tiny_clip(), tiny_clip(seed=1)
    found = {
        read_weights(pair(tmp_path, images_of(image), texts_of(text))).identity
        for image, text in ((state, state), (state, other), (other, state))
    }
    assert len(found) == 3


def test_a_plus_in_the_name_of_one_file_is_a_letter(tiny_clip, saved_clip):
    path = saved_clip(tiny_clip(), "a.safetensors + b.safetensors")
    assert read_weights(str(path)).name == "a.safetensors + b"
    assert split_files("a + b.safetensors") == ["a + b.safetensors"]


def test_two_names_that_are_too_long_for_one_are_two(tiny_clip, tmp_path):
    state, long = tiny_clip(), "n" * 200
    save_file(images_of(state), tmp_path / f"v{long}.safetensors")
    save_file(texts_of(state), tmp_path / f"t{long}.safetensors")
    name = f"v{long}.safetensors + t{long}.safetensors"
    assert same(read_weights(name, folders=[tmp_path]).state, state)


def message(model, **options):
    with pytest.raises(ModelError) as caught:
        load_encoder(str(model), **options)
    return str(caught.value)


def test_one_tower_alone_says_which_is_missing_and_how_to_name_it(tiny_clip, saved_clip):
    state = tiny_clip()
    assert message(saved_clip(images_of(as_transformers(state)), "clip_vision_h.safetensors")) == (
        "model: 'clip_vision_h.safetensors' holds the image tower of a CLIP only; expected the text tower too. "
        "Name both files, as in 'clip_vision_h.safetensors + TEXT.safetensors'."
    )
    assert message(saved_clip(texts_of(state), "text.safetensors")) == (
        "model: 'text.safetensors' holds the text tower of a CLIP only; expected the image tower too. "
        "Name both files, as in 'text.safetensors + VISION.safetensors'."
    )
    assert not holds_model(images_of(state).keys())


def test_towers_of_two_clips_are_refused(tiny_clip, tmp_path):
    state = tiny_clip()
    wide = {**images_of(state), "visual.proj": torch.ones(128, 48)}
    assert message(pair(tmp_path, wide, texts_of(state))) == (
        "model: the image tower of 'vision.safetensors' projects by [128, 48], the text tower of 'text.safetensors' by "
        "[64, 32]; expected both into a space of one width. Name the two towers of one CLIP."
    )


def test_the_same_tower_twice_is_refused(tiny_clip, tmp_path):
    state = tiny_clip()
    assert message(pair(tmp_path, images_of(state), images_of(state))) == (
        "model: 'vision.safetensors' and 'text.safetensors' hold the image tower each; expected one of each kind."
    )
    assert message(pair(tmp_path, images_of(state), state)).endswith(
        " hold the image tower each; expected one of each kind."
    )


def test_a_second_file_of_something_else_is_refused(tiny_clip, tmp_path):
    assert message(pair(tmp_path, images_of(tiny_clip()), {"x": torch.ones(1)})) == (
        "model: 'text.safetensors' holds no model that is known here, its first tensors are x; expected a CLIP in the "
        "layout of open_clip, OpenAI or transformers, or another model of docs/models.md."
    )


def test_a_tower_without_its_projection_is_refused(tiny_clip, tmp_path):
    state = as_transformers(tiny_clip())
    del state["text_projection.weight"]
    assert message(pair(tmp_path, images_of(state), texts_of(state))) == (
        "model: the text tower of 'text.safetensors' has no text_projection.weight, which leads into the space of "
        "both towers; expected a file that was saved with it. Those of Stable Diffusion 1.5 are not."
    )


# --- broken ---


BROKEN = {
    "a tensor nobody has": (
        {"vision_model.embeddings.patch_embedding.bias": torch.ones(128)},
        "tensor 'vision_model.embeddings.patch_embedding.bias' has no place in a CLIP; expected a plain ViT as OpenAI's.",
    ),
    "a norm in an attention": (
        {"text_model.encoder.layers.1.self_attn.q_norm.weight": torch.ones(64)},
        "tensor 'text_model.encoder.layers.1.self_attn.q_norm.weight' has no place in a CLIP; expected a plain ViT as "
        "OpenAI's.",
    ),
    "a key of another width": (
        {"vision_model.encoder.layers.0.self_attn.k_proj.weight": torch.ones(3, 128)},
        "'visual.transformer.resblocks.0.attn.in_proj_weight' would be 3 parts of shapes [(3, 128), (128, 128)]; "
        "expected query, key, value of one.",
    ),
    "a query that is a number": (
        {f"vision_model.encoder.layers.0.self_attn.{part}_proj.bias": torch.tensor(1.0) for part in "qkv"},
        "'visual.transformer.resblocks.0.attn.in_proj_bias' would be 3 parts of shapes [()]; expected query, key, value "
        "of one.",
    ),
    "a flat projection": (
        {"visual_projection.weight": torch.ones(32)},
        "a projection of shape [32]; expected rows and columns.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_no_clip_has_is_refused(tiny_clip, saved_clip, case):
    changes, problem = BROKEN[case]
    assert message(saved_clip({**as_transformers(tiny_clip()), **changes})) == f"model: {problem}"


def test_a_lost_part_of_an_attention_is_named(tiny_clip, saved_clip):
    state = as_transformers(tiny_clip())
    del state["text_model.encoder.layers.1.self_attn.v_proj.bias"]
    assert message(saved_clip(state)) == (
        "model: 'transformer.resblocks.1.attn.in_proj_bias' would be 2 parts of shapes [(64,)]; expected query, key, "
        "value of one."
    )


def test_a_token_of_its_own_beside_the_text_is_refused(tiny_clip, saved_clip):
    state = LAYOUTS["open_clip, text apart"](tiny_clip())
    assert message(saved_clip({**state, "text.cls_emb": torch.ones(64)})) == (
        "model: tensor 'text.cls_emb' has no place in a CLIP; expected a plain ViT as OpenAI's."
    )


def damage(state, chance):
    """One change to the names or shapes of a state dict."""
    name = chance.choice(list(state))
    kind = chance.choice(["lost", "flat", "odd", "renamed", "moved", "new"])
    if kind == "new":
        starts = [
            "visual.",
            "text.",
            "vision_model.",
            "vision_model.encoder.layers.",
            "text_model.encoder.layers.0.",
            "",
        ]
        ends = ["a", "weight", "0", "resblocks.0.attn.in_proj_weight", "."]
        state[chance.choice(starts) + chance.choice(ends)] = torch.ones(chance.randint(0, 3))
        return
    tensor = state.pop(name)
    if kind == "flat":
        state[name] = tensor.flatten() if tensor.ndim else torch.ones(2)
    elif kind == "odd":
        state[name] = torch.ones([chance.randint(0, 4) for _ in range(chance.randint(0, 5))])
    elif kind == "renamed":
        state[f"{name}.x"] = tensor
    elif kind == "moved":
        state[name.replace("0", "9", 1).replace("weight", "bias")] = tensor


def test_damaged_files_give_one_kind_of_error(tiny_clip):
    chance, refused = random.Random(0), 0
    for _ in range(150):
        state = dict(LAYOUTS[chance.choice(list(LAYOUTS))](tiny_clip()))
        for _ in range(chance.randint(1, 3)):
            damage(state, chance)
        try:
            read_clip([ModelFile(Path("x.safetensors"), state, "ab")], "auto").build()
        except ModelError:
            refused += 1
    assert 75 < refused < 150, "some damage is harmless"


# --- what tensors do not tell ---


@pytest.mark.parametrize(
    ("name", "layout", "activation"),
    [
        ("clip_l.safetensors", "transformers", "quickgelu"),
        ("clip_l.safetensors", "open_clip", "gelu"),
        ("CLIP-ViT-B-32-laion2B-s34B-b79K.safetensors", "transformers", "gelu"),
        ("clip-vit-large-patch14/model.safetensors", "transformers", "quickgelu"),
        ("CLIP-ViT-B-16-DataComp.XL-s13B-b90K/model.safetensors", "transformers", "gelu"),
        ("vit_base_patch16_clip_224.openai/open_clip_model.safetensors", "open_clip", "quickgelu"),
        ("DFN2B-CLIP-ViT-B-16/open_clip_model.safetensors", "open_clip", "quickgelu"),
        ("models--timm--vit_large_patch14_clip_224.metaclip_2pt5b/snapshots/ab12/open_clip_model.safetensors", "open_clip", "quickgelu"),
        ("ViT-H-14-metaclip_altogether/open_clip_model.safetensors", "open_clip", "gelu"),
    ],
)  # fmt: skip
def test_name_and_layout_tell_the_nonlinearity(tiny_clip, saved_clip, tmp_path, name, layout, activation):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    path = str(saved_clip(LAYOUTS[layout](tiny_clip()), name))
    assert read_weights(path).config.activation == activation
    assert read_weights(path, activation="gelu").config.activation == "gelu"


def test_large_towers_in_transformers_layout_are_laions(saved_clip):
    state = {name: torch.zeros(shape) for name, shape in _wide_shapes().items()}
    weights = read_weights(str(saved_clip(state, "clip_h.safetensors")))
    assert (weights.config.activation, weights.config.vision.heads) == ("gelu", 16)


def _wide_shapes():
    """One block 1280 wide, as ViT-H, in transformers' names."""
    shapes = {"logit_scale": (), "visual_projection.weight": (8, 1280), "text_projection.weight": (8, 64)}
    towers = {"vision_model": (1280, "pre_layrnorm", "post_layernorm"), "text_model": (64, "final_layer_norm")}
    for tower, (width, *norms) in towers.items():
        block = f"{tower}.encoder.layers.0"
        linear = [f"{block}.self_attn.{part}_proj" for part in ("q", "k", "v", "out")]
        linear += [f"{block}.mlp.fc1", f"{block}.mlp.fc2"]
        shapes |= {f"{name}.weight": (width, width) for name in linear} | {f"{name}.bias": (width,) for name in linear}
        names = [f"{tower}.{norm}" for norm in norms] + [f"{block}.layer_norm1", f"{block}.layer_norm2"]
        shapes |= {f"{name}.{kind}": (width,) for name in names for kind in ("weight", "bias")}
    shapes |= {
        "vision_model.embeddings.class_embedding": (1280,),
        "vision_model.embeddings.patch_embedding.weight": (1280, 3, 2, 2),
    }
    shapes |= {
        "vision_model.embeddings.position_embedding.weight": (5, 1280),
        "text_model.embeddings.position_embedding.weight": (4, 64),
    }
    return shapes | {"text_model.embeddings.token_embedding.weight": (49408, 64)}  # fmt: skip


def test_the_two_towers_must_agree(tiny_clip, tmp_path):
    state = as_transformers(tiny_clip())
    save_file(images_of(state), tmp_path / "vision_laion2b.safetensors")
    save_file(texts_of(state), tmp_path / "text_openai.safetensors")
    model = f"{tmp_path / 'vision_laion2b.safetensors'} + {tmp_path / 'text_openai.safetensors'}"
    assert message(model) == (
        "model: the two towers differ in their nonlinearity (gelu by the name 'vision_laion2b', quickgelu by the name "
        "'text_openai'); expected the towers of one CLIP. Choose activation if they are."
    )
    assert read_weights(model, activation="gelu").config.activation == "gelu"
    (tmp_path / "vision_laion2b.safetensors").rename(tmp_path / "vision.safetensors")
    assert read_weights(f"{tmp_path / 'text_openai.safetensors'} + {tmp_path / 'vision.safetensors'}").config.activation == "quickgelu"  # fmt: skip


def test_one_model_of_open_clip_sees_other_numbers(tiny_clip, saved_clip):
    assert read_weights(str(saved_clip(tiny_clip(), "CLIP-ViT-L-14-laion2B-s32B-b82K.safetensors"))).mean == (
        0.5,
        0.5,
        0.5,
    )
    assert read_weights(str(saved_clip(tiny_clip(), "ViT-H-14-laion2b_s32b_b79k.safetensors"))).mean[0] > 0.48


def test_labels():
    assert file_label(Path("a/b.safetensors")) == "b"
    assert file_label(Path("models--o--n/snapshots/12ab/open_clip_pytorch_model.bin")) == "models--o--n"
    assert file_label(Path("/model.safetensors")) == "model"


# --- config.json ---


VISION = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 32,
}
WORDS = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16}  # fmt: skip


@pytest.fixture
def hub(tiny_clip, saved_clip, tmp_path):
    """Save a model in transformers' layout with a config.json beside it; its path as text."""

    def save(described, layout="transformers"):
        text = described if isinstance(described, str) else json.dumps(described)
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        return str(saved_clip(LAYOUTS[layout](tiny_clip()), "model.safetensors"))

    return save


def clip_config(**changes):
    vision, words = dict(VISION), dict(WORDS)
    for key, value in changes.items():
        tower, name = key.split("_", 1)
        (vision if tower == "vision" else words)[name] = value
    return {"model_type": "clip", "vision_config": vision, "text_config": words}


def heads(weights):
    return weights.config.vision.heads, weights.config.text.heads


def test_a_config_beside_the_file_tells_activation_and_heads(hub):
    weights = read_weights(hub(clip_config(vision_hidden_act="gelu", text_hidden_act="gelu")))
    assert (weights.config.activation, heads(weights)) == ("gelu", (4, 2))
    weights = read_weights(hub(clip_config()))
    assert (weights.config.activation, heads(weights)) == ("quickgelu", (4, 2)), "what it leaves out is ViT-B/32's"


def test_a_config_of_one_tower_tells_of_that_one(tiny_clip, tmp_path):
    state = as_transformers(tiny_clip())
    for folder, part, tower in (("v", images_of(state), VISION), ("t", texts_of(state), WORDS)):
        (tmp_path / folder).mkdir()
        save_file(part, tmp_path / folder / "model.safetensors")
        kind = "clip_vision_model" if folder == "v" else "clip_text_model"
        described = {"model_type": kind, "hidden_act": "gelu", **tower}
        (tmp_path / folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    weights = read_weights(f"{tmp_path / 'v' / 'model.safetensors'} + {tmp_path / 't' / 'model.safetensors'}")
    assert (weights.config.activation, heads(weights), weights.name) == ("gelu", (4, 2), "v + t")


UNRELATED = {
    "another model": clip_config(vision_hidden_size=256, vision_hidden_act="gelu"),
    "of another size": clip_config(vision_image_size=64, vision_hidden_act="gelu"),
    "more text": clip_config(text_max_position_embeddings=77, text_hidden_act="gelu"),
    "no CLIP": {"model_type": "siglip", "hidden_act": "gelu"},
    "a list of towers": {"model_type": "clip", "vision_config": [], "text_config": {}},
    "a tower that is a text": {"model_type": "clip", "vision_config": "x", "text_config": dict(WORDS)},
    "no heads": clip_config(vision_num_attention_heads=0),
    "half a head": clip_config(vision_num_attention_heads=0.5),
    "a kind that is a list": {"model_type": ["clip"]},
    "a list": [],
    "no JSON": "{",
    "deep": "[" * 10**6,
    "endless": '{"a": "' + "x" * 2**20 + '"}',
}  # fmt: skip


@pytest.mark.parametrize("case", UNRELATED)
def test_a_config_of_something_else_is_passed_over(hub, case):
    weights = read_weights(hub(UNRELATED[case]))
    assert (weights.config.activation, heads(weights)) == ("quickgelu", (2, 1))


def test_a_config_does_not_speak_for_open_clips_layout(hub):
    described = clip_config(vision_hidden_act="quick_gelu", text_hidden_act="quick_gelu")
    assert read_weights(hub(described, "open_clip")).config.activation == "gelu"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"text_hidden_act": "gelu_new"}, "says hidden_act 'gelu_new' of the text tower; expected quick_gelu or gelu."),
        ({"vision_layer_norm_eps": 1e-6}, "says layer_norm_eps '1e-06' of the vision tower; expected 1e-05."),
        ({"text_eos_token_id": 49406}, "says eos_token_id '49406' of the text tower; expected 2 or 49407."),
        ({"text_hidden_act": "gelu"}, "says another hidden_act for each tower; expected one for both."),
        ({"vision_hidden_act": ["gelu"]}, "says hidden_act \"['gelu']\" of the vision tower; expected quick_gelu or gelu."),
    ],
)  # fmt: skip
def test_a_config_that_asks_for_something_else_is_refused(hub, changes, problem):
    assert message(hub(clip_config(**changes))) == f"model: the config.json beside the model {problem}"


# --- the libraries' own embeddings ---


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.zeros(3, 16, dtype=torch.int64)
    for row, length in enumerate((3, 9, 16)):
        tokens[row, :length] = torch.randint(1000, 40000, (length,), generator=generator)
        tokens[row, 0], tokens[row, length - 1] = 49406, 49407
    return torch.randn(2, 3, 32, 32, generator=generator), tokens


def check(model, inputs, image, text):
    """Towers built of a file give these embeddings, and any size of picture runs."""
    images, tokens = inputs
    encoder = load_encoder(str(model))
    with torch.no_grad():
        torch.testing.assert_close(encoder.module.visual(images), image, atol=1e-5, rtol=0)
        torch.testing.assert_close(encoder.module.encode_text(tokens), text, atol=1e-5, rtol=0)
    for height, width in ((24, 80), (72, 16)):
        patches = encoder.encode_patches(torch.rand(1, 3, height, width))
        assert patches.shape == (1, height // 8, width // 8, encoder.embed_dim)
        assert patches.isfinite().all()


@pytest.fixture(scope="module", params=[False, True], ids=["gelu", "quickgelu"])
def theirs(request):
    """A small CLIP of open_clip, with numbers large enough to tell the nonlinearities apart."""
    model = pytest.importorskip("open_clip.model")
    torch.manual_seed(0)
    vision = model.CLIPVisionCfg(layers=3, width=128, head_width=64, patch_size=8, image_size=32)
    text = model.CLIPTextCfg(16, 49408, width=64, heads=1, layers=2)
    clip = model.CLIP(32, vision, text, quick_gelu=request.param).eval()
    for parameter in clip.parameters():
        torch.nn.init.normal_(parameter, std=0.1 if parameter.ndim > 1 else 0.5)
    return clip, "openai" if request.param else "laion2b"


@pytest.mark.parametrize("custom", [False, True], ids=["CLIP", "CustomTextCLIP"])
def test_open_clips_classes(theirs, inputs, tmp_path, custom):
    clip, name = theirs
    with torch.no_grad():
        image, text = clip.encode_image(inputs[0]), clip.encode_text(inputs[1])
    state = clip.state_dict()
    if custom:
        from open_clip.model import convert_to_custom_text_state_dict

        state = convert_to_custom_text_state_dict(state)
        assert "text.positional_embedding" in state
    torch.save(
        {"epoch": 1, "state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / f"{name}.pt"
    )
    check(tmp_path / f"{name}.pt", inputs, image, text)


def test_open_clips_towers_in_two_files(theirs, inputs, tmp_path):
    clip, name = theirs
    with torch.no_grad():
        image, text = clip.encode_image(inputs[0]), clip.encode_text(inputs[1])
    save_file(images_of(clip.state_dict()), tmp_path / f"vision_{name}.safetensors")
    save_file(texts_of(clip.state_dict()), tmp_path / f"text_{name}.safetensors")
    check(f"{tmp_path}/vision_{name}.safetensors + {tmp_path}/text_{name}.safetensors", inputs, image, text)


@pytest.fixture(scope="module", params=["gelu", "quick_gelu"])
def foreign(request):
    """A small CLIPModel of transformers with its embeddings; heads that no table knows."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    vision, text = {**VISION, "hidden_act": request.param}, {**WORDS, "hidden_act": request.param}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)
    model = transformers.CLIPModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1 if parameter.ndim > 1 else 0.5)
    return model


def embed(model, inputs):
    with torch.no_grad():
        image = model.visual_projection(model.vision_model(inputs[0]).pooler_output)
        text = model.text_projection(model.text_model(inputs[1]).pooler_output)
        whole = model(input_ids=inputs[1], pixel_values=inputs[0])
    torch.testing.assert_close(whole.image_embeds, image / image.norm(dim=-1, keepdim=True))
    torch.testing.assert_close(whole.text_embeds, text / text.norm(dim=-1, keepdim=True))
    return image, text


def test_transformers_model(foreign, inputs, tmp_path):
    image, text = embed(foreign, inputs)
    foreign.save_pretrained(tmp_path)
    check(tmp_path / "model.safetensors", inputs, image, text)


def test_transformers_towers_in_two_files(foreign, inputs, tmp_path):
    import transformers

    image, text = embed(foreign, inputs)
    for folder, kind, part in (
        ("vision", "CLIPVisionModelWithProjection", foreign.config.vision_config),
        ("text", "CLIPTextModelWithProjection", foreign.config.text_config),
    ):
        part.projection_dim = 32
        tower = getattr(transformers, kind)(part)
        tower.load_state_dict(foreign.state_dict(), strict=False)
        tower.save_pretrained(tmp_path / folder)
    check(f"{tmp_path}/text/model.safetensors + {tmp_path}/vision/model.safetensors", inputs, image, text)
