"""`encoder`: unit vectors from pictures and sentences, and what it says of unknown words."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from llmseg.attention import ATTENTION
from llmseg.defaults import EngineDefaults
from llmseg.encoder import SENTENCES_PER_BATCH, Encoder, load_encoder
from llmseg.errors import InputError, ModelError, UnknownNameError
from llmseg.weights import read_weights


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
        raw = encoder.module.visual.patches(picture[None], ATTENTION[name])[0]
        torch.testing.assert_close(patches[image], raw / raw.norm(dim=-1, keepdim=True), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ATTENTION)
def test_auto_is_the_models_own_attention(encoder, images, name, monkeypatch):
    monkeypatch.setattr("llmseg.encoder.engine_defaults", lambda model: EngineDefaults(attention=name))
    assert encoder.encode_patches(images).equal(encoder.encode_patches(images, name))


def test_whole_images_are_squeezed_to_the_models_square(encoder, images):
    square = interpolate(images, size=(96, 96), mode="bicubic", antialias=True).clamp(0, 1)
    raw = encoder.module.visual((square - 0.5) / 0.27)
    wanted = raw / raw.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.encode_image(square), wanted, atol=1e-5, rtol=0)


def test_each_channel_has_its_own_mean_and_spread(tiny_clip, saved_clip):
    encoder = Encoder(read_weights(str(saved_clip(tiny_clip()))))
    pixel = encoder._prepare(torch.ones(1, 3, 1, 1)).flatten().tolist()
    means, spreads = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    assert pixel == pytest.approx([(1 - mean) / spread for mean, spread in zip(means, spreads, strict=True)])


def test_sentences_give_the_same_vectors_alone_and_in_batches(encoder):
    sentences = [f"{'a photo of ' * (number % 4)}an owl" for number in range(SENTENCES_PER_BATCH + 3)]
    together = encoder.encode_text(sentences)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(len(sentences)))
    for number in (0, 1, 2, 3, SENTENCES_PER_BATCH, SENTENCES_PER_BATCH + 2):
        torch.testing.assert_close(together[number], encoder.encode_text([sentences[number]])[0], atol=1e-5, rtol=0)


def test_no_sentences_give_no_vectors(encoder):
    assert encoder.encode_text([]).shape == (0, encoder.embed_dim)


def test_results_need_no_gradient(encoder, images):
    assert not encoder.encode_patches(images).requires_grad
    assert not encoder.encode_text(["owl"]).requires_grad


def test_a_host_may_change_the_number_format(tiny, images):
    tiny.module.to(torch.bfloat16)
    assert tiny.encode_patches(images).dtype == torch.bfloat16
    assert tiny.encode_text(["a cat"]).dtype == torch.bfloat16


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


def test_a_model_that_reads_any_word_knows_no_unknown_one(tiny):
    assert tiny.unknown_words("zyzzyva") == ()


def test_sides_must_be_whole_patches(encoder):
    with pytest.raises(InputError) as caught:
        encoder.encode_patches(torch.zeros(1, 3, 16, 20))
    assert str(caught.value) == "images: 20 x 16 pixels; expected multiples of the patch size 8."


def test_an_unknown_attention_is_refused(encoder, images):
    with pytest.raises(UnknownNameError) as caught:
        encoder.encode_patches(images, "naclipp")
    assert str(caught.value) == (
        "attention: unknown name 'naclipp'; expected one of vanilla, naclip. Did you mean 'naclip'?"
    )


def test_a_sentence_longer_than_the_model_reads_is_refused(tiny):
    with pytest.raises(InputError) as caught:
        tiny.encode_text(["cat " * 20])
    assert str(caught.value) == f"phrase: {('cat ' * 15)!r} has 22 tokens; expected at most 16. Shorten it."


def test_a_missing_model_is_refused():
    with pytest.raises(ModelError) as caught:
        load_encoder("none.safetensors")
    assert str(caught.value) == "model: no file 'none.safetensors'; expected one of none.safetensors."
