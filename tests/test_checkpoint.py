"""`checkpoint`: the metadata of a described model, the embedded one and hostile ones."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
import torch

from llmseg.errors import ModelError
from llmseg.models.weights import read_weights
from llmseg.vit import build_clip

DESCRIPTION = {
    "name": "described",
    "vision": {"image_size": 32, "patch_size": 8, "width": 128, "layers": 3, "heads": 4},
    "text": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    "embed_dim": 32,
    "activation": "quickgelu",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
    "token_ids": [320, 49406, 49407],
    "words": ["owl", "oak"],
    "names": ["owl"],
    "library": "emoji",
}


@pytest.fixture
def described(tiny_clip, saved_clip):
    """Save a described model whose token table has 4 rows, with changes to its description."""
    state = tiny_clip()
    state["token_embedding.weight"] = state["token_embedding.weight"][:4].clone()

    def save(**changes):
        description = {key: value for key, value in {**deepcopy(DESCRIPTION), **changes}.items() if value is not ...}
        return str(saved_clip(state, "d.safetensors", {"llmseg": json.dumps(description)}))

    return save


def message(path):
    with pytest.raises(ModelError) as caught:
        read_weights(path)
    return str(caught.value)


def test_everything_described_arrives(described):
    weights = read_weights(described())
    assert (weights.name, weights.library, weights.names) == ("described", "emoji", ("owl",))
    assert weights.words == {"owl", "oak"}
    assert (weights.mean, weights.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert (weights.config.vision.heads, weights.config.text.heads) == (4, 2)
    assert weights.config.activation == "quickgelu"
    assert read_weights(described(), activation="gelu").config.activation == "gelu"


def test_a_compact_token_table_is_spread_over_the_vocabulary(described, tiny_clip):
    compact = tiny_clip()["token_embedding.weight"][:4]
    table = read_weights(described()).state["token_embedding.weight"]
    for token in range(0, 49408, 7):  # a slow twin on every seventh row, and the listed ones
        assert table[token].equal(compact[0]) or token in (320, 49406, 49407)
    assert [table[token].equal(compact[row]) for row, token in enumerate((320, 49406, 49407), 1)] == [True] * 3


def test_what_may_be_left_out(described):
    weights = read_weights(described(words=..., names=..., library=...))
    assert (weights.words, weights.names, weights.library) == (None, (), "")


def test_a_described_model_may_hold_the_whole_token_table(saved_clip, tiny_clip):
    state = tiny_clip()
    description = {key: value for key, value in DESCRIPTION.items() if key != "token_ids"}
    weights = read_weights(str(saved_clip(state, metadata={"llmseg": json.dumps(description)})))
    assert weights.name == "described"
    assert weights.state["token_embedding.weight"].equal(state["token_embedding.weight"])


REFUSED = {
    "no name": ({"name": ...}, "KeyError('name')"),
    "name is a list": ({"name": ["x"]}, "TypeError('a name or word that is no text')"),
    "words are numbers": ({"words": [1]}, "TypeError('a name or word that is no text')"),
    "words are one text": ({"words": "owl"}, "TypeError('a name or word that is no text')"),
    "absurd width": (
        {"vision": {**DESCRIPTION["vision"], "width": 10**12}},
        "ValueError('vision width 1000000000000, not 128 as in the tensors')",
    ),
    "absurd layers": (
        {"text": {**DESCRIPTION["text"], "layers": 10**9}},
        "ValueError('text layers 1000000000, not 2 as in the tensors')",
    ),
    "absurd vocabulary": (
        {"text": {**DESCRIPTION["text"], "vocab_size": 10**15}},
        "ValueError('text vocab_size 1000000000000000, not 49408 as in the tensors')",
    ),
    "absurd embedding": (
        {"embed_dim": 10**12},
        "ValueError('embed_dim 1000000000000, not 32 as in the tensors')",
    ),
    "patches of nothing": (
        {"vision": {**DESCRIPTION["vision"], "patch_size": 0}},
        "ValueError('vision patch_size 0, not 8 as in the tensors')",
    ),
    "no heads": ({"vision": {**DESCRIPTION["vision"], "heads": 0}}, "ValueError('vision heads 0')"),
    "half a head": ({"text": {**DESCRIPTION["text"], "heads": 0.5}}, "ValueError('text heads 0.5')"),
    "a tower that is a list": ({"vision": []}, "AttributeError(\"'list' object has no attribute 'get'\")"),
    "a tower that is a text": ({"vision": "x"}, "AttributeError(\"'str' object has no attribute 'get'\")"),
    "unknown activation": ({"activation": "relu"}, "ValueError(\"activation 'relu'\")"),
    "activation is a list": ({"activation": ["gelu"]}, None),
    "two means": ({"mean": [0.5, 0.5]}, "ValueError('mean [0.5, 0.5]')"),
    "std of 0": ({"std": [0, 0.5, 0.5]}, "ValueError('std [0, 0.5, 0.5]')"),
    "mean not a number": ({"mean": [float("nan")] * 3}, "ValueError('mean [nan, nan, nan]')"),
    "mean is a text": ({"mean": "abc"}, None),
    "too few tokens": ({"token_ids": [1, 2]}, "ValueError('2 token_ids for 4 rows')"),
    "a token beyond": ({"token_ids": [1, 2, 49408]}, "ValueError('3 token_ids for 4 rows')"),
    "a token before": ({"token_ids": [1, 2, -1]}, "ValueError('3 token_ids for 4 rows')"),
    "tokens are texts": ({"token_ids": ["a", "b", "c"]}, None),
    "tokens are a number": ({"token_ids": 7}, "TypeError(\"object of type 'int' has no len()\")"),
    "a message without end": ({"mean": [7] * 10**5}, "ValueError('mean [" + "7, " * 61),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_description_is_refused(described, case):
    changes, problem = REFUSED[case]
    text = message(described(**changes))
    start, end = (
        "model: metadata of the model is unusable (",
        "); expected every field, with values of its kind.",
    )
    assert text.startswith(start)
    assert text.endswith(end)
    inner = text.removeprefix(start).removesuffix(end)
    assert len(inner) <= 200
    assert problem is None or (inner == problem if len(problem) < 190 else inner.startswith(problem[:190]))


def test_heads_that_do_not_divide_the_width_are_refused(described):
    weights = read_weights(described(vision={**DESCRIPTION["vision"], "heads": 7}))
    with pytest.raises(ModelError) as caught:
        build_clip(weights.state, weights.config)
    assert str(caught.value) == "model: 7 heads; expected a divisor of the width 128."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[" * 10**6, None),
    ],
    ids=["broken", "deep"],
)
def test_metadata_that_are_no_json_are_refused(tiny_clip, saved_clip, text, problem):
    told = message(str(saved_clip({"a": torch.ones(1)}, "m.safetensors", {"llmseg": text})))
    assert told.startswith("model: metadata of 'm.safetensors' is not valid JSON (")
    assert told.endswith("); expected an object.")
    assert problem is None or problem in told


@pytest.mark.parametrize("metadata", [{"llmseg": "[1]"}, {"llmseg": "{}"}, {"format": "pt"}, None])
def test_a_file_without_a_description_is_a_plain_checkpoint(tiny_clip, saved_clip, metadata):
    assert read_weights(str(saved_clip(tiny_clip(), metadata=metadata))).name == "tiny"


def test_the_embedded_model_gives_open_clips_embeddings(encoder):
    model = pytest.importorskip("open_clip.model")
    state, config = read_weights().state, read_weights().config
    vision = model.CLIPVisionCfg(layers=6, width=192, head_width=64, patch_size=8, image_size=96)
    theirs = model.CLIP(128, vision, model.CLIPTextCfg(32, 49408, width=128, heads=2, layers=2)).eval()
    theirs.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    tokens = torch.nn.functional.pad(encoder.tokenizer(["an owl on an oak", "grass"]), (0, 32))[:, :32]
    with torch.no_grad():
        wanted = theirs.encode_image((images - 0.5) / 0.27, normalize=True)
        torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
        wanted = theirs.encode_text(tokens, normalize=True)
        torch.testing.assert_close(encoder.encode_text(["an owl on an oak", "grass"]), wanted, atol=1e-5, rtol=0)
    assert config.activation == "gelu"
