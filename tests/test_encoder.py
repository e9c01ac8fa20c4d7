"""`encoder`: unit vectors from pictures and sentences, and what it says of unknown words."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from llmseg import options
from llmseg.attention import ATTENTION
from llmseg.defaults import EngineDefaults
from llmseg.dense import embed_patches
from llmseg.encoder import TOKENS_PER_BATCH, Encoder, load_encoder
from llmseg.errors import InputError, ModelError, UnknownNameError
from llmseg.models.weights import read_weights


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 40, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def tiny(tiny_clip, saved_clip):
    return load_encoder(str(saved_clip(tiny_clip())))


def test_what_is_known_of_the_embedded_model(encoder):
    assert (encoder.name, encoder.library, encoder.patch_size, encoder.image_size) == (
        "emoji-world",
        "emoji",
        8,
        96,
    )
    assert encoder.defaults.attention == "naclip"
    assert encoder.device == torch.device("cpu")


def test_a_model_nobody_calibrated_has_the_common_defaults(tiny):
    assert tiny.defaults == EngineDefaults()


@pytest.mark.parametrize("name", ATTENTION)
def test_patches_are_unit_vectors_of_the_normalised_picture(encoder, images, name):
    patches = encoder.encode_patches(images, name)
    assert patches.shape == (2, 5, 8, encoder.embed_dim)
    for image in range(2):  # one by one, normalised by hand
        picture = torch.stack([(images[image, channel] - 0.5) / 0.27 for channel in range(3)])
        wanted = embed_patches(encoder.module.visual, picture[None], ATTENTION[name])[0]
        torch.testing.assert_close(patches[image], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(2, 5, 8))


@pytest.mark.parametrize("name", ATTENTION)
def test_auto_is_the_models_own_attention(encoder, images, name, monkeypatch):
    monkeypatch.setattr("llmseg.encoder.engine_defaults", lambda model, kind: EngineDefaults(attention=name))
    assert encoder.encode_patches(images).equal(encoder.encode_patches(images, name))


def test_whole_images_are_squeezed_to_the_models_square(encoder, images):
    square = interpolate(images, size=(96, 96), mode="bicubic", antialias=True).clamp(0, 1)
    raw = encoder.module.visual((square - 0.5) / 0.27)
    wanted = raw / raw.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.encode_image(square), wanted, atol=1e-5, rtol=0)


def test_a_whole_image_is_looked_at_when_its_vector_is_asked_for(encoder, images):
    passes = []
    hook = encoder.module.visual.register_forward_hook(lambda *_: passes.append(1))
    try:
        see = encoder.whole_image(images)
        assert passes == []
        seen = see()
        assert passes == [1]
    finally:
        hook.remove()
    assert seen.equal(encoder.encode_image(images))


def test_what_is_over_whole_patches_is_not_looked_at(encoder, images):
    padded = torch.nn.functional.pad(images, (0, 7, 0, 3), value=1.0)
    assert encoder.encode_patches(padded, "naclip").equal(encoder.encode_patches(images, "naclip"))
    assert encoder.encode_tokens(padded).equal(encoder.encode_tokens(images))


@pytest.mark.parametrize("name", ["vanilla", "maskclip", "sclip", "clearclip", "naclip", "stitched"])
def test_tokens_finished_at_once_are_the_patches(encoder, images, name):
    tokens = encoder.encode_tokens(images)
    assert tokens.shape[:2] == (2, 1 + 5 * 8)
    finished = encoder.finish_tokens(tokens, (5, 8), name)
    torch.testing.assert_close(finished, encoder.encode_patches(images, name), atol=1e-6, rtol=0)


def test_phrases_reach_the_second_look(encoder, images):
    words = encoder.encode_text(["owl", "oak", "duck", "water"])
    seen = encoder.encode_patches(images, "resclip", words)
    picture = (images - 0.5) / 0.27
    wanted = embed_patches(encoder.module.visual, picture, ATTENTION["resclip"], words)
    torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=0)
    assert (seen - encoder.encode_patches(images, "resclip")).abs().max() > 1e-3


def test_each_channel_has_its_own_mean_and_spread(tiny_clip, saved_clip):
    encoder = Encoder(read_weights(str(saved_clip(tiny_clip()))))
    pixel = encoder._prepare(torch.ones(1, 3, 1, 1)).flatten().tolist()
    means, spreads = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    assert pixel == pytest.approx([(1 - mean) / spread for mean, spread in zip(means, spreads, strict=True)])


def test_sentences_give_the_same_vectors_alone_and_in_batches(encoder):
    count = TOKENS_PER_BATCH // 8
    sentences = [f"{'a photo of ' * (number % 4)}owl {number}" for number in range(count)]
    together = encoder.encode_text(sentences)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(count))
    for number in (0, 1, 2, 3, count // 2, count - 1):
        torch.testing.assert_close(together[number], encoder.encode_text([sentences[number]])[0], atol=1e-5, rtol=0)


def watch_tokens(encoder):
    """Shapes of the token batches that the text tower reads from now on."""
    shapes = []
    encoder.module.token_embedding.register_forward_hook(lambda module, args, out: shapes.append(tuple(args[0].shape)))
    return shapes


def test_a_batch_holds_sentences_of_one_length_cut_to_it(tiny, monkeypatch):
    shapes = watch_tokens(tiny)
    monkeypatch.setattr("llmseg.encoder.TOKENS_PER_BATCH", 18)
    long, middle, short = "a cat on the grey mat", "a cat on a mat", "cat"  # 8, 7 and 3 tokens
    sentences = [long, short, middle, "dog", "cow", long, "a dog on a mat", "owl"]
    together = tiny.encode_text(sentences)
    assert shapes == [(4, 3), (2, 7), (1, 8)], "a sentence that stands twice is read once"
    for sentence, vector in zip(sentences, together, strict=True):
        torch.testing.assert_close(vector, tiny.encode_text([sentence])[0], atol=1e-5, rtol=0)
    assert together[0].equal(together[5])


def test_cutting_is_exact_for_a_tower_that_sees_no_later_token(tiny):
    sentences = ["cat", "a cat on the grey mat"]
    cut, shapes = tiny.encode_text(sentences), watch_tokens(tiny)
    tiny.causal_text = False
    whole = tiny.encode_text(sentences)
    assert shapes == [(2, 16)], "else all sentences are padded to all that the tower reads"
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=0)


def test_the_end_of_a_sentence_is_the_first_that_is_written(tiny):
    torch.testing.assert_close(
        tiny.encode_text(["cat<end_of_text>dog", "cat"]), tiny.encode_text(["cat", "cat"]), atol=1e-5, rtol=0
    )


def test_sentences_that_fit(tiny):
    sentences = [
        "cat " * 14,
        "cat " * 15,
        "a" * 14,
        "a b c d e f g h",
        "猫" * 4,
        "猫" * 30,
        "&lt;" * 14,
        "&lt;" * 15,
        "",
    ]
    for sentence in sentences:
        assert tiny.fits(sentence) == (len(tiny.tokenizer.encode(sentence)) <= 14)


def test_no_sentences_give_no_vectors(encoder):
    assert encoder.encode_text([]).shape == (0, encoder.embed_dim)


def test_results_need_no_gradient(encoder, images):
    assert not encoder.encode_patches(images).requires_grad
    assert not encoder.encode_text(["owl"]).requires_grad
    assert not encoder.finish_tokens(encoder.encode_tokens(images), (5, 8), "naclip").requires_grad


@pytest.mark.slow  # imports much of torch
def test_compiled_blocks_are_the_same_blocks(tiny, images):
    before = tiny.encode_patches(images, "naclip"), tiny.encode_image(images)
    tiny.compile()
    with torch.compiler.set_stance("force_eager"):  # no compiler of a processor is needed
        after = tiny.encode_patches(images, "naclip"), tiny.encode_image(images)
    assert after[0].equal(before[0])
    assert after[1].equal(before[1])
    assert all(block._compiled_call_impl is not None for block in tiny.module.visual.blocks[:-1])


# --- number formats ---


def test_float32_is_the_format_of_processors(tiny):
    assert {parameter.dtype for parameter in tiny.module.parameters()} == {torch.float32}


@pytest.fixture(scope="module")
def encoders():
    """The embedded model in every format."""
    return {dtype: load_encoder(dtype=dtype) for dtype in options.DTYPE.names}


@pytest.mark.parametrize("dtype", options.DTYPE.names)
def test_only_the_image_tower_has_the_format(encoders, dtype):
    module = encoders[dtype].module
    assert {parameter.dtype for parameter in module.visual.parameters()} == {getattr(torch, dtype)}
    others = {p.dtype for name, p in module.named_parameters() if not name.startswith("visual.")}
    assert others == {torch.float32}
    assert encoders[dtype].text_identity == encoders["float32"].text_identity


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gives_nearly_the_same_cosines_in_float32(encoders, images, name, dtype):
    words = encoders["float32"].encode_text(["owl", "oak", "duck", "water"])
    assert encoders[dtype].encode_text(["owl", "oak", "duck", "water"]).equal(words)
    phrases = words if ATTENTION[name].feedback else None
    half, full = (encoders[kind].encode_patches(images, name, phrases) for kind in (dtype, "float32"))
    assert half.dtype == full.dtype == torch.float32
    torch.testing.assert_close(half @ words.T, full @ words.T, atol=0.02, rtol=0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_whole_images_and_finished_tokens_come_back_in_float32(encoders, images, dtype):
    half, full = encoders[dtype], encoders["float32"]
    torch.testing.assert_close(half.encode_image(images), full.encode_image(images), atol=0.02, rtol=0)
    tokens = half.encode_tokens(images)
    assert tokens.dtype == getattr(torch, dtype)
    finished = half.finish_tokens(tokens, (5, 8), "stitched")
    torch.testing.assert_close(finished, full.encode_patches(images, "stitched"), atol=0.02, rtol=0)


def test_a_host_may_change_the_number_format(tiny, images):
    before = tiny.text_identity
    tiny.module.to(torch.bfloat16)
    assert tiny.encode_patches(images).dtype == torch.float32
    assert tiny.encode_text(["a cat"]).dtype == torch.bfloat16
    assert tiny.text_identity != before  # such vectors are not to be mixed with the others


def test_an_unknown_format_is_refused():
    with pytest.raises(UnknownNameError) as caught:
        load_encoder(dtype="float61")
    assert str(caught.value) == (
        "dtype: unknown name 'float61'; expected one of float32, float16, bfloat16. Did you mean 'float16'?"
    )


# --- words ---


@pytest.mark.parametrize(
    ("phrase", "unknown"),
    [
        ("owl", ()),
        ("An OWL, an oak-owl!", ()),
        ("a zyzzyva", ("zyzzyva",)),
        ("owl_qux flurb", ("qux", "flurb")),
        ("", ("",)),
        ("猫", ("猫",)),
    ],
)
def test_unknown_words_are_found(encoder, phrase, unknown):
    assert encoder.unknown_words(phrase) == unknown
    assert encoder.knows(phrase) is not bool(unknown)


def test_a_model_that_reads_any_word_knows_no_unknown_one(tiny):
    assert tiny.unknown_words("zyzzyva") == ()


# --- refused ---


@pytest.mark.parametrize(("height", "width"), [(7, 20), (20, 3)])
def test_sides_must_hold_a_patch(encoder, height, width):
    with pytest.raises(InputError) as caught:
        encoder.encode_patches(torch.zeros(1, 3, height, width))
    assert str(caught.value) == f"images: {width} x {height} pixels; expected at least one patch, 8 x 8."


def test_an_unknown_attention_is_refused(encoder, images):
    with pytest.raises(UnknownNameError) as caught:
        encoder.encode_patches(images, "naclipp")
    assert str(caught.value) == (
        "attention: unknown name 'naclipp'; expected one of vanilla, maskclip, surgery, gem, sclip, clearclip, naclip, "
        "itaclip, scclip, resclip, stitched, proxyclip. Did you mean 'naclip'?"
    )


def test_a_sentence_longer_than_the_model_reads_is_refused(tiny):
    with pytest.raises(InputError) as caught:
        tiny.encode_text(["cat " * 20])
    assert str(caught.value) == f"phrase: {('cat ' * 15)!r} has 22 tokens; expected at most 16. Shorten it."


def test_a_missing_model_is_refused():
    with pytest.raises(ModelError) as caught:
        load_encoder("none.safetensors")
    assert str(caught.value) == "model: no file 'none.safetensors'; expected one of none.safetensors."


def test_the_number_format_of_each_side_is_told(encoders):
    for name, encoder in encoders.items():
        assert encoder.image_dtype == getattr(torch, name)
        assert encoder.text_identity == f"{encoder.identity}+torch.float32"
