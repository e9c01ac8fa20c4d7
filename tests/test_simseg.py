"""SimSeg as an engine: its file is recognised, its towers equal literal twins, "auto" is the paper's preset."""

from __future__ import annotations

import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch
from plain_models import IMAGE, plain_state, simseg_state
from test_bert import PIECES
from torch.nn.functional import interpolate, normalize

from llmseg import defaults, segment
from llmseg.attention import ATTENTION
from llmseg.encoder import load_encoder
from llmseg.errors import ModelError
from llmseg.models.simseg import SimSegWeights, is_simseg, read_simseg
from llmseg.models.weights import read_weights
from llmseg.options import AUTO
from llmseg.patch_features import build_patch_features
from llmseg.pipeline import SegmentOptions
from llmseg.squash import squash
from llmseg.towers.plain import build_plain
from llmseg.towers.simseg import build_simseg

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A checkpoint as training leaves it, with its vocabulary."""
    folder = tmp_path_factory.mktemp("simseg")
    meta = {"time": "", "simseg_version": "0.1", "torch_version": torch.__version__, "epoch": 20, "step": np.int64(7)}
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.98)}]}
    state = OrderedDict(simseg_state())
    torch.save({"state_dict": state, "optimizer": optimizer, "meta": meta}, folder / "simseg.pth")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return folder / "simseg.pth"


@pytest.fixture(scope="module")
def encoder(file):
    pytest.importorskip("transformers")
    return load_encoder(str(file))


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 100, 150, generator=torch.Generator().manual_seed(3))


def normalised(images):
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def slow_patches(state, images):
    """Projected patches of squares of 288 pixels, before any pooling. [B,324,D]"""
    own = {name.removeprefix(IMAGE): tensor for name, tensor in state.items() if name.startswith(IMAGE)}
    tower = build_plain(own)  # equal to timm's, says another test
    tokens = tower(normalised(images))
    return tokens[:, 1:] @ state["image_projection.linear.weight"].T


def slow_pool(patches, best=5):
    """The mean of the five largest numbers of each channel."""
    vectors = []
    for image in patches:
        columns = [sorted(column.tolist(), reverse=True)[:best] for column in image.T]
        vectors.append(torch.tensor([sum(column) / best for column in columns]))
    return torch.stack(vectors)


# --- the file ---


def test_the_file_is_recognised_and_read(file):
    weights = read_weights(str(file))
    assert isinstance(weights, SimSegWeights)
    assert (weights.kind, weights.embed_dim, weights.patch_size, weights.image_size) == ("simseg", 32, 16, 288)
    assert (weights.mean, weights.std, weights.causal_text) == (MEAN, STD, True)
    assert weights.identity.startswith("simseg@")


def test_names_tell_it_from_others(tiny_clip):
    state = simseg_state()
    assert is_simseg(state)
    assert is_simseg([f"module.{name}" for name in state])
    assert not is_simseg(tiny_clip())
    assert not is_simseg(plain_state())
    assert not is_simseg([name for name in state if "projection" not in name])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("image_projection.linear.weight", (32,)),
        (f"{IMAGE}patch_embed.proj.weight", (64, 3, 16)),
        (f"{IMAGE}patch_embed.proj.weight", (64, 3, 17, 17)),
        ("text_encoder.model.model.embeddings.word_embeddings.weight", (40,)),
    ],
)
def test_sizes_that_cannot_be_are_refused(tmp_path, name, shape):
    with pytest.raises(ModelError, match=r"^model: patches \[.*; expected patches that divide 288 pixels"):
        read_simseg({**simseg_state(), name: torch.zeros(shape)}, tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("image_projection.linear.weight", (32, 63), "an image projection of shape [32, 63]; expected [D,64]."),
        ("text_projection.linear.weight", (31, 64), "projections of shape [32, 64] and [31, 64]; expected two to one"),
        ("text_projection.linear.weight", (32,), "projections of shape [32, 64] and [32]; expected two to one"),
        (f"{IMAGE}norm.weight", (63,), "'norm.weight' has shape [63]; expected [64] as in a plain ViT."),
    ],
)
def test_towers_that_do_not_fit_are_refused(name, shape, message):
    with pytest.raises(ModelError) as caught:
        build_simseg({**simseg_state(), name: torch.zeros(shape)}, 288)
    assert str(caught.value).startswith(f"model: {message}")


def test_without_transformers_the_command_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"needs transformers, .*\. Run: pip install transformers$"):
        load_encoder(str(file))


# --- pictures ---


def test_a_picture_is_squeezed_and_pooled_channel_by_channel(encoder, images):
    wanted = normalize(slow_pool(slow_patches(simseg_state(), squash(images, 288))), dim=-1)
    torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)


def test_patches_are_the_projected_tokens(encoder, images):
    (level,) = build_patch_features(encoder, images).levels
    assert level.windows.shape == (2, 1, 1, 18, 18, 32)
    wanted = normalize(slow_patches(simseg_state(), squash(images, 288)), dim=-1)
    torch.testing.assert_close(level.windows[:, 0, 0].flatten(1, 2), wanted, atol=1e-5, rtol=0)


def test_positions_of_another_square_are_resized_plainly_and_once(images):
    pytest.importorskip("transformers")
    smaller = simseg_state(side=14)
    table = smaller[f"{IMAGE}pos_embed"][0]
    square = table[1:].T.reshape(1, 64, 14, 14)
    resized = interpolate(square, size=(18, 18), mode="bicubic", align_corners=False).flatten(2)[0].T
    model = build_simseg(smaller, 288)
    torch.testing.assert_close(model.visual.trunk.positions, resized)
    square = normalised(squash(images, 288))
    before = model.visual(square)
    model.visual(normalised(images))
    assert model.visual(square).equal(before)
    assert table.equal(simseg_state(side=14)[f"{IMAGE}pos_embed"][0])


@pytest.mark.parametrize("attention", ATTENTION)
def test_every_method_runs_at_any_size(encoder, images, attention):
    words = normalize(torch.randn(3, 32, generator=torch.Generator().manual_seed(5)), dim=-1)
    for size in ((64, 96), (96, 32)):
        features = encoder.encode_patches(images[..., : size[0], : size[1]], attention, words)
        assert features.shape == (2, size[0] // 16, size[1] // 16, 32)
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(features.shape[:3]))


def test_methods_change_its_patches(encoder, images):
    looks = [encoder.encode_patches(images, name) for name in ("vanilla", "maskclip", "naclip", "clearclip", "sclip")]
    for number, look in enumerate(looks):
        assert all((look - other).abs().max() > 1e-3 for other in looks[:number])


def test_squash_is_pillows_resize(images):
    from PIL import Image

    rounded = (images * 255).round() / 255
    squares = squash(images, 64)
    for image, square in zip(rounded, squares, strict=True):
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        wanted = np.asarray(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR))
        assert (square * 255).round().byte().permute(1, 2, 0).numpy().tolist() == wanted.tolist()
    assert squash(squares, 64).equal(squares)
    assert squash(squares.half(), 64).dtype == torch.float16


# --- words ---


def test_token_rows_need_no_vocabulary(tmp_path):
    pytest.importorskip("transformers")
    torch.save({"state_dict": simseg_state()}, tmp_path / "alone.pth")
    encoder = load_encoder(str(tmp_path / "alone.pth"))
    assert encoder.module.encode_text(torch.tensor([[2, 5, 6, 3, 0]])).shape == (1, 32)
    with pytest.raises(ModelError, match=r"^vocabulary: no 'vocab.txt', .* for 'alone.pth'"):
        encoder.encode_text(["a photo"])


def test_sentences_are_pooled_word_by_word(encoder):
    tokens = torch.tensor([[2, 5, 6, 7, 8, 9, 3]])  # a photo of dogs
    wanted = normalize(encoder.module.encode_text(tokens), dim=-1)
    torch.testing.assert_close(encoder.encode_text(["A photo of dogs"]), wanted, atol=1e-5, rtol=0)
    both = encoder.encode_text(["a", "A photo of dogs"])
    torch.testing.assert_close(both[1:], wanted, atol=1e-5, rtol=0)
    many = ["a", "A photo of dogs", "dog " * 23]
    alone = torch.cat([encoder.encode_text([sentence]) for sentence in many])
    torch.testing.assert_close(encoder.encode_text(many), alone, atol=1e-5, rtol=0)
    assert encoder.fits("dog " * 23)
    assert not encoder.fits("dog " * 24)


# --- the preset ---


def test_auto_is_the_papers_preset(encoder):
    preset = encoder.defaults
    assert preset is defaults.KIND_DEFAULTS["simseg"]
    assert (preset.attention, preset.layout, preset.resize, preset.window) == ("vanilla", "squash", 288, 0)
    assert (preset.templates, preset.mode, preset.temperature) == ("openai80", "paper", 1.0)
    assert (preset.refiner, preset.include_names, preset.scoring) == ("simseg", False, "fast")


def test_everything_runs_in_one_call(encoder, images):
    image = images[:1]
    result = segment(image, "background, dog, cafe, photo", "dog: dogs, a dog", encoder=encoder)
    assert result.labels.shape == (1, 100, 150)
    named = segment(image, "background, dog, cafe, photo", "dog: dogs, a dog", encoder=encoder, options=SegmentOptions(
        attention="vanilla", layout="squash", resize=288, window=0, templates="openai80", mode="paper", gate="simseg",
        refiner="simseg", include_names="no", scoring="fast", temperature=1.0,
    ))  # fmt: skip
    assert named.labels.equal(result.labels)
    plain = segment(image, "dog, cafe", "off", encoder=encoder, options=SegmentOptions(refiner="none", mode=AUTO))
    assert plain.labels.unique().tolist() in ([0], [1], [0, 1])
