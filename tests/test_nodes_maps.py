"""Nodes from a picture to a label map, and the step between host and library tensors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import import_nodes

from llmseg import InputError, build_text_bank, expand_names, parse_names
from llmseg.examples import load_example
from llmseg.options import SCENE

MAPS: Any = import_nodes("maps")
MODELS: Any = import_nodes("models")
SOCKETS: Any = import_nodes("sockets")


@pytest.mark.parametrize("scene", SCENE.names)
def test_example_image_is_an_image(scene: str) -> None:
    (image,) = MAPS.LLMSegExampleImage().execute(scene)
    assert image.dtype == torch.float32
    assert image.shape == (1, 192, 256, 3)
    assert torch.equal((image[0] * 255).round().to(torch.uint8), torch.tensor(load_example(scene)))


def test_the_stages_give_b_maps_for_b_images() -> None:
    (encoder,) = MAPS.LLMSegLoadEncoder().execute("embedded", "auto")
    image = torch.cat([MAPS.LLMSegExampleImage().execute(scene)[0] for scene in ("park", "night")])
    bank = build_text_bank(encoder, expand_names(parse_names("dog, building, grass, night, sky")))
    (features,) = MAPS.LLMSegEncodeImage().execute(encoder, image, "auto", -1, -1, -1)
    (scores,) = MAPS.LLMSegScore().execute(features, bank)
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    assert maps.mode == "max"
    labels, confidence = MAPS.LLMSegLabel().execute(maps, 0.0, 0.0)
    assert labels.labels.shape == confidence.shape == (2, 192, 256)
    assert confidence.dtype == torch.float32
    assert 0 <= confidence.min() <= confidence.max() <= 1
    # Each picture is labelled as if it were alone.
    (alone,) = MAPS.LLMSegEncodeImage().execute(encoder, image[1:], "auto", -1, -1, -1)
    assert torch.allclose(alone.windows, features.windows[1:], atol=1e-5)


def test_progress_counts_windows_and_may_stop_the_node(host: Any) -> None:
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        raise KeyboardInterrupt

    host.use_headless(host.HeadlessHost(Path(), Path(), Path(), on_progress=stop))
    (encoder,) = MAPS.LLMSegLoadEncoder().execute("embedded", "auto")
    with pytest.raises(KeyboardInterrupt):
        MAPS.LLMSegEncodeImage().execute(encoder, torch.rand(1, 192, 256, 3), "auto", -1, -1, -1)
    assert seen == [(15, 15)]


@pytest.mark.parametrize(("channels", "expected"), [(1, [0.5] * 3), (3, [0.1, 0.2, 0.3]), (4, [0.1, 0.2, 0.3])])
def test_to_images_takes_grey_colour_and_alpha(channels: int, expected: list[float]) -> None:
    pixel = [0.5] if channels == 1 else [0.1, 0.2, 0.3, 0.9][:channels]
    images = SOCKETS.to_images(torch.tensor(pixel).expand(2, 5, 7, channels))
    assert images.shape == (2, 3, 5, 7)
    assert images[1, :, 4, 6].tolist() == pytest.approx(expected)


def test_to_images_refuses_other_shapes() -> None:
    with pytest.raises(InputError) as error:
        SOCKETS.to_images(torch.rand(5, 7, 3))
    assert str(error.value) == "image: shape [5, 7, 3]; expected IMAGE [B,H,W,3]."


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
    validate = MAPS.LLMSegLoadEncoder.VALIDATE_INPUTS
    assert validate("mine.safetensors") is True
    stamp = MAPS.LLMSegLoadEncoder.IS_CHANGED("mine.safetensors", "auto")
    os.utime(folder / "mine.safetensors", ns=(1, 1))
    assert MAPS.LLMSegLoadEncoder.IS_CHANGED("mine.safetensors", "auto") == 1 != stamp
    assert [MAPS.LLMSegLoadEncoder.IS_CHANGED(name, "auto") for name in (None, "embedded", "absent.pt")] == [0, 0, 0]
    for bad in ("../secret.safetensors", str(tmp_path / "secret.safetensors"), "absent.pt"):
        assert validate(bad) == f"no file {bad!r}; expected it in {folder}."


@pytest.mark.parametrize("model", ["ViT-B-16//etc/passwd", "ViT-B-16/a/b", "http://x/y", "ViT-B-16/../x"])
def test_a_workflow_cannot_name_a_path_as_a_tag(model: str) -> None:
    problem = f"{model!r}; expected a file of the model folders, or name/tag."
    assert MAPS.LLMSegLoadEncoder.VALIDATE_INPUTS(model) == problem
