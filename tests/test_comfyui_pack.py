"""The quickstart in a real ComfyUI server writes the same pixels as the headless run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import import_nodes
from PIL import Image

from benchmarks.comfyui import ComfyServer, comfyui_server
from llmseg.run import main

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / "workflows" / "api").glob("*.json"))

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comfyui")


@pytest.fixture(scope="module")
def server(output: Path) -> Iterator[ComfyServer]:
    """A ComfyUI server whose custom_nodes hold this repository."""
    packs = Path(os.environ["COMFYUI_PATH"], "custom_nodes")
    if not any(path.resolve() == ROOT for path in packs.iterdir()):
        pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
    with comfyui_server(output) as running:
        yield running


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_same_pixels_as_the_headless_run(path: Path, server: ComfyServer, output: Path, tmp_path: Path) -> None:
    server.run(json.loads(path.read_text(encoding="utf-8")))
    workflow = ROOT / "workflows" / path.name  # as a person has it, with its lock file beside it
    assert main([str(workflow), "--output", str(tmp_path), "--temp-dir", str(tmp_path / "temp")]) == 0
    ours = [file for file in tmp_path.rglob("*.png") if "temp" not in file.parts]
    assert ours
    for file in ours:
        twin = output / file.relative_to(tmp_path)
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(twin))), file.name


def test_every_node_is_registered_and_described(server: ComfyServer) -> None:
    info = server.fetch("/object_info")
    for name in import_nodes().NODE_CLASS_MAPPINGS:
        assert info[name]["description"], name


def test_the_server_refuses_an_escape(server: ComfyServer) -> None:
    prompt = json.loads((ROOT / "workflows" / "api" / "quickstart.json").read_text(encoding="utf-8"))
    saver = next(record for record in prompt.values() if record["class_type"] == "LLMSegSaveLabels")
    saver["inputs"]["filename_prefix"] = "../../evil"
    reply = server.fetch("/prompt", {"prompt": prompt})
    (errors,) = reply["node_errors"].values()
    assert "leaves the output folder" in errors["errors"][0]["details"]
