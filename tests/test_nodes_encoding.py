"""Nodes that give a picture, a CLIP and patch features; which models a workflow may name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import import_nodes
from plain_models import make_backbone

from llmseg import build_text_bank, expand_names, parse_names
from llmseg.encoder import Encoder
from llmseg.errors import InputError
from llmseg.examples import load_example
from llmseg.options import ATTENTION, DTYPE, LAYOUT, SCENE

ENCODING: Any = import_nodes("encoding")
MODELS: Any = import_nodes("models")


@pytest.mark.parametrize("scene", SCENE.names)
def test_example_image_is_an_image(scene: str) -> None:
    image, truth = ENCODING.LLMSegExampleImage().execute(scene)
    assert truth.labels.shape == image.shape[:3]
    assert image.dtype == torch.float32
    assert image.shape == (1, 192, 256, 3)
    assert torch.equal((image[0] * 255).round().to(torch.uint8), torch.tensor(load_example(scene)))


def test_progress_counts_windows_and_may_stop_the_node(host: Any) -> None:
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        raise KeyboardInterrupt

    host.use_headless(host.HeadlessHost(Path(), Path(), Path(), on_progress=stop))
    (encoder,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto")
    with pytest.raises(KeyboardInterrupt):
        ENCODING.LLMSegEncodeImage().execute(encoder, torch.rand(1, 192, 256, 3), "auto", -1, -1, -1, "one")
    assert seen == [(35, 35)]  # windows of 64 every 32


IMAGE = torch.rand(2, 21, 45, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("attention", ATTENTION.names)
def test_every_attention_gives_features_of_every_image(attention: str, encoder: Encoder) -> None:
    bank = build_text_bank(encoder, expand_names(parse_names("dog, grass")))
    given = (encoder, IMAGE, attention, 32, 16, -1, "one")
    (features,) = ENCODING.LLMSegEncodeImage().execute(*given, text_bank=bank, backbone=make_backbone())
    assert features.size == (21, 45)
    assert len(features.levels[0].windows) == 2
    if attention == "resclip":
        with pytest.raises(InputError, match=r"^attention: 'resclip' looks at the phrases; expected a text bank\."):
            ENCODING.LLMSegEncodeImage().execute(*given)
    elif attention == "proxyclip":
        with pytest.raises(InputError, match=r"^attention: 'proxyclip' asks a backbone which patches are alike; "):
            ENCODING.LLMSegEncodeImage().execute(*given)
    else:
        (without,) = ENCODING.LLMSegEncodeImage().execute(*given)
        assert without.levels[0].windows.equal(features.levels[0].windows)


@pytest.mark.parametrize("layout", LAYOUT.names)
def test_every_layout_reaches_the_windows(layout: str, encoder: Encoder) -> None:
    (features,) = ENCODING.LLMSegEncodeImage().execute(encoder, IMAGE, "naclip", 24, 16, -1, "one", layout)
    assert features.aligned == (layout != "published")
    assert features.levels[0].plan.size == {"grid": (24, 48), "published": (21, 45), "squash": (24, 24)}[layout]


@pytest.mark.parametrize("dtype", DTYPE.names)
def test_every_number_format_is_loaded(dtype: str) -> None:
    (encoder,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto", dtype)
    assert encoder.module.visual.conv1.weight.dtype == getattr(torch, dtype)
    (without,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto")
    assert without.module.visual.conv1.weight.dtype == torch.float32, "on a processor"


def test_models_are_found_in_their_folders_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "mine.safetensors").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    (tmp_path / "secret.safetensors").write_bytes(b"x")
    monkeypatch.setenv("LLMSEG_MODELS", str(folder))
    assert MODELS.list_model_files() == ["mine.safetensors"]
    assert MODELS.resolve_model("mine.safetensors") == str((folder / "mine.safetensors").resolve())
    assert MODELS.resolve_model("ViT-B-16/openai") == "ViT-B-16/openai"
    validate = ENCODING.LLMSegLoadEncoder.VALIDATE_INPUTS
    assert validate("mine.safetensors") is True
    stamp = ENCODING.LLMSegLoadEncoder.IS_CHANGED("mine.safetensors", "auto")
    os.utime(folder / "mine.safetensors", ns=(1, 1))
    assert ENCODING.LLMSegLoadEncoder.IS_CHANGED("mine.safetensors", "auto") == 1 != stamp
    assert [ENCODING.LLMSegLoadEncoder.IS_CHANGED(name, "auto") for name in (None, "embedded", "absent.pt")] == [
        0,
        0,
        0,
    ]
    for bad in ("../secret.safetensors", str(tmp_path / "secret.safetensors"), "absent.pt"):
        assert validate(bad) == f"no file {bad!r}; expected it in {folder}."


@pytest.mark.parametrize("model", ["ViT-B-16//etc/passwd", "ViT-B-16/a/b", "http://x/y", "ViT-B-16/../x"])
def test_a_workflow_cannot_name_a_path_as_a_tag(model: str) -> None:
    problem = f"{model!r}; expected a file of the model folders, or name/tag."
    assert ENCODING.LLMSegLoadEncoder.VALIDATE_INPUTS(model) == problem
