"""`weights`: open_clip's names, with a tiny registered architecture and local checkpoints."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from llmseg.encoder import Encoder
from llmseg.errors import ModelError
from llmseg.models.weights import OPENAI_MEAN, OPENAI_STD, read_weights

open_clip = pytest.importorskip("open_clip")

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 128, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module", autouse=True)
def tiny_names(tmp_path_factory):
    """Register "Tiny-8" and "Tiny-8-quickgelu" with open_clip."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "Tiny-8.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "Tiny-8-quickgelu.json").write_text(json.dumps({**CONFIG, "quick_gelu": True}), encoding="utf-8")
    open_clip.add_model_config(folder)


@pytest.fixture
def checkpoint(tiny_clip, tmp_path):
    """A checkpoint that open_clip can read, without a suffix: those with one are files of ours."""

    def save(name="weights", state=None):
        torch.save(tiny_clip() if state is None else state, tmp_path / name)
        return str(tmp_path / name)

    return save


def message(model):
    with pytest.raises(ModelError) as caught:
        read_weights(model)
    return str(caught.value)


@pytest.mark.parametrize("name", ["Tiny-8", "Tiny-8-quickgelu"])
def test_a_registered_name_gives_open_clips_embeddings(checkpoint, name):
    path = checkpoint()
    encoder = Encoder(read_weights(f"{name}/{path}"))
    theirs = open_clip.create_model(name, pretrained=path).eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    normalised = (images - torch.tensor(OPENAI_MEAN).view(3, 1, 1)) / torch.tensor(OPENAI_STD).view(3, 1, 1)
    tokens = open_clip.SimpleTokenizer(context_length=16)(["a cat", "two small dogs on a sofa"])
    with torch.no_grad():
        wanted = theirs.encode_image(normalised, normalize=True)
        torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
        wanted = theirs.encode_text(tokens, normalize=True)
        got = encoder.encode_text(["a cat", "two small dogs on a sofa"])
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


def test_heads_and_preprocessing_come_from_the_configuration(checkpoint):
    weights = read_weights(f"Tiny-8/{checkpoint()}")
    assert (weights.config.vision.heads, weights.config.text.heads) == (4, 2)
    assert (weights.name, weights.mean, weights.std) == ("Tiny-8/weights", OPENAI_MEAN, OPENAI_STD)


@pytest.mark.parametrize(
    ("name", "tag", "activation"),
    [
        ("Tiny-8", "laion2b", "gelu"),
        ("Tiny-8", "metaclip_400m", "quickgelu"),
        ("Tiny-8", "metaclip_altogether", "gelu"),
        ("Tiny-8-quickgelu", "laion2b", "quickgelu"),
    ],
)
def test_name_and_tag_tell_the_nonlinearity_unless_the_person_does(checkpoint, name, tag, activation):
    model = f"{name}/{checkpoint(tag)}"
    assert read_weights(model).config.activation == activation
    assert read_weights(model, activation="gelu").config.activation == "gelu"


def test_a_folder_called_openai_says_nothing_of_the_weights(tiny_clip, tmp_path):
    (tmp_path / "openai").mkdir()
    torch.save(tiny_clip(), tmp_path / "openai" / "laion2b")
    assert read_weights(f"Tiny-8/{tmp_path / 'openai' / 'laion2b'}").config.activation == "gelu"


def test_identity_changes_with_a_local_checkpoint(checkpoint, tiny_clip):
    first = read_weights(f"Tiny-8/{checkpoint()}").identity
    assert read_weights(f"Tiny-8/{checkpoint()}").identity == first
    assert read_weights(f"Tiny-8/{checkpoint(state=tiny_clip(seed=1))}").identity != first


# --- refused ---


def test_an_unknown_name_lists_the_nearest():
    assert message("Tiny-8-quikgelu/openai") == (
        "model: 'Tiny-8-quikgelu/openai' is neither a file nor a model of open_clip; expected 'embedded', a file "
        "ending in .safetensors, .pt, .pth, .bin, or name/tag such as 'ViT-B-16-quickgelu/openai'. "
        f"Nearest: {', '.join(_nearest('Tiny-8-quikgelu'))}."
    )


def _nearest(name):
    import difflib

    folded = {choice.casefold(): choice for choice in open_clip.list_models()}
    return [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3)]


@pytest.mark.parametrize("model", ["", "/", "zzzzzzzz", "hf-hub:someone/model/tag", "local-dir:x", "../x"])
def test_what_open_clip_would_look_up_elsewhere_is_refused(model):
    assert message(model).startswith(f"model: {model!r} is neither a file nor a model of open_clip; expected ")


def test_a_name_without_a_tag_lists_the_tags():
    assert message("ViT-L-14-336-quickgelu") == (
        "model: 'ViT-L-14-336-quickgelu' names no weights; expected name/tag, with a tag of openai."
    )
    assert message("Tiny-8/") == "model: 'Tiny-8/' names no weights; expected name/tag, with a tag of none."


def test_an_unknown_tag_is_refused(caplog):
    text = message("Tiny-8/nonesuch")
    assert text == (
        "model: open_clip cannot load 'Tiny-8/nonesuch': "
        "Pretrained value 'nonesuch' is not a known tag or valid file path"
    )


def test_a_checkpoint_of_another_size_is_refused(checkpoint, tiny_clip):
    text = message(f"Tiny-8/{checkpoint(state=tiny_clip(patch=4))}")
    assert text.startswith("model: open_clip cannot load 'Tiny-8/")
    assert "visual.conv1.weight" in text


def test_a_tower_of_another_kind_is_refused(checkpoint, tmp_path):
    config = {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "ls_init_value": 0.1}}
    (tmp_path / "Scaled-8.json").write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(tmp_path / "Scaled-8.json")
    state = open_clip.create_model("Scaled-8").state_dict()
    weights = read_weights(f"Scaled-8/{checkpoint(state=dict(state))}")
    with pytest.raises(ModelError) as caught:
        Encoder(weights)
    assert str(caught.value) == (
        "model: 6 tensors too many, first visual.transformer.resblocks.0.ls_1.gamma, "
        "visual.transformer.resblocks.0.ls_2.gamma, visual.transformer.resblocks.1.ls_1.gamma; "
        "expected a plain ViT as OpenAI's."
    )


def test_open_clip_that_cannot_be_imported_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    assert message("ViT-B-16/openai") == (
        "model: 'ViT-B-16/openai' needs open_clip, which cannot be imported (import of open_clip halted; "
        "None in sys.modules). Run: pip install open_clip_torch, with a torchvision that matches torch."
    )
