"""`towers.bert` and `wordpiece`: the text tower of SimSeg equals transformers' BERT, its words transformers' tokens."""

from __future__ import annotations

import sys

import pytest
import torch
from plain_models import bert_state

from llmseg import wordpiece
from llmseg.errors import InputError, ModelError
from llmseg.towers.bert import build_bert
from llmseg.wordpiece import WordPieceTokenizer, find_vocabulary

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "of", "dog", "##s", ".", "the", "caf", "##e", "-"]
SENTENCES = ["a photo of dogs.", "The CAFÉ", "a", "dog-dogs  of\tzebras", "", "a photo of a dog, the dogs."]


@pytest.fixture(scope="module")
def projection():
    return torch.randn(16, 64, generator=torch.Generator().manual_seed(3)) * 0.2


@pytest.fixture
def model_file(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return tmp_path / "model.pth"


def rows(*lengths, width=12):
    """Token rows of these lengths, padded with zeros."""
    tokens = torch.randint(1, 40, (len(lengths), width), generator=torch.Generator().manual_seed(4))
    for row, length in enumerate(lengths):
        tokens[row, length:] = 0
    return tokens


# --- the tower ---


def test_the_tower_equals_transformers_and_a_slow_pool(projection):
    transformers = pytest.importorskip("transformers")
    state, tokens = bert_state(), rows(12, 5, 3)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=128,
        max_position_embeddings=32,
    )  # fmt: skip
    theirs = transformers.BertModel(config, add_pooling_layer=False).eval()
    theirs.load_state_dict(state, strict=True)
    with torch.no_grad():
        words = theirs(input_ids=tokens, attention_mask=(tokens > 0).long()).last_hidden_state @ projection.T
        wanted = torch.stack(
            [row[: int((ids > 0).sum())].max(0).values for row, ids in zip(words, tokens, strict=True)]
        )
        got = build_bert({f"x.{name}": tensor for name, tensor in state.items()}, "x.", projection)(tokens)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


def test_padding_may_be_left_out(projection):
    pytest.importorskip("transformers")
    tower, tokens = build_bert(bert_state(), "", projection), rows(5, 3)
    torch.testing.assert_close(tower(tokens[:, :5]), tower(tokens), atol=1e-5, rtol=0)
    torch.testing.assert_close(tower(tokens[1:, :3]), tower(tokens)[1:], atol=1e-5, rtol=0)


def test_what_older_files_hold_besides_is_left_out(projection):
    pytest.importorskip("transformers")
    older = {
        **bert_state(),
        "embeddings.position_ids": torch.arange(32)[None],
        "pooler.dense.weight": torch.ones(64, 64),
    }
    older["pooler.dense.bias"] = torch.ones(64)
    got = build_bert(older, "", projection)(rows(7, 2))
    assert got.equal(build_bert(bert_state(), "", projection)(rows(7, 2)))


def test_halves_are_read_in_float32_and_the_tower_moves(projection):
    pytest.importorskip("transformers")
    tower = build_bert({name: tensor.half() for name, tensor in bert_state().items()}, "", projection.half())
    assert {each.dtype for each in tower.parameters()} == {torch.float32}
    assert not any(each.is_meta for each in [*tower.parameters(), *tower.buffers()])
    assert tower.to(torch.float64)(rows(4)).dtype == torch.float64


def change(name, tensor=None):
    state = bert_state()
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    return state


BAD = {
    "no words": change("embeddings.word_embeddings.weight"),
    "flat words": change("embeddings.word_embeddings.weight", torch.zeros(40)),
    "half a head": change("embeddings.word_embeddings.weight", torch.zeros(40, 32)),
    "no places": change("embeddings.position_embeddings.weight"),
    "no bias": change("encoder.layer.1.output.dense.bias"),
    "another shape": change("encoder.layer.1.attention.self.key.weight", torch.zeros(64, 63)),
    "one too many": change("encoder.layer.1.extra.weight", torch.zeros(1)),
    "a layer far up": change("encoder.layer.900000000.output.dense.bias", torch.zeros(64)),
    "no layers": {name: tensor for name, tensor in bert_state().items() if "layer." not in name},
}


@pytest.mark.parametrize("fault", BAD)
def test_other_models_are_refused(projection, fault):
    pytest.importorskip("transformers")
    with pytest.raises(ModelError) as caught:
        build_bert(BAD[fault], "", projection)
    message = str(caught.value)
    assert message.startswith("model: ")
    assert "expected" in message
    assert "\n" not in message


