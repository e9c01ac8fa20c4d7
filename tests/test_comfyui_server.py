"""`--server` against a real ComfyUI: files go there, run there, and come back with the pixels of a headless run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_server import Recorder

from benchmarks.comfyui import ComfyServer
from llmseg.errors import WorkflowError
from llmseg.graph import NodeDefinition, read_workflow, to_prompt
from llmseg.run import main
from llmseg.serving import Limits, ServerClient, ServerRun, find_in

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server whose folders are all of this test's own: it gets files."""
    folder = tmp_path_factory.mktemp("comfyui")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--disable-api-nodes"]
    command += ["--listen", "127.0.0.1", "--port", str(port), "--database-url", "sqlite:///:memory:"]
    for kind in ("input", "output", "temp", "user"):
        (folder / kind).mkdir()
        command += [f"--{kind}-directory", str(folder / kind)]
    log = folder / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=os.environ["COMFYUI_PATH"], stdout=stream, stderr=stream)
    running = ComfyServer(process, port, log)
    try:
        running.wait(lambda: running.fetch("/system_stats"))
        yield running
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "input").mkdir()
    return {"input": tmp_path / "input", "output": tmp_path / "out", "temp": tmp_path / "out" / "temp"}


def run(server: ComfyServer, roots: dict[str, Path], prompt: Any, heard: Any = None, workflow: Any = None) -> ServerRun:
    url, heard = f"http://127.0.0.1:{server.port}", heard or Recorder()
    with ServerClient(url, roots, heard, find_input=find_in(roots["input"])) as client:
        return client.run(prompt, workflow)


def copying(name: str, prefix: str = "copy") -> dict[str, Any]:
    inputs = {"images": ["1", 0], "filename_prefix": prefix}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": inputs},
    }


def test_a_picture_goes_there_and_back(server: ComfyServer, roots: dict[str, Path]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    name = "a folder"
    (roots["input"] / name).mkdir()
    Image.fromarray(pixels).save(roots["input"] / name / "ü b.png")
    heard = Recorder()
    done = run(server, roots, copying(f"{name}/ü b.png [input]", "a/b/copy"), heard, {"nodes": [], "mine": 1})
    assert (done.problems, done.missing, done.result.error, heard.warnings) == ((), (), None, [])
    assert heard.story == [("started", "1"), ("finished", "1"), ("started", "2"), ("finished", "2")]
    (entry,) = done.result.ui["2"]["images"]
    assert entry == {"filename": "copy_00001_.png", "subfolder": "a/b", "type": "output"}
    with Image.open(roots["output"] / "a" / "b" / "copy_00001_.png") as picture:
        assert np.array_equal(np.asarray(picture), pixels)
        assert json.loads(picture.info["workflow"]) == {"nodes": [], "mine": 1}
    again = run(server, roots, copying(f"{name}/ü b.png [input]", "a/b/copy"))
    assert again.result.cached == ["1", "2"]
    assert again.result.executed == []
    assert again.result.ui == done.result.ui
    assert [path.name for path in (roots["output"] / "a" / "b").iterdir()] == ["copy_00001_.png"]


def test_previews_come_to_the_temporary_folder(server: ComfyServer, roots: dict[str, Path]) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 4, "batch_size": 2, "color": 255}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": "a text"}},
    }
    result = run(server, roots, prompt).result
    assert len(list(roots["temp"].iterdir())) == len(result.ui["2"]["images"]) == 2
    assert result.ui["3"]["text"] == ["a text"]


def test_definitions_convert_the_ui_form(server: ComfyServer, roots: dict[str, Path]) -> None:
    workflow = {
        "nodes": [
            {"id": 1, "type": "EmptyImage", "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "widgets_values": [8, 4, 1, 0]},
            {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}], "widgets_values": ["ui"]},
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    }  # fmt: skip
    with ServerClient(f"http://127.0.0.1:{server.port}", roots, Recorder()) as client:
        records = client.definitions()
        definitions = {name: NodeDefinition.from_object_info(name, record) for name, record in records.items()}
        done = client.run(to_prompt(workflow, definitions).prompt, workflow)
    assert [entry["filename"] for entry in done.result.ui["2"]["images"]] == ["ui_00001_.png"]


def test_refusals(server: ComfyServer, roots: dict[str, Path]) -> None:
    with pytest.raises(WorkflowError) as caught:
        run(server, roots, copying("absent.png"))
    first, *_ = caught.value.problems
    assert first.startswith("node 1 (LoadImage), input 'image': custom validation failed for node; ")
    assert "absent.png" in first
    with pytest.raises(WorkflowError) as caught:
        run(server, roots, {"7": {"class_type": "Nowhere", "inputs": {}}})
    (line,) = caught.value.problems
    assert line.startswith("node 7: cannot execute because node Nowhere does not exist")


