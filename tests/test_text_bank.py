"""`text_bank`: one vector per phrase, each encoded once; unknown words."""

from __future__ import annotations

import os

import pytest
import torch

from llmseg import text_bank
from llmseg.encoder import load_encoder
from llmseg.errors import InputError, UnknownNameError
from llmseg.expansion import expand_names
from llmseg.names import parse_names
from llmseg.templates import TEMPLATES, fill_templates
from llmseg.text_bank import build_text_bank, encode_phrases
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase


def expand(**classes):
    """An expansion from name=[subclasses]; a Phrase stands as it is."""
    return Expansion(
        tuple(
            ClassExpansion(
                ClassName(name),
                tuple(entry if isinstance(entry, Phrase) else Phrase(entry) for entry in entries),
            )
            for name, entries in classes.items()
        )
    )


@pytest.fixture
def fresh():
    """An embedded encoder of one's own, and the number of token rows that its text tower has read."""
    encoder, rows = load_encoder(), []
    encoder.module.token_embedding.register_forward_hook(lambda module, args, out: rows.append(len(args[0])))
    return encoder, rows


@torch.no_grad()
def slow_vector(encoder, phrase, templates):
    """One sentence at a time: the unit mean of unit vectors."""
    total = torch.zeros(encoder.embed_dim)
    for sentence in fill_templates(phrase, TEMPLATES[templates]):
        vector = encoder.module.encode_text(encoder.tokenizer([sentence]))[0]
        total += vector / vector.norm()
    return total / total.norm()


@pytest.mark.parametrize("templates", TEMPLATES)
def test_vectors_equal_one_sentence_at_a_time(encoder, templates):
    phrases = ["owl", "oak"]
    wanted = torch.stack([slow_vector(encoder, phrase, templates) for phrase in phrases])
    torch.testing.assert_close(encode_phrases(encoder, phrases, templates), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("include_names", "phrases", "class_index"),
    [
        ("yes", ("bird", "owl", "duck", "grass", "tree", "oak"), [0, 0, 0, 1, 2, 2]),
        ("no", ("owl", "duck", "grass", "oak"), [0, 0, 1, 2]),
        ("auto", ("bird", "owl", "duck", "grass", "tree", "oak"), [0, 0, 0, 1, 2, 2]),
    ],
)
def test_phrases_stand_class_by_class(encoder, include_names, phrases, class_index):
    gone = Phrase("whale", status="dropped", reason="by hand")
    expansion = expand(bird=["owl", gone, "duck"], grass=[], tree=["oak"])
    bank = build_text_bank(encoder, expansion, "single", include_names)
    assert bank.phrases == phrases
    assert bank.class_index.tolist() == class_index
    assert bank.class_index.dtype == torch.int64
    for number, phrase in enumerate(phrases):
        torch.testing.assert_close(bank.embeddings[number], slow_vector(encoder, phrase, "single"), atol=1e-5, rtol=0)
    for label, name in enumerate(("bird", "grass", "tree")):
        wanted = slow_vector(encoder, name, "single")
        torch.testing.assert_close(bank.name_embeddings[label], wanted, atol=1e-5, rtol=0)
    assert (bank.templates, bank.model, bank.dropped) == ("single", encoder.identity, ())
    assert bank.classes == expansion.class_list


def test_auto_templates_are_the_models_own(encoder):
    assert build_text_bank(encoder, expand(bird=[])).templates == "captions6" == encoder.defaults.templates


def test_a_subclass_with_an_unknown_word_is_dropped_with_its_reason(encoder):
    bank = build_text_bank(encoder, expand(bird=["owl", "zyzzyva", "tiny flurb"], tree=["qux"]), "single", "no")
    assert bank.phrases == ("owl", "tree")  # a class left with nothing is represented by its name
    assert bank.class_index.tolist() == [0, 1]
    assert bank.dropped == (
        ("bird", "zyzzyva", "unknown_word"),
        ("bird", "tiny flurb", "unknown_word"),
        ("tree", "qux", "unknown_word"),
    )


