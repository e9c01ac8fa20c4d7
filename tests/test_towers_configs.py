"""`towers.configs`, `named_models`: which architecture a file has is found, told by its neighbours, or asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_towers import CONFIGS, RESNET, config, make_network, open_clip, register, save_network, token_rows

from llmseg.encoder import load_encoder
from llmseg.errors import ModelError
from llmseg.models.weights import holds_model, read_weights
from llmseg.towers.configs import CONFIG_FILE, find_architecture, measure
from llmseg.towers.library import build_network
from llmseg.towers.timm_vit import check_timm

TWINS = {
    "Twin-32": config("tiny_siglip", "map", "none", 48, context_length=17),
    "Twin-39": config("tiny_siglip", "map", "none", 48, context_length=17),
}
TWINS["Twin-39"]["vision_cfg"]["image_size"] = 39  # the same four patches a side


@pytest.fixture(scope="module", autouse=True)
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    register(folder)
    for name, described in TWINS.items():
        (folder / f"{name}.json").write_text(json.dumps(described), encoding="utf-8")
        open_clip.add_model_config(folder / f"{name}.json")


@pytest.fixture(scope="module")
def siglip():
    return make_network(CONFIGS["Tiny-SigLIP"])


@pytest.fixture(scope="module")
def twin():
    return make_network(TWINS["Twin-32"])


def message(path):
    with pytest.raises(ModelError) as caught:
        load_encoder(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_tell_the_architecture(name, tmp_path):
    weights = read_weights(save_network(make_network(CONFIGS[name]), tmp_path / "mine.safetensors"))
    assert weights.identity.endswith(f"+{name}")
    assert (weights.name, weights.embed_dim) == ("mine", CONFIGS[name]["embed_dim"])
    assert (weights.patch_size, weights.image_size) == (8, 32)
    assert weights.causal_text == (name != "Tiny-SigLIP")
    assert weights.kind == ("pooled" if name in ("Tiny-SigLIP", "Tiny-PE") else "vit")


REAL = ("ViT-B-16-SigLIP", "ViT-SO400M-14-SigLIP2", "ViT-SO400M-16-SigLIP-i18n-256", "PE-Core-T-16-384", "EVA02-B-16")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*REAL, "MobileCLIP-B", "ViTamin-S"])
def test_real_names_are_found_by_their_shapes(name):
    """On the meta device, so that no memory is needed."""
    with torch.device("meta"):
        network = build_network(open_clip.get_model_config(name))
    check_timm(network.visual)
    found = find_architecture(open_clip, network.state_dict(), Path(f"{name if 'Mobile' in name else 'x'}.safetensors"))
    assert found.name == name
    assert found.mean == tuple(
        open_clip.get_pretrained_cfg(name, open_clip.list_pretrained_tags_by_model(name)[0])["mean"]
    )


@pytest.mark.slow
def test_a_tower_without_positions_is_refused():
    with torch.device("meta"):
        network = build_network(open_clip.get_model_config("ViTamin-XL-256"))
    with pytest.raises(ModelError, match="'VisionTransformer' with no table of positions; expected"):
        check_timm(network.visual)


# --- several fit ---


def test_several_that_fit_are_named_and_none_is_guessed(twin, tmp_path):
    path = save_network(twin, tmp_path / "mine.safetensors")
    assert message(path) == (
        "model: 'mine.safetensors' may be any of Twin-32, Twin-39; expected one of them in the name of the file "
        f"or of its folder. Rename it, such as to 'Twin-32.safetensors', or put its {CONFIG_FILE} beside it."
    )


@pytest.mark.parametrize(
    ("name", "size"),
    [("my twin-39 v2", 39), ("Twin-32", 32), ("siglip-patch8-39", 39), ("siglip-39/model", 39), ("Twin-32/model", 32)],
)
def test_a_name_settles_it(twin, tmp_path, name, size):
    path = tmp_path / "models" / f"{name}.safetensors"
    path.parent.mkdir(parents=True)
    assert read_weights(save_network(twin, path)).image_size == size


def test_digits_of_a_hash_settle_nothing(twin, tmp_path):
    (tmp_path / "0a39f").mkdir()
    assert "may be any of" in message(save_network(twin, tmp_path / "0a39f" / "model.safetensors"))


def test_the_configuration_beside_the_file_settles_it(twin, tmp_path):
    path = save_network(twin, tmp_path / "open_clip_model.safetensors")
    described = {"model_cfg": TWINS["Twin-39"], "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3]}}
    (tmp_path / CONFIG_FILE).write_text(json.dumps(described), encoding="utf-8")
    weights = read_weights(path)
    assert (weights.image_size, weights.mean, weights.std) == (39, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3))


def hostile_configs():
    base = TWINS["Twin-32"]
    vision, text = base["vision_cfg"], base["text_cfg"]
    return [
        {"model_cfg": {**base, "vision_cfg": {**vision, "timm_model_name": "hf-hub:stranger/model"}}},
        {"model_cfg": {**base, "vision_cfg": {**vision, "timm_model_name": 7}}},
        {"model_cfg": {**base, "text_cfg": {**text, "hf_model_name": "stranger/model"}}},
        {"model_cfg": {**base, "text_cfg": {**text, "layers": 10**9}}},
        {"model_cfg": {**base, "vision_cfg": {**vision, "image_size": "large"}}},
        {"model_cfg": {**base, "text_cfg": {**text, "heads": 7}}},
        {"model_cfg": []},
        [1],
        {"preprocess_cfg": {"mean": "x"}, "model_cfg": None},
    ]


@pytest.mark.parametrize("described", hostile_configs(), ids=range(len(hostile_configs())))
def test_a_configuration_that_does_not_fit_is_no_neighbour(twin, tmp_path, described):
    path = save_network(twin, tmp_path / "Twin-32.safetensors")
    (tmp_path / CONFIG_FILE).write_text(json.dumps(described), encoding="utf-8")
    assert read_weights(path).config == open_clip.get_model_config("Twin-32")


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[" * 10**5, b" " * (2**20 + 1)])
def test_a_configuration_that_cannot_be_read_is_no_neighbour(twin, tmp_path, content):
    path = save_network(twin, tmp_path / "Twin-32.safetensors")
    (tmp_path / CONFIG_FILE).write_bytes(content)
    assert read_weights(path).image_size == 32


# --- none fits ---


def test_none_that_fits_tells_the_sizes(tmp_path):
    other = make_network(config("tiny_siglip", "map", "none", 48, context_length=18))
    assert message(save_network(other, tmp_path / "new.safetensors")) == (
        "model: no configuration of open_clip fits 'new.safetensors' (embed_dim 48, context_length 18, "
        "vocab_size 49408, width 32, layers 2, grid 4, patch 8); expected a timm tower that it knows. "
        f"Put the model's own {CONFIG_FILE} beside the file."
    )


def test_half_a_model_is_no_model(siglip, tmp_path):
    state = {name: tensor for name, tensor in siglip.state_dict().items() if not name.startswith("text.")}
    save_file(state, tmp_path / "vision.safetensors")
    assert not holds_model(list(state))
    assert "'vision.safetensors' holds no model that is known here" in message(tmp_path / "vision.safetensors")
    with pytest.raises(ModelError, match="not a whole model of open_clip"):
        measure(state)


@pytest.mark.parametrize("damage", ["lost", "more", "shape"])
def test_tensors_that_do_not_fit_are_refused(siglip, tmp_path, damage):
    state = dict(siglip.state_dict())
    if damage == "lost":
        del state["visual.trunk.norm.bias"]
    elif damage == "more":
        state["visual.trunk.extra"] = torch.zeros(1)
    else:
        state["text.ln_final.bias"] = torch.zeros(7)
    save_file(state, tmp_path / "Tiny-SigLIP.safetensors")
    assert "no configuration of open_clip fits 'Tiny-SigLIP.safetensors'" in message(
        tmp_path / "Tiny-SigLIP.safetensors"
    )


def test_keys_alone_tell_such_files():
    for described in (*CONFIGS.values(), RESNET):
        assert holds_model(list(make_network(described).state_dict()))
    both = ["vision_model.head.probe", "text_model.embeddings.token_embedding.weight"]
    assert holds_model(both)
    assert not holds_model(both[:1])
    assert not holds_model(["diffusion_model.weight"])


# --- by name ---


@pytest.mark.parametrize("name", CONFIGS)
def test_a_named_model_equals_open_clips(name, tmp_path):
    network = make_network(CONFIGS[name], seed=4)
    torch.save(network.state_dict(), tmp_path / "weights")
    encoder = load_encoder(f"{name}/{tmp_path / 'weights'}")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    ids = token_rows(network)
    with torch.no_grad():
        wanted = network.encode_image((images - encoder._mean) / encoder._std, normalize=True)
        torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(encoder.module.encode_text(ids), network.encode_text(ids), atol=1e-5, rtol=0)
    assert encoder.name == f"{name}/weights"


def test_a_tower_that_is_not_known_is_refused_by_name(tmp_path):
    described = config("test_convnext", "", "linear", 48)
    (tmp_path / "Tiny-Conv.json").write_text(json.dumps(described), encoding="utf-8")
    open_clip.add_model_config(tmp_path / "Tiny-Conv.json")
    torch.save(make_network(described).state_dict(), tmp_path / "weights")
    assert "an image tower 'ConvNeXt' with other blocks; expected" in message(f"Tiny-Conv/{tmp_path / 'weights'}")


def test_sentences_of_a_causal_tower_are_trimmed_exactly(tmp_path):
    network = make_network(CONFIGS["Tiny-PE"])
    encoder = load_encoder(save_network(network, tmp_path / "pe.safetensors"))
    sentences = ["a cat", "two small dogs on a sofa"]
    tokens = open_clip.SimpleTokenizer(context_length=12)(sentences)
    with torch.no_grad():
        wanted = network.encode_text(tokens, normalize=True)
    torch.testing.assert_close(encoder.encode_text(sentences), wanted, atol=1e-5, rtol=0)


def test_a_vocabulary_without_a_tokenizer_is_refused(tmp_path):
    described = config("tiny_siglip", "map", "none", 48, vocab_size=301)
    (tmp_path / CONFIG_FILE).write_text(json.dumps({"model_cfg": described}), encoding="utf-8")
    path = save_network(make_network(described), tmp_path / "x.safetensors")
    assert message(path) == (
        "model: a vocabulary of 301 tokens without a tokenizer's name; expected 49408 as in CLIP's own, or "
        "hf_tokenizer_name in the configuration."
    )
