"""Every shipped workflow in a real ComfyUI server writes what the headless run writes: pixels, metadata and tables."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import import_nodes, place_local_clip
from PIL import Image
from websockets.sync.client import connect

from benchmarks.comfyui import ComfyServer, comfyui_server
from llmseg.run import main
from tools import schemas

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
def server(output: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A ComfyUI server whose custom_nodes hold this repository."""
    packs = Path(os.environ["COMFYUI_PATH"], "custom_nodes")
    if not any(path.resolve() == ROOT for path in packs.iterdir()):
        pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
    models = place_local_clip(tmp_path_factory.mktemp("local"))
    os.environ["LLMSEG_MODELS"] = str(models.parent / "models")  # for the headless run
    with comfyui_server(output, "--extra-model-paths-config", str(models)) as running:
        yield running
    del os.environ["LLMSEG_MODELS"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_same_files_as_the_headless_run(path: Path, server: ComfyServer, output: Path, tmp_path: Path) -> None:
    workflow = ROOT / "workflows" / path.name  # as a person has it, with its lock file beside it
    _run_as_the_page(server, read_json(path), read_json(workflow))
    assert main([str(workflow), "--output", str(tmp_path), "--temp-dir", str(tmp_path / "temp")]) == 0
    ours = sorted(file for file in tmp_path.rglob("*.*") if "temp" not in file.parts)
    assert any(file.suffix == ".png" for file in ours)
    for file in ours:
        twin = output / file.relative_to(tmp_path)
        if file.suffix == ".png":
            with Image.open(file) as mine, Image.open(twin) as theirs:
                assert np.array_equal(np.asarray(mine), np.asarray(theirs)), file.name
                assert _metadata(mine) == _metadata(theirs), file.name
        else:
            assert read_json(file) == read_json(twin), file.name
    for folder in {file.parent for file in ours}:
        there = {file.name for file in (output / folder.relative_to(tmp_path)).iterdir()}
        assert there == {file.name for file in folder.iterdir()}


def test_every_node_is_registered_and_described(server: ComfyServer) -> None:
    info = server.fetch("/object_info")
    for name in import_nodes().NODE_CLASS_MAPPINGS:
        assert info[name]["description"], name


def test_the_server_tells_of_every_node_what_the_snapshot_holds(server: ComfyServer) -> None:
    info = server.fetch("/object_info")
    for name, stored in schemas.read_snapshot().items():
        assert schemas.describe_node(info[name]) == stored, name


def test_another_class_name_runs_again_only_what_depends_on_it(server: ComfyServer) -> None:
    """As the server itself tells it over its websocket."""
    prompt = read_json(ROOT / "workflows" / "api" / "quickstart.json")
    by_class = {record["class_type"]: record["inputs"] for record in prompt.values()}
    for saver in ("SaveImage", "LLMSegSaveLabels"):
        by_class[saver]["filename_prefix"] = "events/x"
    _executed(server, prompt)
    every = set(by_class)
    by_class["LLMSegClassNames"]["text"] = "poodle, grass, sky"
    assert _executed(server, prompt) == every - {"LLMSegExampleImage", "LLMSegLoadEncoder", "LLMSegEncodeImage"}
    by_class["LLMSegLabel"]["threshold"] = 0.3
    assert _executed(server, prompt) == {"LLMSegLabel", "LLMSegOverlay", "SaveImage", "LLMSegSaveLabels"}
    assert _executed(server, prompt) == set()


def _executed(server: ComfyServer, prompt: dict[str, Any]) -> set[str]:
    """Classes of the nodes that ran, from the events of one run."""
    ran: set[str] = set()
    with connect(f"ws://127.0.0.1:{server.port}/ws?clientId=watcher", max_size=None) as link:
        prompt_id = server.fetch("/prompt", {"prompt": prompt, "client_id": "watcher"})["prompt_id"]
        while True:
            text = link.recv(timeout=120)
            message = json.loads(text) if isinstance(text, str) else {"type": "picture"}
            data = message.get("data", {})
            if data.get("prompt_id") != prompt_id:
                continue
            assert message["type"] != "execution_error", data
            if message["type"] == "executing" and data["node"] is not None:
                ran.add(prompt[data["node"]]["class_type"])
            if message["type"] == "execution_success":
                return ran


def test_the_server_refuses_an_escape(server: ComfyServer) -> None:
    prompt = json.loads((ROOT / "workflows" / "api" / "quickstart.json").read_text(encoding="utf-8"))
    saver = next(record for record in prompt.values() if record["class_type"] == "LLMSegSaveLabels")
    saver["inputs"]["filename_prefix"] = "../../evil"
    reply = server.fetch("/prompt", {"prompt": prompt})
    (errors,) = reply["node_errors"].values()
    assert "leaves the output folder" in errors["errors"][0]["details"]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _run_as_the_page(server: ComfyServer, prompt: dict[str, Any], workflow: dict[str, Any]) -> None:
    """Queue a prompt together with the workflow that it was made from, and wait until it is done."""
    body = {"prompt": prompt, "extra_data": {"extra_pnginfo": {"workflow": workflow}}}
    prompt_id = server.fetch("/prompt", body)["prompt_id"]
    record = server.wait(lambda: server.fetch(f"/history/{prompt_id}").get(prompt_id))
    assert record["status"]["status_str"] == "success", record["status"]


def _metadata(picture: Image.Image) -> dict[str, Any]:
    """What a PNG says of itself, parsed; of a prompt, what the classes of its nodes declare."""
    found = {key: json.loads(text) for key, text in picture.info.items() if isinstance(text, str)}
    for record in found.get("prompt", {}).values():
        record["_meta"] = {"title": record["_meta"]["title"]}  # the headless run also keeps where the class is from
        if record["class_type"] == "PreviewAny":  # the page also sends what its own scripts add to this node
            record["inputs"] = {"source": record["inputs"]["source"]}
        record.pop("is_changed", None)  # a note of the server to itself
    return found