def test_any_word_may_be_read_by_a_model_without_a_word_list(tiny_clip, saved_clip):
    bank = build_text_bank(load_encoder(str(saved_clip(tiny_clip()))), expand(zyzzyva=["flurb"]))
    assert (bank.phrases, bank.templates, bank.dropped) == (("zyzzyva", "flurb"), "short7", ())


# --- counting what is encoded ---


def test_only_new_phrases_are_encoded(fresh):
    encoder, rows = fresh
    frames = len(TEMPLATES["captions6"])
    first = build_text_bank(encoder, expand(bird=["owl", "duck"], tree=["oak"]))
    assert sum(rows) == 5 * frames
    again = build_text_bank(encoder, expand(bird=["owl", "duck"], tree=["oak"]))
    assert sum(rows) == 5 * frames
    assert again.embeddings.equal(first.embeddings)
    build_text_bank(encoder, expand(bird=["owl", "duck"], boat=["oak"]))  # one class name edited
    assert sum(rows) == 6 * frames


def test_a_phrase_named_twice_is_encoded_once(fresh):
    encoder, rows = fresh
    vectors = encode_phrases(encoder, ["owl", "oak", "owl"], "single")
    assert sum(rows) == 2
    assert vectors[0].equal(vectors[2])


def test_names_phrases_and_sentences_are_encoded_together(fresh, monkeypatch):
    encoder, _ = fresh
    calls = []
    encode = encoder.encode_text
    monkeypatch.setattr(encoder, "encode_text", lambda sentences: calls.append(sentences) or encode(sentences))
    sentence = Phrase("an owl and an oak", kind="descriptions")
    bank = build_text_bank(encoder, expand(bird=["owl", sentence], tree=["oak", "owl"]), "single", "no")
    (sentences,) = calls
    assert sorted(sentences) == [
        "a photo of a bird.", "a photo of a oak.", "a photo of a owl.", "a photo of a tree.",
        "an owl and an oak",
    ]  # fmt: skip
    torch.testing.assert_close(bank.embeddings[1], slow_vector(encoder, sentence.text, "bare"), atol=1e-5, rtol=0)
    torch.testing.assert_close(bank.name_embeddings[1], slow_vector(encoder, "tree", "single"), atol=1e-5, rtol=0)


def test_many_phrases_are_encoded_part_by_part(fresh, monkeypatch):
    encoder, rows = fresh
    whole = encode_phrases(load_encoder(), ["owl", "oak", "duck", "car", "tree"], "captions6")
    monkeypatch.setenv("LLMSEG_DATA", os.environ["LLMSEG_DATA"] + "_other")
    monkeypatch.setattr(text_bank, "SENTENCES_AT_ONCE", 13)
    parts = encode_phrases(encoder, ["owl", "oak", "duck", "car", "tree"], "captions6")
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
    assert sum(rows) == 30


def test_other_templates_are_other_vectors(fresh):
    encoder, rows = fresh
    single = encode_phrases(encoder, ["owl"], "single")
    seven = encode_phrases(encoder, ["owl"], "short7")
    assert sum(rows) == 8
    assert not single.equal(seven)


def test_the_cache_forgets_the_oldest_beyond_its_size(fresh, monkeypatch):
    encoder, _ = fresh
    monkeypatch.setattr(text_bank, "CACHED_PHRASES", 2)
    assert len(encode_phrases(encoder, ["owl", "oak", "duck"], "single")) == 3
    assert [phrase for _, phrase in encoder.phrase_cache] == ["oak", "duck"]
    assert len(encode_phrases(encoder, ["duck", "owl"], "single")) == 2
    assert [phrase for _, phrase in encoder.phrase_cache] == ["duck", "owl"]


@pytest.mark.gpu
def test_cached_phrases_follow_a_model_that_a_host_moves(fresh):
    encoder, _ = fresh
    before = encode_phrases(encoder, ["owl"], "single")
    encoder.module.to("cuda")
    after = encode_phrases(encoder, ["owl", "oak"], "single")
    assert after.device == encoder.device
    assert after[0].cpu().equal(before[0])


# --- frames of one's own ---


