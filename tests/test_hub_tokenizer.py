"""`hub_tokenizer`: tokenizer files beside the model are used; missing ones are named with the way to get them."""

from __future__ import annotations

import importlib.util
import json

import pytest

from llmseg.encoder import load_encoder
from llmseg.errors import InputError, ModelError
from llmseg.hub_tokenizer import HubTokenizer

WORDS = ["<pad>", "</s>", "<unk>", "a", "cat", "dog", "on", "sofa", "two", "dogs"]
HAS_TRANSFORMERS = importlib.util.find_spec("transformers") is not None


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub, never the network."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "TRANSFORMERS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def folder(tmp_path):
    """A small real tokenizer as the hub's folders hold it: words, an end token, padding."""
    model = {"type": "WordLevel", "vocab": {word: number for number, word in enumerate(WORDS)}, "unk_token": "<unk>"}
    special = [
        {"id": number, "content": WORDS[number], "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False, "special": True}
        for number in range(3)
    ]
    end = {"id": "</s>", "ids": [1], "tokens": ["</s>"]}
    after = {"type": "TemplateProcessing", "special_tokens": {"</s>": end}}
    after["single"] = [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]
    after["pair"] = after["single"]
    described = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None}
    described |= {"pre_tokenizer": {"type": "Whitespace"}, "post_processor": after, "decoder": None, "model": model}
    (tmp_path / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    chosen = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**chosen, "unk_token": "<unk>"}), encoding="utf-8")
    return tmp_path


def message(tokenizer):
    with pytest.raises(ModelError) as caught:
        tokenizer(["a cat"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("hub")
def test_missing_files_are_named_with_where_and_how(tmp_path):
    pytest.importorskip("open_clip")
    own, name = tmp_path / "siglip", "timm/ViT-B-16-SigLIP"
    assert message(HubTokenizer(name, tmp_path / "siglip.safetensors", 64, 32000)) == (
        f"tokenizer: no tokenizer of {name!r} on this computer, looked in {str(own)!r}, {str(tmp_path)!r}, the hub's "
        "cache; expected tokenizer.json, spiece.model or tokenizer.model, with tokenizer_config.json. "
        f'Run: hf download {name} --include "tokenizer*" "*.model" "special_tokens_map.json" --local-dir "{own}"'
    )
    assert "looked in the hub's cache; expected" in message(HubTokenizer(name, None, 64, 32000))


@pytest.mark.usefixtures("hub")
def test_a_model_without_its_tokenizer_still_sees_and_reads_token_ids(tmp_path):
    pytest.importorskip("open_clip")
    from tiny_towers import CONFIGS, make_network, register, save_network, token_rows

    register(tmp_path)
    network = make_network(CONFIGS["Tiny-SigLIP"])
    (tmp_path / "alone").mkdir()
    encoder = load_encoder(save_network(network, tmp_path / "alone" / "siglip.safetensors"))
    assert encoder.module.encode_text(token_rows(network)).shape == (3, 48)
    with pytest.raises(ModelError, match="no tokenizer of 'example/tiny' on this computer"):
        encoder.encode_text(["a cat"])
    with pytest.raises(ModelError, match="no tokenizer of 'example/tiny' on this computer"):
        encoder.fits("a cat")


@pytest.mark.skipif(HAS_TRANSFORMERS, reason="transformers is installed")
@pytest.mark.usefixtures("hub")
def test_files_without_the_package_that_reads_them_name_it(folder):
    pytest.importorskip("open_clip")
    assert "needs transformers, which cannot be imported" in message(
        HubTokenizer("example/tiny", folder / "x.safetensors", 8, 300)
    )


# --- with transformers ---


@pytest.fixture
def tokenizer(folder, hub):
    pytest.importorskip("transformers")
    pytest.importorskip("open_clip")
    return HubTokenizer("example/tiny", folder / "x.safetensors", 6, 300, "canonicalize")


def test_sentences_are_padded_to_all_that_the_model_reads(tokenizer):
    assert tokenizer(["a cat", "Two dogs, on a sofa!"]).tolist() == [[3, 4, 1, 0, 0, 0], [8, 9, 6, 3, 7, 1]]
    assert tokenizer(["a cat"], 4).tolist() == [[3, 4, 1, 0]]
    assert tokenizer([]).shape == (0, 6)


def test_tokens_equal_open_clips(tokenizer, folder):
    from open_clip.tokenizer import HFTokenizer

    theirs = HFTokenizer(str(folder), context_length=6, clean="canonicalize")
    sentences = ["a cat", "Two dogs, on a sofa!", "a bird"]
    assert tokenizer(sentences).equal(theirs(sentences))


def test_long_sentences_do_not_fit_and_are_never_cut(tokenizer):
    assert tokenizer.fits("two dogs on a sofa")
    assert not tokenizer.fits("two dogs on a sofa on a sofa")
    with pytest.raises(InputError) as caught:
        tokenizer(["two dogs on a sofa on a sofa"])
    assert str(caught.value) == "phrase: 'two dogs on a sofa on a sofa' has 9 tokens; expected at most 6. Shorten it."


def test_the_files_of_another_model_are_refused(folder, hub):
    pytest.importorskip("transformers")
    pytest.importorskip("open_clip")
    tokenizer = HubTokenizer("example/tiny", folder / "x.safetensors", 8, 9)
    assert tokenizer(["a cat"], 3).tolist() == [[3, 4, 1]]
    with pytest.raises(ModelError) as caught:
        tokenizer(["dogs"])
    assert str(caught.value) == (
        "tokenizer: token 9 in 'dogs'; expected fewer than 9, as the model knows. "
        "The tokenizer's files are not those of 'example/tiny'."
    )


def test_a_folder_of_the_models_name_comes_first(folder, hub):
    pytest.importorskip("transformers")
    pytest.importorskip("open_clip")
    (folder / "x").mkdir()
    for file in folder.glob("*.json"):
        (folder / "x" / file.name).write_bytes(file.read_bytes())
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    assert HubTokenizer("example/tiny", folder / "x.safetensors", 3, 300)(["a cat"]).tolist() == [[3, 4, 1]]


def test_files_that_cannot_be_read_are_named(folder, hub):
    pytest.importorskip("transformers")
    pytest.importorskip("open_clip")
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    assert f"cannot read the tokenizer in {str(folder)!r}" in message(
        HubTokenizer("example/tiny", folder / "x.safetensors", 8, 300)
    )


def test_a_siglip_with_its_tokenizer_reads_sentences(folder, hub):
    pytest.importorskip("transformers")
    pytest.importorskip("open_clip")
    import torch
    from tiny_towers import CONFIGS, make_network, register, save_network

    (folder / "configs").mkdir()
    register(folder / "configs")
    network = make_network(CONFIGS["Tiny-SigLIP"])
    encoder = load_encoder(save_network(network, folder / "siglip.safetensors"))
    ids = torch.tensor([[3, 4, 1, *[0] * 13], [8, 9, 6, 3, 7, 1, *[0] * 10]])
    with torch.no_grad():
        wanted = network.encode_text(ids, normalize=True)
    got = encoder.encode_text(["a cat", "two dogs on a sofa"])
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)
