"""A language model asked from a real ComfyUI: once, and not a moment longer than its user wants."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server import FakeModel, serve_model

from benchmarks.comfyui import ComfyServer, comfyui_server

ROOT = Path(__file__).parent.parent
CANARY = "sk-canary-51fa03b7"

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]

PROMPT: dict[str, Any] = {
    "1": {"class_type": "LLMSegClassNames", "inputs": {"text": "dog, car", "preset": "custom"}},
    "2": {"class_type": "LLMSegLLMProfile", "inputs": {"profile": "fake", "model": ""}},
    "3": {"class_type": "LLMSegExpand", "inputs": {"class_names": ["1", 0], "library": "auto", "llm": ["2", 0]}},
    "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 1]}},
    "5": {"class_type": "LLMSegSaveExpansion", "inputs": {"expansion": ["3", 0], "filename_prefix": "phrases"}},
}


@pytest.fixture(scope="module")
def model() -> Iterator[FakeModel]:
    with serve_model() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comfyui_llm")


@pytest.fixture(scope="module")
def server(model: FakeModel, folder: Path) -> Iterator[ComfyServer]:
    """A server whose user has a profile for the fake model, and a key."""
    packs = Path(os.environ["COMFYUI_PATH"], "custom_nodes")
    if not any(path.resolve() == ROOT for path in packs.iterdir()):
        pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
    (folder / "llmseg.toml").write_text(
        f'[profiles.fake]\nbase_url = "{model.base_url}"\nmodel = "fake-1"\nkey_variable = "CANARY_KEY"\n',
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMSEG_CONFIG", str(folder / "llmseg.toml"))
        patch.setenv("LLMSEG_DATA", str(folder / "data"))
        patch.setenv("CANARY_KEY", CANARY)
        with comfyui_server(folder) as running:
            yield running


def prompt(names: str) -> dict[str, Any]:
    changed = copy.deepcopy(PROMPT)
    changed["1"]["inputs"]["text"] = names
    return changed


def test_a_model_is_asked_once_and_shown(model: FakeModel, server: ComfyServer, folder: Path) -> None:
    model.forget()
    shown = server.run(prompt("dog, car"))["outputs"]["4"]["text"][0]
    assert "# fake-1 by fake: 1 request," in shown
    assert "dog: red dog, small dog" in shown
    server.run({**prompt("dog, car"), "6": {"class_type": "PreviewAny", "inputs": {"source": ["3", 1]}}})
    assert len(model.requests) == 1
    assert model.headers[0]["authorization"] == f"Bearer {CANARY}"
    assert json.loads((folder / "phrases_00001_.json").read_text(encoding="utf-8"))["provenance"]["model"] == "fake-1"
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert CANARY.encode() not in path.read_bytes(), path


def test_stop_ends_a_call_that_waits_and_the_queue_goes_on(model: FakeModel, server: ComfyServer) -> None:
    model.forget()
    model.delay = 20.0
    prompt_id = server.fetch("/prompt", {"prompt": prompt("tram, bus")})["prompt_id"]
    server.wait(lambda: model.requests)
    begin = time.perf_counter()
    with contextlib.suppress(json.JSONDecodeError):  # the server answers with nothing
        server.fetch("/interrupt", {})
    record = server.wait(lambda: server.fetch(f"/history/{prompt_id}").get(prompt_id))
    assert time.perf_counter() - begin < 10, "not as long as the model would have taken"
    events = [name for name, _ in record["status"]["messages"]]
    assert "execution_interrupted" in events
    model.delay = 0.0
    assert "tram: red tram" in server.run(prompt("tram, bus"))["outputs"]["4"]["text"][0]


def test_a_wrong_profile_is_one_clear_line_before_anything_runs(model: FakeModel, server: ComfyServer) -> None:
    model.forget()
    wrong = prompt("dog")
    wrong["2"]["inputs"]["profile"] = "fkae"
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.fetch("/prompt", {"prompt": wrong})
    errors = json.loads(refused.value.read())["node_errors"]["2"]["errors"]
    assert "unknown name 'fkae'; expected one of openai, ollama, llama.cpp, lmstudio, fake." in errors[0]["details"]
    assert model.requests == []
