"""Workers of a real Ray: the same files as without, nothing lost to a kill, one question to a language model."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import Command, call
from folder_store import register
from llm_server import serve_model
from PIL import Image

from llmseg.examples import benchmark_scenes
from llmseg.run import main

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "workflows" / "quickstart.json"
CANARY = "sk-canary-51c0f7aa"
SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)

# Nodes that die: once where the picture is red, always where it is blue; and one that takes its time.
PACK = f"""
import os, time
from pathlib import Path

class Dies:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"image": ("IMAGE",), "mark": ("STRING", {{"default": ""}}), "seconds": ("FLOAT", {{"default": 0.0}})}}}}

    def run(self, image, mark, seconds):
        red, green, blue = (float(image[..., channel].mean()) for channel in range(3))
        print("a node prints", round(green, 2))
        time.sleep(seconds)
        if blue > 0.9 or (red > 0.9 and not Path(mark).exists()):
            Path(mark).touch()
            os.kill(os.getpid(), {int(SIGKILL)})
        return (image,)

NODE_CLASS_MAPPINGS = {{"Dies": Dies}}
"""
DYING = {
    "1": call("LoadImage", image="x.png"),
    "2": call("Dies", image=["1", 0], mark="mark", seconds=0.0),
    "3": call("SaveImage", images=["2", 0], filename_prefix="x"),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, Path]]:
    """The address of a Ray cluster of two cores that we started, and the folder of all that it writes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {"AUTH_MODE": "token", "AUTH_TOKEN": "0" * 64, "USAGE_STATS_ENABLED": "0"}.items():
            patch.setenv(f"RAY_{name}", value)
        pytest.importorskip("ray")  # reads them
        options = [f"--port={port}", f"--temp-dir={folder}", "--num-cpus=2", "--include-dashboard=false", "--block"]
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        head = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        assert head.stdout is not None
        told = []
        for line in head.stdout:
            told.append(line)
            if "runtime started" in line:
                break
        assert head.poll() is None, "".join(told)
        yield f"127.0.0.1:{port}", Path(folder)
        head.terminate()
        head.communicate(timeout=60)


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    (tmp_path / "pack.py").write_text(PACK, encoding="utf-8")
    return Command(tmp_path, capsys)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight scenes, half of them in folders, and a file that is no picture."""
    folder = tmp_path / "photos"
    for number, (image, *_) in enumerate(benchmark_scenes()[:8]):
        path = folder / ("", "trip", "trip/far", "")[number % 4] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((96, 64)).save(path)
    (folder / "trip" / "broken.png").write_bytes(b"no picture")
    return folder


def on_ray(cluster: tuple[str, Path]) -> list[str]:
    return ["--engine", "ray", "--address", cluster[0], "--jobs", "2"]


def records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def contents(output: Path) -> dict[str, bytes]:
    found = (path for path in output.rglob("*") if path.is_file() and path.name != "manifest.jsonl")
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in found}


def facts(output: Path) -> list[dict[str, Any]]:
    """The manifest without times, by image."""
    kept = [{key: value for key, value in one.items() if key not in ("seconds", "finished")} for one in records(output)]
    return sorted(kept, key=lambda record: str(record["image"]))


def test_both_engines_write_the_same(
    photos: Path, tmp_path: Path, cluster: tuple[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    told: dict[str, list[str]] = {}
    for name, options in {"local": [], "ray": on_ray(cluster)}.items():
        arguments = ["--images", str(photos), "--set", "Class Names.text=dog, grass, sky", *options]
        assert main([str(QUICKSTART), *arguments, "--output", str(tmp_path / name)]) == 3
        out, err = capfd.readouterr()
        wrote = sorted(line.replace(str(tmp_path / name), "") for line in out.splitlines())
        told[name] = [*wrote, *(line for line in err.splitlines() if line.startswith("error"))]
        seen = [line for line in err.splitlines() if re.match(r"\d+/9  ", line)]
        assert len(seen) == 9
        assert all("images/s" in line and "left" in line for line in seen[1:])
        assert not re.search("raylet|MapWorker|WARNING|INFO", out + err), "Ray is not heard"
    assert told["local"] == told["ray"]
    assert told["local"][-1] == f"error: 1 of 9 images failed: {photos.resolve() / 'trip' / 'broken.png'}"
    local, ray = contents(tmp_path / "local"), contents(tmp_path / "ray")
    assert len(local) == 8 * 6
    assert local == ray, "pixels, and what the pictures carry"
    assert facts(tmp_path / "local") == facts(tmp_path / "ray")
    carried = json.loads(Image.open(tmp_path / "ray" / "0" / "quickstart" / "overlay_00001_.png").text["prompt"])  # type: ignore[attr-defined]
    assert carried["5"]["inputs"]["image"] == str(photos.resolve() / "0.png")


@pytest.mark.parametrize("options", [[], ["--no-cache", "--keep-going"], ["--only", "4"]])
def test_options_mean_the_same(options: list[str], command: Command, cluster: tuple[str, Path]) -> None:
    for name, color in (("a.png", (0, 255, 0)), ("b.png", (0, 128, 0))):
        command.picture(name, color)
    prompt = {
        "1": call("LoadImage", image="x.png"),
        "2": call("SaveImage", images=["1", 0], filename_prefix="x"),
        "3": call("EmptyImage", color=255, width=4, height=3, batch_size=1),
        "4": call("ShowsImage", image=["3", 0]),
        "5": call("ShowsImage", image=["1", 0]),
        "6": call("Fails", value=["1", 0]),
        "7": call("PreviewAny", source=["6", 0]),
    }
    images = ["--images", str(command.input), "--set", "3.height=5", *options]
    found = []
    for engine in ([], on_ray(cluster)):
        output = command.output = command.folder / f"out{len(found)}"
        outcome = command.run(prompt, *images, *engine)
        calls = sorted(json.dumps(one) for one in outcome.calls)
        failures = sorted(event["message"] for event in outcome.all("failed"))
        found.append((outcome.code, calls, failures, contents(output), facts(output)))
    assert found[0] == found[1]
    assert found[0][0] == (0 if "--only" in options else 1)
    assert found[0][1]


def test_killed_workers_lose_no_image(command: Command, cluster: tuple[str, Path]) -> None:
    colors = {"green": (0, 255, 0), "red": (255, 0, 0), "poison": (0, 0, 255), "dark": (0, 9, 0), "last": (0, 99, 0)}
    for name, color in colors.items():
        command.picture(f"{name}.png", color)
    mark = command.folder / "mark"
    options = ["--nodes", str(command.folder / "pack.py"), "--set", f"2.mark={mark}", *on_ray(cluster)]
    outcome = command.run(DYING, "--images", str(command.input), *options)
    assert outcome.code == 3
    assert mark.exists()
    told = {Path(record["image"]).stem: record for record in records(command.output)}
    assert len(records(command.output)) == len(told) == 5, "none twice"
    assert {name: record["status"] for name, record in told.items()} == {
        **dict.fromkeys(colors, "done"),
        "poison": "failed",
    }
    assert told["poison"]["error"] == "the worker died 3 times while it ran; expected an image that fits."
    for name in set(colors) - {"poison"}:
        assert command.pixels(f"{name}/x_00001_.png")[1][:3] == bytes(colors[name])
    assert len(command.files()) == 5
    assert "a node prints" in outcome.err, "not lost, and not among the results"
    assert outcome.err.splitlines()[-1] == f"error: 1 of 5 images failed: {command.input.resolve() / 'poison.png'}"


def test_a_batch_goes_on_with_either_engine(command: Command, cluster: tuple[str, Path]) -> None:
    for number in range(6):
        command.picture(f"{number}.png", (number, 255, 0))
    prompt = {"1": DYING["1"], "3": call("SaveImage", images=["1", 0], filename_prefix="x")}
    first = command.run(prompt, "--images", *(str(command.input / f"{number}.png") for number in range(3)))
    assert first.code == 0
    command.picture("1.png", (77, 255, 0))  # another picture under the old name
    (command.output / "2" / "x_00001_.png").unlink()
    everything = ["--images", str(command.input), "--resume"]
    outcome = command.run(prompt, *everything, *on_ray(cluster))
    assert outcome.code == 0
    assert sorted(Path(event["path"]).stem for event in outcome.all("image")) == ["1", "2", "3", "4", "5"]
    assert [event["count"] for event in outcome.all("skipped")] == [1]
    assert command.pixels("1/x_00001_.png")[1][0] == 77
    outcome = command.run(prompt, *everything)
    assert (outcome.code, outcome.all("image")) == (0, [])
    assert len(records(command.output)) == 3 + 5
    assert not (command.output / ".llmseg").exists()


def test_images_and_results_behind_urls(command: Command, cluster: tuple[str, Path]) -> None:
    pack = (
        f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\nfrom folder_store import register\nregister()\n"
    )
    (command.folder / "store.py").write_text(f"{pack}NODE_CLASS_MAPPINGS = {{}}\n", encoding="utf-8")
    register()
    for number in range(4):
        path = command.picture(f"{number}.png", (number, 255, 0))
    path.write_bytes(b"no picture")
    away = command.folder / "away"
    urls = [
        "--images",
        f"share://{command.input}",
        "--output",
        f"share://{away}",
        "--nodes",
        str(command.folder / "store.py"),
    ]
    prompt = {"1": DYING["1"], "3": call("SaveImage", images=["1", 0], filename_prefix="x")}
    outcome = command.run(prompt, *urls, *on_ray(cluster))
    assert outcome.code == 3
    done = {record["image"]: record["status"] for record in records(away)}
    names = [f"share://{command.input}/{number}.png" for number in range(4)]
    assert done == {**dict.fromkeys(names, "done"), names[3]: "failed"}
    assert sorted(contents(away)) == [f"{number}/x_00001_.png" for number in range(3)]
    with Image.open(away / "2" / "x_00001_.png") as image:
        assert image.getpixel((0, 0)) == (2, 255, 0)
        assert json.loads(image.text["prompt"])["1"]["inputs"]["image"] == names[2]  # type: ignore[attr-defined]
    outcome = command.run(prompt, *urls, "--resume")
    assert [event["path"] for event in outcome.all("image")] == names[3:], "this process goes on"


def test_a_language_model_is_asked_once_and_no_key_travels(
    command: Command, photos: Path, cluster: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = {
        "1": call("LLMSegClassNames", text="dog, grass, sky", preset="custom"),
        "2": call("LLMSegLLMProfile", profile="fake", model=""),
        "3": call("LLMSegExpand", class_names=["1", 0], library="auto", llm=["2", 0]),
        "4": call("LoadImage", image="x.png"),
        "5": call("LLMSegSaveExpansion", expansion=["3", 0], filename_prefix="phrases"),
        "6": call("SaveImage", images=["4", 0], filename_prefix="x"),
    }
    with serve_model() as model:
        profile = f'[profiles.fake]\nbase_url = "{model.base_url}"\nmodel = "fake-1"\nkey_variable = "CANARY_KEY"\n'
        (command.folder / "llmseg.toml").write_text(profile, encoding="utf-8")
        monkeypatch.setenv("LLMSEG_CONFIG", str(command.folder / "llmseg.toml"))
        monkeypatch.setenv("CANARY_KEY", CANARY)
        images = ["--images", str(photos / "trip" / "far"), str(photos / "0.png"), str(photos / "3.png")]
        outcome = command.run(prompt, *images, *on_ray(cluster))
        assert outcome.code == 0
        assert len(model.requests) == 1
        assert model.headers[0]["authorization"] == f"Bearer {CANARY}"
    outcome = command.run(prompt, *images, *on_ray(cluster), "--frozen")
    assert outcome.code == 0, "the answer is stored, and the server is gone"
    phrases = {data for name, data in contents(command.output).items() if name.endswith(".json")}
    assert len(phrases) == 1
    assert len([name for name in command.files() if name.endswith(".json")]) == 4, "every image has its file"
    for path in (*cluster[1].rglob("*"), *command.folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            assert CANARY.encode() not in path.read_bytes(), path


def test_no_answer_from_a_language_model_ends_it_before_any_worker_starts(
    command: Command, photos: Path, cluster: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = {
        "1": call("LLMSegClassNames", text="zeppelin", preset="custom"),
        "2": call("LLMSegLLMProfile", profile="ollama", model=""),
        "3": call("LLMSegExpand", class_names=["1", 0], library="auto", llm=["2", 0]),
        "4": call("LoadImage", image="x.png"),
        "5": call("LLMSegSaveExpansion", expansion=["3", 0], filename_prefix="phrases"),
        "6": call("SaveImage", images=["4", 0], filename_prefix="x"),
    }
    outcome = command.run(prompt, "--images", str(photos), *on_ray(cluster), "--frozen")
    assert outcome.code == 1
    assert "node 3 (LLMSegExpand), llm: no stored answer for 'zeppelin'" in outcome.err
    assert outcome.all("image") == []


# -- a cluster of our own ----------------------------------------------------------------------------


def start(command: Command, *options: str) -> subprocess.Popen[str]:
    """The command with slow nodes and workers on this machine, below a temporary folder of a long name."""
    temporary = command.folder / ("long" * 20)
    temporary.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    arguments = ["--nodes", str(command.folder / "pack.py"), "--set", "2.seconds=0.5", "--output", str(command.output)]
    program = [
        sys.executable,
        "-m",
        "llmseg.run",
        str(command.write(DYING)),
        "--images",
        str(command.input),
        *arguments,
    ]
    engine = ["--engine", "ray", "--jobs", "2", *options]
    return subprocess.Popen([*program, *engine], env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for_lines(process: subprocess.Popen[str], output: Path, count: int) -> None:
    while process.poll() is None:
        manifest = output / "manifest.jsonl"
        if manifest.exists() and len(manifest.read_bytes().splitlines()) >= count:
            return
        time.sleep(0.05)
    assert process.stderr is not None
    raise AssertionError(f"it ended early: {process.stderr.read()}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process")
@pytest.mark.parametrize("how", [signal.SIGINT, SIGKILL])
def test_an_end_in_the_middle(how: signal.Signals, command: Command) -> None:
    for number in range(12):
        command.picture(f"{number:02}.png", (number, 255, 0))
    process = start(command)
    wait_for_lines(process, command.output, 2)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert err.splitlines()[-1] == "error: interrupted; files already written stay."
        assert "Traceback" not in err
    before = len(records(command.output))
    assert 2 <= before < 12
    time.sleep(1)  # workers end with the process that started them
    pack = ["--nodes", str(command.folder / "pack.py"), "--set", "2.seconds=0.5"]
    outcome = command.run(DYING, "--images", str(command.input), *pack, "--resume")
    assert outcome.code == 0
    assert [event["count"] for event in outcome.all("skipped")] == [before]
    done = [record["image"] for record in records(command.output)]
    assert len(done) == len(set(done)) == 12
    for number in range(12):
        assert command.pixels(f"{number:02}/x_00001_.png")[1][:2] == bytes((number, 255))
    assert len(command.files()) == 13
