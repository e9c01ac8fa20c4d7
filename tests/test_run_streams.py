"""What the command says while it runs and when it is stopped: problems by ComfyUI's names, bars, Ctrl-C."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import BYPASSED, SIZES, Command, call, drawn, node
from PIL import Image

ROOT = Path(__file__).parent.parent
EMPTY = call("EmptyImage", color=255, **SIZES)
posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals, and no Ctrl-C for one process")


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


PROBLEMS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "required_input_missing": ({"1": call("ShowsImage")}, ("1", "image")),
    "bad_linked_input": ({"1": call("ShowsAny", value=["a", "b", "c"])}, ("1", "value")),
    "return_type_mismatch": ({"1": EMPTY, "2": call("ShowsNumber", number=["1", 0])}, ("2", "number")),
    "invalid_input_type": ({"1": call("ShowsNumber", number="x")}, ("1", "number")),
    "value_smaller_than_min": ({"1": call("ShowsNumber", number=-1)}, ("1", "number")),
    "value_bigger_than_max": ({"1": call("ShowsNumber", number=10)}, ("1", "number")),
    "value_not_in_list": ({"1": call("ShowsControlled", pick="c", size=1)}, ("1", "pick")),
    "custom_validation_failed": ({"1": call("ChecksNumber", number=13, other=1)}, ("1", "number")),
    "exception_during_validation": ({"1": call("ShowsAny", value=["7", 0])}, ("1", "value")),
    "exception_during_inner_validation": (
        {"1": call("ImageInvert", image=["7", 0]), "2": call("ShowsAny", value=["1", 0])},
        ("1", "image"),
    ),
    "missing_node_type": ({"1": call("Nowhere"), "2": call("ShowsAny", value=["1", 0])}, ("1", "")),
    "dependency_cycle": (
        {
            "1": call("ImageInvert", image=["2", 0]),
            "2": call("ImageInvert", image=["1", 0]),
            "3": call("ShowsAny", value=["2", 0]),
        },
        ("1", ""),
    ),
    "prompt_no_outputs": ({"1": EMPTY}, ("", "")),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_problems_have_the_names_of_the_server(command: Command, kind: str) -> None:
    prompt, place = PROBLEMS[kind]
    outcome = command.run(prompt)
    assert outcome.code == 2
    assert outcome.problems == [(*place, kind)]
    (problem,) = outcome.all("problem")
    shows = [node_id for node_id, record in prompt.items() if record["class_type"].startswith(("Shows", "Checks"))]
    assert problem["dependent_outputs"] == shows
    assert outcome.err == f"error: workflow.json, {problem['message']}\n"  # for people, the same
    assert outcome.all("started") == []


def test_problems_of_the_drawing_are_events_too(command: Command) -> None:
    editor = drawn(node(1, "Anything Everywhere3"), node(2, "ShowsAny"), node(3, "ImageInvert", mode=BYPASSED))
    outcome = command.run(editor)
    assert outcome.code == 2
    (problem,) = outcome.all("problem")
    assert (problem["source"], problem["type"]) == ("workflow.json", "invalid_workflow")
    assert outcome.err == f"error: workflow.json, {problem['message']}\n"


@posix_only
def test_bar_on_a_terminal_shows_the_title(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl
    import pty
    import termios

    prompt = {"1": {**call("Steps"), "_meta": {"title": "Größe 語"}}}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                seen.append(chunk)
        except OSError:  # how Linux says that the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        code = command.main(prompt)
    reader.join(timeout=10)
    os.close(ours)
    text = b"".join(seen).decode()
    assert code == 0
    assert "Größe 語:   0%|" in text
    assert "| 0/3 [" in text
    left = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]  # the bar is wiped out
    assert [line.partition(" s  ")[2] for line in left] == ["Größe 語", "1 nodes executed, 0 cached", ""]


def test_no_bar_where_there_is_no_terminal(command: Command) -> None:
    assert command.main({"1": call("Steps")}) == 0
    err = command.capsys.readouterr().err
    assert "%" not in err
    assert "\r" not in err
    steps = command.run({"1": call("Steps")}).all("progress")
    assert [(event["node"], event["value"], event["max"]) for event in steps] == [("1", done, 3) for done in (1, 2, 3)]


def test_what_nodes_print_is_no_result(command: Command) -> None:
    prompt = {"1": call("Prints", text="aside"), "2": call("PreviewAny", source=["1", 0])}
    assert command.main(prompt) == 0
    out, err = command.capsys.readouterr()
    assert out == "aside\n"
    assert "printed aside\n" in err
    assert command.run(prompt).executed == ["1", "2"]  # every line of standard output was an event


SLEEPY = """
import pathlib, time

class Sleeps:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"after": ("*",), "started": ("STRING", {})}}

    def run(self, after, started):
        pathlib.Path(started).touch()
        time.sleep(600)
        return ()

NODE_CLASS_MAPPINGS = {"Sleeps": Sleeps}
"""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@posix_only
def test_ctrl_c_ends_a_run_at_once(command: Command) -> None:
    pack, started = command.folder / "custom_nodes" / "sleepy", command.folder / "started"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(SLEEPY, encoding="utf-8")
    prompt = {
        "1": EMPTY,
        "2": call("SaveImage", images=["1", 0], filename_prefix="x"),
        "3": call("Sleeps", after=["1", 0], started=str(started)),
        "4": call("SaveImage", images=["1", 0], filename_prefix="y"),
    }
    arguments = [str(command.write(prompt)), "--nodes", str(pack.parent), "--output", str(command.output)]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    with subprocess.Popen([sys.executable, "-m", "llmseg.run", *arguments], cwd=ROOT, **streams) as process:
        try:
            wait_for(started, process)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)  # it would sleep for ten minutes
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "error: interrupted; files already written stay."
    assert "Traceback" not in err
    assert command.files() == ["x_00001_.png"]
    with Image.open(command.output / "x_00001_.png") as image:
        image.load()
        assert image.size == (4, 3)