def test_partly_valid(server: ComfyServer, roots: dict[str, Path]) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 4, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "good"}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "bad"}},
    }
    done = run(server, roots, prompt)
    assert [problem.message for problem in done.problems] == [
        "node 3 (SaveImage), input 'images': required input is missing."
    ]
    assert [entry["filename"] for entry in done.result.ui["2"]["images"]] == ["good_00001_.png"]


def test_a_failing_node(server: ComfyServer, roots: dict[str, Path]) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 4, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "../../evil"}},
    }
    heard = Recorder()
    error = run(server, roots, prompt, heard).result.error
    assert error is not None
    assert str(error).startswith("node 2 (SaveImage): Exception: ")
    assert heard.story[-1] == ("failed", "2")
    assert "Traceback" in str(error.__cause__) or "File" in str(error.__cause__)


def long_prompt(seed: int) -> dict[str, Any]:
    """Seconds of work, in many nodes, as the server looks at the interrupt between them."""
    prompt: dict[str, Any] = {"0": {"class_type": "EmptyImage", "inputs": {"width": 2048, "height": 2048, "batch_size": 1, "color": seed}}}  # fmt: skip
    for n in range(1, 60):
        size = 2048 + n % 2
        inputs = {
            "image": [str(n - 1), 0],
            "upscale_method": "lanczos",
            "width": size,
            "height": size,
            "crop": "disabled",
        }
        prompt[str(n)] = {"class_type": "ImageScale", "inputs": inputs}
    prompt["60"] = {"class_type": "PreviewImage", "inputs": {"images": ["59", 0]}}
    return prompt


class Impatient(Recorder):
    """Presses Ctrl-C when a node ends, or when told that others are ahead."""

    def event(self, event: Any) -> None:
        super().event(event)
        if event.kind == "finished":
            raise KeyboardInterrupt

    def warning(self, message: str) -> None:
        super().warning(message)
        raise KeyboardInterrupt


def test_ctrl_c_stops_what_runs_and_removes_what_waits(server: ComfyServer, roots: dict[str, Path]) -> None:
    started, first = threading.Event(), Recorder()
    outcome: list[Any] = []

    class Starting(Recorder):
        def event(self, event: Any) -> None:
            first.event(event)
            started.set()

    thread = threading.Thread(target=lambda: outcome.append(run(server, roots, long_prompt(1), Starting())))
    thread.start()
    assert started.wait(60)
    waiting = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run(server, roots, long_prompt(2), waiting)
    assert waiting.warnings == [f"server http://127.0.0.1:{server.port}: 1 prompt ahead in the queue; waiting."]
    queue = server.fetch("/queue")
    assert (len(queue["queue_running"]), queue["queue_pending"]) == (1, [])
    server.fetch("/queue")
    running = queue["queue_running"][0][1]
    # Another client stops it: this one says so.
    body = json.dumps({"prompt_id": running}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{server.port}/interrupt", body), timeout=10
    ).close()
    thread.join(60)
    assert str(outcome[0].result.error).endswith("interrupted on the server; files already written stay.")
    with pytest.raises(KeyboardInterrupt):
        run(server, roots, long_prompt(3), Impatient())
    server.wait(lambda: not server.fetch("/queue")["queue_running"])
    newest = list(server.fetch("/history").values())[-1]
    assert newest["status"]["messages"][-1][0] == "execution_interrupted"


def test_lists_without_a_websocket(
    server: ComfyServer, roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmseg.serving.channel import Channel

    heard = Recorder()
    with ServerClient(f"http://127.0.0.1:{server.port}", roots, heard, limits=Limits(poll=0.1)) as client:
        monkeypatch.setattr(Channel, "open", lambda self: False)
        prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "by the history"}}}
        assert client.run(prompt).result.ui == {"1": {"text": ["by the history"]}}


def test_the_quickstart_gives_the_pixels_of_the_headless_run(
    server: ComfyServer, roots: dict[str, Path], tmp_path: Path
) -> None:
    if "LLMSegSegment" not in server.fetch("/object_info") and "LLMSegScore" not in server.fetch("/object_info"):
        pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
    prompt = read_workflow(ROOT / "workflows" / "api" / "quickstart.json").prompt
    done = run(server, roots, prompt)
    assert (done.result.error, done.missing) == (None, ())
    ours = tmp_path / "headless"
    assert main([str(ROOT / "workflows" / "quickstart.json"), "--output", str(ours)]) == 0
    pictures = [path for path in ours.rglob("*.png") if "temp" not in path.parts]
    assert pictures
    for path in pictures:
        twin = roots["output"] / path.relative_to(ours)
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(twin))), path.name
