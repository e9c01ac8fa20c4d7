"""The node that loads a backbone: which files it offers, what it gives, and a workflow that uses it twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import import_nodes
from plain_models import make_backbone, plain_state, simseg_state
from safetensors.torch import save_file

from llmseg import build_text_bank, expand_names, parse_names
from llmseg.backbone import Backbone

NODE: Any = import_nodes("backbone")
ENCODING: Any = import_nodes("encoding")
MAPS: Any = import_nodes("maps")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of models."""
    made = tmp_path / "models"
    (made / "sub").mkdir(parents=True)
    monkeypatch.setenv("LLMSEG_MODELS", str(made))
    return made


def test_the_combo_lists_what_may_be_a_backbone(folder: Path, tiny_clip: Any) -> None:
    assert NODE.LLMSegLoadBackbone.INPUT_TYPES()["required"]["model"][0] == ["no file found"]
    save_file(plain_state(), folder / "sub" / "dino.safetensors")
    save_file(tiny_clip(), folder / "clip.safetensors")
    save_file(simseg_state(), folder / "simseg.safetensors")  # its image tower is a plain ViT
    torch.save(plain_state(), folder / "eyes.pth")
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    files, options = NODE.LLMSegLoadBackbone.INPUT_TYPES()["required"]["model"]
    assert files == ["eyes.pth", "simseg.safetensors", "sub/dino.safetensors"]
    assert options["default"] == "eyes.pth"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_becomes_a_backbone(folder: Path, suffix: str) -> None:
    path = folder / f"eyes{suffix}"
    save_file(plain_state(), path) if suffix == ".safetensors" else torch.save(plain_state(), path)
    (backbone,) = NODE.LLMSegLoadBackbone().execute(path.name)
    assert isinstance(backbone, Backbone)
    images = torch.rand(1, 3, 16, 24)
    assert backbone.patch_features(images).equal(make_backbone().patch_features(images))
    (rough,) = NODE.LLMSegLoadBackbone().execute(path.name, "bfloat16")
    assert rough.module.norm.weight.dtype == torch.bfloat16


def test_a_replaced_file_is_noticed(folder: Path) -> None:
    path = folder / "eyes.safetensors"
    assert NODE.LLMSegLoadBackbone.IS_CHANGED("eyes.safetensors") == 0
    save_file(plain_state(), path)
    before = NODE.LLMSegLoadBackbone.IS_CHANGED("eyes.safetensors")
    os.utime(path, ns=(1, 1))
    assert NODE.LLMSegLoadBackbone.IS_CHANGED("eyes.safetensors") == 1 != before
    assert NODE.LLMSegLoadBackbone.IS_CHANGED(None) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.safetensors", "no file 'a.safetensors'; expected it in {folder}."),
        ("../a.pth", "no file '../a.pth'; expected it in {folder}."),
        ("embedded", "'embedded'; expected a file ending in .safetensors, .pt, .pth, .bin."),
        ("no file found", "'no file found'; expected a file ending in .safetensors, .pt, .pth, .bin."),
    ],
)
def test_what_is_no_file_is_refused_before_anything_runs(folder: Path, name: str, message: str) -> None:
    torch.save(plain_state(), folder.parent / "a.pth")
    assert NODE.LLMSegLoadBackbone.VALIDATE_INPUTS(name) == message.format(folder=folder)
    assert NODE.LLMSegLoadBackbone.VALIDATE_INPUTS(None) is True


def test_both_who_ask_it_take_it(folder: Path) -> None:
    """proxyclip on the finer grid of an 8-pixel backbone, then lposs, then labels."""
    save_file(plain_state(patch=4), folder / "eyes.safetensors")
    (backbone,) = NODE.LLMSegLoadBackbone().execute("eyes.safetensors")
    (encoder,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto")
    image = ENCODING.LLMSegExampleImage().execute("park")[0]
    bank = build_text_bank(encoder, expand_names(parse_names("dog, grass, sky")))
    given = (encoder, image, "proxyclip", 64, 64, -1, "one")
    (features,) = ENCODING.LLMSegEncodeImage().execute(*given, backbone=backbone)
    finer = encoder.patch_size // 4
    assert features.levels[0].grid == (192 // encoder.patch_size * finer, 256 // encoder.patch_size * finer)
    (scores,) = MAPS.LLMSegScore().execute(features, bank)
    (refined,) = MAPS.LLMSegRefine().execute(scores, image, "lposs", None, backbone)
    (maps,) = MAPS.LLMSegAssemble().execute(refined, "max", -1, -1)
    labels, _ = MAPS.LLMSegLabel().execute(maps, 0.0, 0.0)
    assert labels.labels.shape == (1, 192, 256)
    stored = ENCODING.LLMSegEncodeImage.STORE_PACK(features)
    again = ENCODING.LLMSegEncodeImage.STORE_UNPACK(stored, *given[:2], attention="proxyclip", backbone=backbone)
    assert again[0].levels[0].windows.equal(features.levels[0].windows)