def test_a_projection_of_another_width_is_refused():
    pytest.importorskip("transformers")
    with pytest.raises(ModelError) as caught:
        build_bert(bert_state(), "", torch.zeros(16, 63))
    assert str(caught.value) == "model: a text projection of shape [16, 63]; expected [D,64]."


def test_without_transformers_the_command_is_named(projection, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError) as caught:
        build_bert(bert_state(), "", projection)
    message = str(caught.value)
    assert message.startswith("model: the text tower is a BERT and needs transformers, which cannot be imported (")
    assert message.endswith("Run: pip install transformers")


# --- words ---


def test_tokens_equal_transformers(model_file):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer(vocab=str(model_file.with_name("vocab.txt")))
    wanted = theirs(SENTENCES, padding="max_length", max_length=25)["input_ids"]
    tokenizer = WordPieceTokenizer(model_file, 25, 40)
    assert tokenizer(SENTENCES, 25).tolist() == wanted
    assert tokenizer(SENTENCES).shape == (6, 12)
    assert [[2, *tokenizer.encode(sentence), 3] for sentence in SENTENCES] == [
        [token for token in row if token] for row in wanted
    ]


def test_what_does_not_fit_is_refused_and_never_cut(model_file):
    pytest.importorskip("tokenizers")
    tokenizer = WordPieceTokenizer(model_file, 6, 40)
    assert tokenizer.fits("a photo of the")
    assert not tokenizer.fits("a photo of dogs")
    assert tokenizer([]).shape == (0, 2)
    with pytest.raises(InputError) as caught:
        tokenizer(["a", "a photo of dogs"])
    assert str(caught.value) == "phrase: 'a photo of dogs' has 7 tokens; expected at most 6. Shorten it."


def test_the_files_own_vocabulary_comes_first(model_file):
    assert find_vocabulary(model_file) == model_file.with_name("vocab.txt")
    own = model_file.with_name("model.vocab.txt")
    own.write_text("", encoding="utf-8")
    assert find_vocabulary(model_file) == own


def test_a_vocabulary_of_the_hub_is_found_in_its_cache(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for repository in ("bert-base-uncased", "google-bert/bert-base-uncased"):
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("0123", encoding="utf-8")
        (folder / "snapshots" / "0123").mkdir(parents=True)
        (path := folder / "snapshots" / "0123" / "vocab.txt").write_text("[PAD]", encoding="utf-8")
        assert find_vocabulary(tmp_path / "model.pth") == path


def test_a_missing_vocabulary_says_where_it_was_looked_for_and_how_to_get_it(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    tokenizer = WordPieceTokenizer(tmp_path / "model.pth", 25, 40)
    with pytest.raises(ModelError) as caught:
        tokenizer(["a"])
    assert str(caught.value) == (
        "vocabulary: no 'vocab.txt', which turns words into tokens for 'model.pth'; looked for "
        f"{tmp_path / 'model.vocab.txt'}, {tmp_path / 'vocab.txt'} and bert-base-uncased in the cache of "
        "huggingface_hub. Put the one of bert-base-uncased beside the model file: hf download "
        f"google-bert/bert-base-uncased vocab.txt --local-dir {tmp_path}"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\n[SEP]\na\n", "lacks [CLS]; expected the vocabulary of bert-base-uncased."),
        (b"a\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n", "holds 5 pieces; expected [PAD] first and at most 6, as many as "),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\n", "holds 7 pieces; expected [PAD] first and at most 6, as many as "),
        (b"\xff\xfe", "expected a vocabulary, a piece a line."),
    ],
)
def test_another_file_is_refused(tmp_path, content, message):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        WordPieceTokenizer(tmp_path / "model.pth", 25, 6)(["a"])
    assert str(caught.value).startswith("vocabulary: ")
    assert message in str(caught.value)


def test_a_file_as_large_as_a_disk_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(wordpiece, "LARGEST_FILE", 3)
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    with pytest.raises(ModelError, match="is too large; expected a vocabulary, a piece a line"):
        WordPieceTokenizer(tmp_path / "model.pth", 25, 40)(["a"])


def test_other_line_breaks_make_the_same_pieces(tmp_path):
    pytest.importorskip("tokenizers")
    pieces = [*PIECES, "\u2028", "x"]  # a piece that Python takes for a line break
    (tmp_path / "vocab.txt").write_bytes("\r\n".join(pieces).encode() + b"\r\n")
    assert WordPieceTokenizer(tmp_path / "model.pth", 25, 40).encode("a x") == [5, 16]


def test_without_tokenizers_the_command_is_named(model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setitem(sys.modules, "tokenizers.implementations", None)
    with pytest.raises(ModelError, match=r"Run: pip install transformers$"):
        WordPieceTokenizer(model_file, 25, 40)(["a"])