def test_custom_frames_are_averaged_like_any_others(encoder):
    lines = "\n".join(TEMPLATES["captions6"])
    mine = build_text_bank(encoder, expand(bird=["owl"]), "custom", custom_templates=lines)
    assert mine.templates.startswith("custom:")
    assert mine.embeddings.equal(build_text_bank(encoder, expand(bird=["owl"]), "captions6").embeddings)


def test_an_edited_frame_is_another_set(fresh):
    encoder, rows = fresh
    banks = [build_text_bank(encoder, expand(bird=[]), "custom", custom_templates=text) for text in ("a {}", "the {}")]
    assert sum(rows) == 2
    assert banks[0].templates != banks[1].templates
    assert not banks[0].embeddings.equal(banks[1].embeddings)


def test_custom_frames_are_asked_for(encoder):
    with pytest.raises(InputError) as caught:
        build_text_bank(encoder, expand(bird=[]), "custom")
    assert str(caught.value) == (
        "custom_templates: no frames; expected 1 to 1000, one a line, such as 'a drawing of a {}.'"
    )


def test_a_phrase_is_too_long_where_any_of_its_sentences_is(tiny_clip, saved_clip):
    encoder = load_encoder(str(saved_clip(tiny_clip())))
    frames = "a photograph of an extraordinarily large {}\n! ? ! ? ! ? ! {}"  # the second is shorter, but for tokens
    bank = build_text_bank(encoder, expand(cat=["a b c d e f g", "a b c d e f g h"]), "custom", "no", frames)
    assert bank.phrases == ("a b c d e f g",)
    assert bank.dropped == (("cat", "a b c d e f g h", "too_long"),)


# --- refused ---


def test_an_unknown_class_name_lists_the_nearest(encoder):
    with pytest.raises(InputError) as caught:
        build_text_bank(encoder, expand(tree=[], poodel=["oak"]))
    assert str(caught.value) == (
        "names: the model 'emoji-world' does not know the word 'poodel' of class 'poodel'; "
        "expected words it was trained on. Nearest: poodle, poodles, noodles."
    )


def test_an_unknown_class_name_like_no_other_has_no_hint(encoder):
    with pytest.raises(InputError) as caught:
        build_text_bank(encoder, expand(xyzxyzxyz=[]))
    assert str(caught.value) == (
        "names: the model 'emoji-world' does not know the word 'xyzxyzxyz' of class 'xyzxyzxyz'; "
        "expected words it was trained on."
    )


def test_unknown_templates_are_refused(encoder):
    with pytest.raises(UnknownNameError) as caught:
        build_text_bank(encoder, expand(bird=[]), "sinlge")
    assert str(caught.value) == (
        "templates: unknown name 'sinlge'; expected one of bare, single, captions6, short7, openai80, surgery85, custom. "
        "Did you mean 'single'?"
    )


def test_another_word_for_include_names_is_refused(encoder):
    with pytest.raises(UnknownNameError) as caught:
        build_text_bank(encoder, expand(bird=[]), include_names="maybe")
    assert str(caught.value) == "include_names: unknown name 'maybe'; expected one of auto, yes, no."


def test_what_is_left_out_is_said(encoder, caplog):
    words = ", ".join(f"gizmo{number}" for number in range(12))
    build_text_bank(encoder, expand_names(parse_names("dog, sky"), f"dog: poodle, {words}"))
    shown = ", ".join(f"gizmo{number} (dog)" for number in range(10))
    assert caplog.messages == [f"the model 'emoji-world' does not know every word of {shown} and 2 more; left out."]


def test_an_alias_is_a_phrase_of_its_class(encoder):
    bank = build_text_bank(encoder, expand_names(parse_names("car | taxi | zzqx, tree"), "emoji"), "single", "no")
    assert bank.phrases[:3] == ("taxi", "sedan", "jeep")
    assert ("car", "zzqx", "unknown_word") in bank.dropped
    assert bank.class_index[0] == 0


def test_a_name_without_a_word_is_refused(encoder):
    with pytest.raises(InputError) as caught:
        build_text_bank(encoder, expand_names(parse_names("dog, !!!"), "off"))
    assert str(caught.value) == (
        "names: the model 'emoji-world' does not know the word '!!!' of class '!!!'; expected words it was trained on."
    )
