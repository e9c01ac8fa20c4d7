"""Manners in a real ComfyUI: other people's folders, memory and stop button are respected. See `comfyui_memory.py`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import torch
from conftest import random_checkpoint
from safetensors.torch import save_file
from websockets.sync.client import connect

from benchmarks.comfyui import ComfyServer
from llmseg.options import MODEL

ROOT = Path(__file__).parent.parent
NAMED = "ViT-B-16-quickgelu/openai"
MOST_LEFT = 64 * 2**20  # bytes; the workspace that torch's libraries keep on a GPU

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]


@dataclass
class World:
    """A server with folders of its own, and whoever it tried to reach."""

    server: ComfyServer
    folder: Path
    callers: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def watch_network(callers: list[str]) -> int:
    """A proxy that notes who calls and answers nobody; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            caller, _ = listener.accept()
            callers.append(caller.recv(200).decode(errors="replace"))
            caller.close()

    threading.Thread(target=listen, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def fill_folders(folder: Path) -> Path:
    """Model files as people place them, and the file that tells ComfyUI where; gives that file."""
    for kind in ("ours/sub", "pictures"):
        (folder / kind).mkdir(parents=True)
    whole = {name: tensor.contiguous() for name, tensor in random_checkpoint().items()}
    save_file(whole, folder / "ours" / "sub" / "hand placed.safetensors")
    save_file(whole, folder / "pictures" / "both towers.safetensors")
    save_file({"visual.conv1.weight": torch.zeros(1)}, folder / "pictures" / "one tower.safetensors")
    config = folder / "extra.yaml"
    paths = {"llmseg": folder / "ours", "clip_vision": folder / "pictures"}
    lines = [f"    {kind}: {json.dumps(str(path))}" for kind, path in paths.items()]
    config.write_text("\n".join(["mine:", *lines, ""]), encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    packs = Path(os.environ["COMFYUI_PATH"], "custom_nodes")
    if not any(path.resolve() == ROOT for path in packs.iterdir()):
        pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
    folder = tmp_path_factory.mktemp("host")
    config, port, callers = fill_folders(folder), free_port(), list[str]()
    command = [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--disable-api-nodes"]
    command += ["--listen", "127.0.0.1", "--port", str(port), "--database-url", "sqlite:///:memory:"]
    command += ["--extra-model-paths-config", str(config)]
    for kind in ("input", "output", "temp", "user"):
        (folder / kind).mkdir()
        command += [f"--{kind}-directory", str(folder / kind)]
    proxy = f"http://127.0.0.1:{watch_network(callers)}"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}
    log = folder / "server.log"
    with log.open("wb") as stream:
        environment = {**os.environ, **offline, "LLMSEG_DATA": str(folder / "data")}
        process = subprocess.Popen(
            command, cwd=os.environ["COMFYUI_PATH"], env=environment, stdout=stream, stderr=stream
        )
    server = ComfyServer(process, port, log)
    try:
        server.wait(lambda: server.fetch("/system_stats"))
        yield World(server, folder, callers)
    finally:
        process.terminate()
        process.wait(30)


def loading(model: str, **options: Any) -> dict[str, Any]:
    """A prompt that loads a CLIP."""
    load = {"class_type": "LLMSegLoadEncoder", "inputs": {"model": model, "activation": "auto", **options}}
    return {"1": load, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}


def encoding(model: str, windows: int, copies: int = 1) -> dict[str, Any]:
    """A prompt that loads a CLIP and encodes a scene in about as many windows, a few times."""
    scene = {"class_type": "LLMSegExampleImage", "inputs": {"scene": "park"}}
    many = {"class_type": "RepeatImageBatch", "inputs": {"image": ["3", 0], "amount": copies}}
    sides = {"window": 64, "stride": 8 if windows > 100 else 64, "resize": -1, "scales": "one"}
    inputs = {"encoder": ["1", 0], "image": ["4", 0], "attention": "naclip", **sides}
    encode = {"class_type": "LLMSegEncodeImage", "inputs": inputs}
    show = {"class_type": "PreviewAny", "inputs": {"source": ["5", 0]}}
    return {"1": loading(model)["1"], "3": scene, "4": many, "5": encode, "6": show}


def failure(server: ComfyServer, prompt: dict[str, Any]) -> dict[str, Any]:
    """Run a prompt that fails, and give the server's word on it."""
    prompt_id = server.fetch("/prompt", {"prompt": prompt})["prompt_id"]
    record = server.wait(lambda: server.fetch(f"/history/{prompt_id}").get(prompt_id))
    assert record["status"]["status_str"] == "error"
    kind, message = record["status"]["messages"][-1]
    return {"kind": kind, **message}


def post(server: ComfyServer, route: str, body: object = None) -> None:
    """For routes that answer nothing."""
    url, data = f"http://127.0.0.1:{server.port}{route}", json.dumps(body or {}).encode()
    urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=30).close()


def test_the_combo_lists_every_configured_folder_embedded_first(world: World) -> None:
    models, options = world.server.fetch("/object_info/LLMSegLoadEncoder")["LLMSegLoadEncoder"]["input"]["required"][
        "model"
    ]
    fetched = [name for name in MODEL.names if name != "embedded"]
    files = models[1 : -len(fetched)]
    assert (models[0], options["default"], models[-len(fetched) :]) == ("embedded", "embedded", fetched)
    assert {"sub/hand placed.safetensors", "both towers.safetensors"} <= set(files)
    assert "one tower.safetensors" not in files, "what cannot be a CLIP is no choice"


@pytest.mark.parametrize("model", ["sub/hand placed.safetensors", "sub\\hand placed.safetensors", "both towers.safetensors"])  # fmt: skip
def test_a_file_of_an_extra_folder_loads_and_encodes(world: World, model: str) -> None:
    outputs = world.server.run(encoding(model, 12))["outputs"]
    assert "PatchFeatures" in outputs["6"]["text"][0]


def test_a_file_that_exists_no_more_is_our_message_with_every_folder(world: World) -> None:
    with pytest.raises(HTTPError) as caught:
        world.server.fetch("/prompt", {"prompt": loading("gone.safetensors")})
    (error,) = json.load(caught.value)["node_errors"]["1"]["errors"]
    assert error["type"] == "custom_validation_failed"
    assert "no file 'gone.safetensors'; expected it in " in error["details"]
    models = Path(os.environ["COMFYUI_PATH"]).resolve() / "models"
    for folder in (world.folder / "ours", models / "llmseg", models / "clip_vision", world.folder / "pictures"):
        assert str(folder) in error["details"]


@pytest.mark.parametrize("download", [False, True])
def test_nothing_is_fetched_where_the_hub_is_offline(world: World, download: bool) -> None:
    told = failure(world.server, loading(NAMED, download=download))
    assert (told["kind"], told["node_id"]) == ("execution_error", "1")
    said = told["exception_message"].strip()
    assert said.startswith(f"model: the weights of {NAMED!r} are not on this computer; expected them in ")
    assert said.endswith(". They cannot be fetched: HF_HUB_OFFLINE is 1.")
    for folder in (world.folder / "ours", world.folder / "pictures", world.folder / "hub" / "hub"):
        assert str(folder) in said
    assert [call for call in world.callers if "huggingface" in call or "openai" in call] == []


def test_stop_ends_the_encoding_within_a_batch_of_windows(world: World) -> None:
    heard: list[dict[str, Any]] = []
    with connect(f"ws://127.0.0.1:{world.server.port}/ws?clientId=impatient", max_size=None) as link:
        body = {"prompt": encoding("embedded", 400, copies=32), "client_id": "impatient"}
        world.server.fetch("/prompt", body)

        def hear(kind: str, fits: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
            while True:
                text = link.recv(timeout=120)
                message = json.loads(text) if isinstance(text, str) else {"type": "picture"}
                if message["type"] == "progress":
                    heard.append(message["data"])
                if message["type"] == kind and fits(message["data"]):
                    data: dict[str, Any] = message["data"]
                    return data

        first = hear("progress", lambda data: data["node"] == "5")
        before = len(heard)
        post(world.server, "/interrupt")
        stopped = hear("execution_interrupted")
    assert stopped["node_id"] == "5"
    assert first["value"] < heard[-1]["max"], "there was more to do"
    assert len(heard) - before <= 1, "a batch that was under way may still be told"
    world.server.run(encoding("embedded", 12))  # and nothing of it stays


def test_memory_is_given_back_on_demand_and_taken_again(world: World) -> None:
    world.server.run(encoding("embedded", 12))
    post(world.server, "/free", {"unload_models": True, "free_memory": True})
    record = world.server.run(encoding("embedded", 12))
    cached = next(data["nodes"] for kind, data in record["status"]["messages"] if kind == "execution_cached")
    assert cached == [], "nodes of ours hold nothing of their own"
    log = world.server.log.read_text(encoding="utf-8", errors="replace")
    assert log.count("Requested to load Clip") >= 2, "the model is ComfyUI's to load and to unload"


def seen_in_a_process_of_its_own(device: str) -> dict[str, Any]:
    program = [os.environ.get("COMFYUI_PYTHON", sys.executable), str(ROOT / "tests" / "comfyui_memory.py")]
    done = subprocess.run(
        [*program, os.environ["COMFYUI_PATH"], device], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def check_moves(seen: dict[str, Any], device: str) -> None:
    here, there = ["cpu"], [device]
    assert seen["at first"] == [[], here], "nothing is on the device before it is needed"
    assert seen["encoding"] == [["Clip"], there, "cpu"]
    assert seen["with another"] == ["Clip", "Linear"]
    assert seen["pushed out"] == [[], here]
    assert seen["back"] == [["Clip"], there, True], "and the windows are the same"
    assert seen["a late look"] == ["cpu", ["Clip"], there]
    assert seen["nothing to encode"] == [[], "cpu"], "stored phrases need no model"
    assert seen["given back"] == [True, True, []], "features hold their encoder, and nothing else does"
    assert seen["stop image"] == seen["stop text"] == [[]], "not even loaded"


def test_other_models_push_ours_out_and_it_comes_back() -> None:
    seen = seen_in_a_process_of_its_own("cpu")
    assert seen["number format"] == "torch.float32"
    check_moves(seen, "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_other_models_push_ours_out_and_it_comes_back() -> None:
    seen = seen_in_a_process_of_its_own("cuda")
    assert seen["number format"] == "torch.float16"
    check_moves(seen, "cuda")
    assert seen["a little asked for"] == [[], ["cpu"]], "whole or not at all"
    assert all(all(alike) for key, alike in seen.items() if key.endswith((" fast", " exact")))
    assert seen["bytes left"] < MOST_LEFT
