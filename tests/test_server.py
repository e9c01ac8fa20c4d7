"""Running on a ComfyUI server: events, verdicts, files both ways, and whatever can go wrong on the way."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_server import FakeComfy, error_answer, run_node, serve_comfy, succeed

from llmseg.errors import InputError, WorkflowError
from llmseg.graph import Event, NodeDefinition
from llmseg.reporting import JsonReporter, TextReporter
from llmseg.serving import Limits, ServerClient, ServerError, ServerRun, find_in
from llmseg.serving.address import parse_address
from llmseg.serving.untrusted import safe_parts

QUICK = Limits(connect=2.0, answer=5.0, poll=0.05, idle=0.2, gone=0.3, pause=0.05, cancel=2.0)
PROMPT: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "The picture"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000


class Recorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.steps: list[tuple[int, int]] = []
        self.warnings: list[str] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def progress(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    @property
    def story(self) -> list[tuple[str, str]]:
        return [(event.kind, event.node_id) for event in self.events]


class Impatient(Recorder):
    """Presses Ctrl-C at the first word of one kind."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def event(self, event: Event) -> None:
        if event.kind == self.word:
            raise KeyboardInterrupt

    def warning(self, message: str) -> None:
        if self.word in message:
            raise KeyboardInterrupt


@pytest.fixture
def comfy() -> Iterator[FakeComfy]:
    with serve_comfy() as server:
        yield server


@pytest.fixture
def heard() -> Recorder:
    return Recorder()


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    return {"input": tmp_path / "input", "output": tmp_path / "out", "temp": tmp_path / "out" / "temp"}


def run(
    comfy: FakeComfy,
    roots: dict[str, Path],
    listener: Any,
    prompt: Any = PROMPT,
    *,
    limits: Limits = QUICK,
    **more: Any,
) -> ServerRun:
    workflow = more.pop("workflow", None)
    with ServerClient(comfy.url, roots, listener, limits=limits, **more) as client:
        return client.run(prompt, workflow)


# --- the way of a prompt ---


def test_success(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.files = {("output", "sub", "x_00001_.png"): PICTURE, ("temp", "", "t.png"): b"temporary"}
    done = run(comfy, roots, heard, workflow={"nodes": [], "links": []})
    assert heard.story == [("started", "1"), ("finished", "1"), ("started", "2"), ("finished", "2")]
    assert heard.events[0] == Event("started", "1", "LoadImage", "The picture", display_id="1")
    assert heard.warnings == []
    assert (done.problems, done.missing, done.result.error) == ((), (), None)
    assert (done.result.executed, done.result.cached, done.result.blocked) == (["1", "2"], [], [])
    assert set(done.result.seconds) == {"1", "2"}
    assert done.result.ui == {"2": {"images": [
        {"filename": "x_00001_.png", "subfolder": "sub", "type": "output"},
        {"filename": "t.png", "subfolder": "", "type": "temp"},
    ]}}  # fmt: skip
    assert (roots["output"] / "sub" / "x_00001_.png").read_bytes() == PICTURE
    assert (roots["temp"] / "t.png").read_bytes() == b"temporary"
    assert not [path for path in roots["output"].rglob("*") if path.name.endswith(".tmp")]


def test_what_the_server_is_sent(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    flags: list[Any] = []

    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        server.until(lambda: server.links[0].messages)
        flags.extend(server.links[0].messages)
        succeed(server, prompt_id, body)

    comfy.play = play
    run(comfy, roots, heard, workflow={"nodes": []})
    (body,) = comfy.prompts
    assert body["prompt"] == PROMPT
    assert body["extra_data"] == {"extra_pnginfo": {"workflow": {"nodes": []}}}
    assert comfy.clients_before_prompt == [body["client_id"]]  # the websocket was there first
    assert [flag["type"] for flag in flags] == ["feature_flags"]


def test_values_that_strict_encoders_refuse_arrive(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    inputs = {"image": "ü\ud800", "x": float("inf")}
    run(comfy, roots, heard, {"1": {"class_type": "LoadImage", "inputs": inputs}})
    assert comfy.prompts[0]["prompt"]["1"]["inputs"] == inputs


def test_definitions_convert_files(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    with ServerClient(comfy.url, roots, heard, limits=QUICK) as client:
        records = client.definitions()
        assert client.definitions() is records
    assert comfy.requests == ["GET /object_info"]
    assert NodeDefinition.from_object_info("SaveImage", records["SaveImage"]).output_node


def test_cached_nodes(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.files = {("output", "", "x.png"): PICTURE}

    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        images = {"images": [{"filename": "x.png", "subfolder": "", "type": "output"}]}
        server.send("execution_cached", nodes=["1", "2"], prompt_id=prompt_id)
        server.send("executed", node="2", output=images, prompt_id=prompt_id)
        server.send("progress_state", prompt_id=prompt_id, nodes={"2": {"state": "finished", "value": 1, "max": 1}})
        server.finish(prompt_id, {"2": images})

    comfy.play = play
    done = run(comfy, roots, heard)
    assert heard.story == [("cached", "1"), ("cached", "2")]
    assert (done.result.cached, done.result.executed) == (["1", "2"], [])
    assert (roots["output"] / "x.png").read_bytes() == PICTURE


def test_an_older_server_without_states(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        for node in ("1", "2"):
            server.send("executing", node=node, prompt_id=prompt_id)
            server.send("progress", node=node, value=3, max=4, prompt_id=prompt_id)
        server.finish(prompt_id)

    comfy.play = play
    done = run(comfy, roots, heard)
    assert heard.story == [("started", "1"), ("finished", "1"), ("started", "2"), ("finished", "2")]
    assert heard.steps == [(3, 4), (3, 4)]
    assert done.result.executed == ["1", "2"]


def test_strangers_and_noise_are_ignored(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        (link,) = server.links
        link.send_bytes(struct.pack(">II", 1, 2) + PICTURE)
        for kind in ("executing", "execution_error", "execution_cached", "progress_state", "executed", "progress"):
            server.send(kind, prompt_id="someone-else", node="2", nodes={"2": {"state": "running"}}, node_id="2")
            server.send(kind, prompt_id=prompt_id, node=["?"], nodes=7, value="x", max={}, node_id={})
        server.send("executing", node=None, prompt_id="someone-else")
        server.send("executing", node=None)  # of a prompt that nobody names: looked up, and not believed
        for text in ("not JSON", "[1]", '{"type": 3, "data": {}}', "[" * 100_000):
            link.send_text(text)
        server.until(lambda: f"GET /history/{prompt_id}" in server.requests)
        succeed(server, prompt_id, body)

    comfy.play = play
    done = run(comfy, roots, heard)
    assert heard.story == [("started", "1"), ("finished", "1"), ("started", "2"), ("finished", "2")]
    assert (done.result.executed, done.result.error) == (["1", "2"], None)


def test_an_old_server_makes_its_own_prompt_id(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.own_id = "its own/id"
    assert run(comfy, roots, heard).result.executed == ["1", "2"]


# --- refusals and failures ---


def test_a_refused_prompt_lists_every_error_by_node(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def error(kind: str, message: str, details: str, name: str) -> dict[str, Any]:
        return {"type": kind, "message": message, "details": details, "extra_info": {"input_name": name}}

    comfy.answers["/prompt"] = error_answer({
        "10": {"class_type": "SaveImage", "dependent_outputs": ["10"], "errors": [
            error("required_input_missing", "Required input is missing", "images", "images"),
        ]},
        "9": {"class_type": "KSampler", "dependent_outputs": ["10"], "errors": [
            error("value_not_in_list", "Value not in list", "scheduler: 'x' not in ['a', 'b']", "scheduler"),
            error("value_bigger_than_max", "Value 9 bigger than max of 4", "steps", "steps"),
        ]},
        "8": {"class_type": "Evil\x1b[2J", "errors": [error("x", "two\nlines", "", "")]},
    })  # fmt: skip
    with pytest.raises(WorkflowError) as caught:
        run(comfy, roots, heard)
    assert caught.value.problems == (
        r"node 8 (Evil\x1b[2J): two lines.",
        "node 9 (KSampler), input 'scheduler': value not in list; scheduler: 'x' not in ['a', 'b'].",
        "node 9 (KSampler), input 'steps': value 9 bigger than max of 4.",
        "node 10 (SaveImage), input 'images': required input is missing.",
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            {"type": "invalid_prompt", "message": "Cannot execute because node Foo does not exist.", "details": "Node ID '#7'"},
            "node 7: cannot execute because node Foo does not exist.",
        ),
        (
            {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": ""},
            "prompt: prompt has no outputs.",
        ),
        ("odd", "prompt: odd."),
        ({}, None),
    ],
)  # fmt: skip
def test_a_refusal_of_the_whole_prompt(
    comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, error: Any, line: str | None
) -> None:
    comfy.answers["/prompt"] = (400, {}, json.dumps({"error": error, "node_errors": []}).encode())
    with pytest.raises(InputError if line is None else WorkflowError) as caught:
        run(comfy, roots, heard)
    expected = f"server {comfy.url}: POST /prompt answered 400 and no prompt_id; expected one. Is it a ComfyUI server?"
    assert str(caught.value) == (line or expected)


def test_partly_valid(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.node_errors = {"9": {"class_type": "SaveImage", "dependent_outputs": ["9"], "errors": [
        {"type": "required_input_missing", "message": "Required input is missing", "details": "images", "extra_info": {"input_name": "images"}}
    ]}}  # fmt: skip
    done = run(comfy, roots, heard)
    (problem,) = done.problems
    assert problem.message == "node 9 (SaveImage), input 'images': required input is missing."
    assert (problem.type, problem.dependent_outputs) == ("required_input_missing", ("9",))
    assert done.result.executed == ["1", "2"]


def fail(server: FakeComfy, prompt_id: str, body: dict[str, Any], **more: Any) -> None:
    data = {"prompt_id": prompt_id, "node_id": "2", "node_type": "SaveImage", "exception_type": "ValueError",
            "exception_message": "too\nlarge ", "traceback": ["  File \"x.py\"\n", "    boom\n"], **more}  # fmt: skip
    run_node(server, prompt_id, "1")
    server.send("executing", node="2", prompt_id=prompt_id)
    server.send("execution_error", **data)
    outputs = {"1": {"images": [{"filename": "before.png", "type": "temp"}]}}
    server.finish(prompt_id, outputs, messages=[["execution_start", {}], ["execution_error", data]], status="error")


def test_a_failing_node(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.play = fail
    comfy.files = {("temp", "", "before.png"): PICTURE}
    result = run(comfy, roots, heard).result
    assert str(result.error) == "node 2 (SaveImage): ValueError: too large"
    assert result.error is not None
    assert "boom" in str(result.error.__cause__)
    assert heard.story == [("started", "1"), ("finished", "1"), ("started", "2"), ("failed", "2")]
    assert heard.events[-1].message == str(result.error)
    assert result.executed == ["1"]
    assert (roots["temp"] / "before.png").read_bytes() == PICTURE  # written before the failure


def test_errors_of_our_own_explain_themselves(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.play = lambda server, prompt_id, body: fail(
        server,
        prompt_id,
        body,
        exception_type="llmseg.errors.InputError",
        exception_message="threshold: 7; expected less.",
    )
    assert str(run(comfy, roots, heard).result.error) == "node 2 (SaveImage): threshold: 7; expected less."


def test_a_blocker_is_no_failure(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        notice = {"node_id": "1", "exception_type": "ExecutionBlocked", "exception_message": "Execution Blocked: no"}
        server.send("execution_error", prompt_id=prompt_id, **notice)
        succeed(server, prompt_id, body)

    comfy.play = play
    result = run(comfy, roots, heard).result
    assert (result.error, result.blocked) == (None, ["1"])
    assert heard.events[0].message == "Execution Blocked: no"


def test_somebody_presses_stop_on_the_server(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        data = {"prompt_id": prompt_id, "node_id": "2", "node_type": "SaveImage", "executed": []}
        server.send("execution_interrupted", **data)
        server.finish(prompt_id, messages=[["execution_interrupted", data]], status="error")

    comfy.play = play
    error = run(comfy, roots, heard).result.error
    assert str(error) == "node 2 (SaveImage): interrupted on the server; files already written stay."


def test_a_failure_without_a_reason(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.play = lambda server, prompt_id, body: server.finish(prompt_id, messages=7, status="error")  # type: ignore[arg-type]
    assert str(run(comfy, roots, heard).result.error) == "node ? (unknown): failed on the server, which gave no reason."


# --- interruptions ---


def test_ctrl_c_stops_the_running_prompt(comfy: FakeComfy, roots: dict[str, Path]) -> None:
    comfy.play = lambda server, prompt_id, body: run_node(server, prompt_id, "1")
    with pytest.raises(KeyboardInterrupt):
        run(comfy, roots, Impatient("started"))
    prompt_id = comfy.prompts[0]["prompt_id"]
    assert comfy.told == [("/queue", {"delete": [prompt_id]}), ("/interrupt", {"prompt_id": prompt_id})]


def test_ctrl_c_takes_a_waiting_prompt_back_and_lets_others_run(comfy: FakeComfy, roots: dict[str, Path]) -> None:
    comfy.running.append([0, "someone-else", {}, {}, []])
    comfy.play = lambda server, prompt_id, body: None
    with pytest.raises(KeyboardInterrupt):
        run(comfy, roots, Impatient("ahead"))
    assert comfy.told == [("/queue", {"delete": [comfy.prompts[0]["prompt_id"]]})]
    assert comfy.pending == []


def test_a_busy_queue_is_said_once(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    # A heap is no sorted list: the one further back in it runs earlier.
    comfy.running.append([0, "a", {}, {}, []])
    comfy.pending += [[9, "late", {}, {}, []], [0.5, "b", {}, {}, []]]

    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        server.until(lambda: server.requests.count("GET /queue") >= 3)
        server.pending.clear()
        succeed(server, prompt_id, body)

    comfy.play = play
    assert run(comfy, roots, heard).result.executed == ["1", "2"]
    assert heard.warnings == [f"server {comfy.url}: 2 prompts ahead in the queue; waiting."]


def test_a_dropped_websocket_is_opened_again(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        run_node(server, prompt_id, "1")
        server.drop()
        server.until(lambda: server.links)
        run_node(server, prompt_id, "2")
        server.finish(prompt_id)

    comfy.play = play
    run(comfy, roots, heard)
    assert heard.story == [("started", "1"), ("finished", "1"), ("started", "2"), ("finished", "2")]
    assert comfy.requests.count("GET /ws") == 2


def test_what_happens_while_the_websocket_is_down(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.files = {("output", "", "x.png"): PICTURE}

    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        server.has_websocket = False
        server.drop()
        images = {"images": [{"filename": "x.png", "subfolder": "", "type": "output"}]}
        server.until(lambda: server.requests.count("GET /ws") > 2)
        server.finish(prompt_id, {"2": images}, messages=[["execution_cached", {"nodes": ["1"]}]])

    comfy.play = play
    result = run(comfy, roots, heard).result
    assert (result.error, result.executed, result.cached) == (None, ["2"], ["1"])
    assert (roots["output"] / "x.png").read_bytes() == PICTURE


def test_a_server_behind_a_proxy_without_websockets(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.has_websocket = False
    assert run(comfy, roots, heard).result.error is None
    (warning,) = heard.warnings
    assert warning.startswith(f"server {comfy.url}: no websocket (")
    assert "404" in warning


def test_a_restarted_server_has_lost_the_prompt(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        server.running.clear()
        server.drop()

    comfy.play = play
    with pytest.raises(ServerError) as caught:
        run(comfy, roots, heard)
    prompt_id = comfy.prompts[0]["prompt_id"]
    assert str(caught.value) == (
        f"server {comfy.url}: prompt {prompt_id} is neither queued nor finished; expected either. "
        "The server was restarted, or somebody removed the prompt."
    )


def test_a_server_that_vanishes(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        server.has_websocket = False
        for route in (f"/history/{prompt_id}", "/queue"):
            server.answers[route] = (502, {}, b"bad gateway")
        server.drop()

    comfy.play = play
    with pytest.raises(
        ServerError, match=r"no sign of life for \d s; expected an answer\. The prompt may still run there\."
    ):
        run(comfy, roots, heard)


def test_a_hiccup_of_the_server_is_survived(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    def play(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
        server.answers["/queue"] = (502, {}, b"bad gateway")
        server.until(lambda: "GET /queue" in server.requests)
        del server.answers["/queue"]
        succeed(server, prompt_id, body)

    comfy.play = play
    assert run(comfy, roots, heard, limits=Limits(poll=0.05, idle=0.1, answer=5.0)).result.error is None


# --- results ---

REFUSED = [
    ("..", "x.png"), ("a/../..", "x.png"), ("a\\..", "x.png"), ("/etc", "x.png"), ("\\\\host\\share", "x.png"),
    ("C:", "x.png"), ("C:\\Windows", "x.png"), ("", "C:x.png"), ("", "../x.png"), ("", "a/x.png"), ("", "a\\x.png"),
    ("", ""), ("", ".."), ("", "."), ("", ".bashrc"), (".git/hooks", "post-commit"), ("~", "x"), ("a//b", "x.png"),
    ("", "CON"), ("", "nul.png"), ("Aux", "x.png"), ("", "com1.txt"), ("", "LPT¹"), ("", "x.png."), ("a ", "x.png"),
    ("", "a\nb.png"), ("", "\x1b[2J.png"), ("", "a\0.png"), ("", "x" * 300), ("", "\ud800.png"), ("", "a\u2028b"),
    (3, "x.png"), ("", ["x.png"]), ("", None), ([1], "x.png"),
]  # fmt: skip


@pytest.mark.parametrize(("subfolder", "name"), REFUSED)
def test_names_that_could_lead_elsewhere(subfolder: Any, name: Any) -> None:
    assert safe_parts(subfolder, name) is None


@pytest.mark.parametrize(
    ("subfolder", "name", "parts"),
    [("", "x.png", ("x.png",)), ("a/b", "x y (1).png", ("a", "b", "x y (1).png")), ("a\\b", "é.png", ("a", "b", "é.png")),
     ("", "console.png", ("console.png",)), ("", "12:30.png", ("12:30.png",)), ("", "a..b.png", ("a..b.png",))],
)  # fmt: skip
def test_names_that_are_fine(subfolder: str, name: str, parts: tuple[str, ...]) -> None:
    assert safe_parts(subfolder, name) == parts


def shows(*images: Any, key: str = "images") -> Any:
    """A play in which node 2 shows these."""
    return lambda server, prompt_id, body: server.finish(prompt_id, {"2": {key: list(images)}})


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_hostile_names_write_nothing_and_the_rest_arrives(
    comfy: FakeComfy, roots: dict[str, Path], heard: Recorder
) -> None:
    hostile = [{"filename": name, "subfolder": folder, "type": "output"} for folder, name in REFUSED]
    good = {"filename": "x.png", "subfolder": "", "type": "output"}
    comfy.files = {("output", "", "x.png"): PICTURE}
    comfy.play = shows(*hostile, {"filename": "in.png", "type": "input"}, {"filename": "s", "type": ["?"]}, good, good)
    done = run(comfy, roots, heard)
    assert everything(roots["output"].parent) == ["out/x.png"]
    assert done.result.ui == {"2": {"images": [good, good]}}
    assert comfy.requests.count("GET /view") == 1
    assert heard.warnings == list(done.missing)
    assert done.missing[0] == (
        f"'../x.png' was not fetched: server {comfy.url}: the server names a file that could lie elsewhere; "
        "expected one below the folder."
    )
    assert all(line.isprintable() for line in done.missing)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_in_the_output_folder_is_not_followed_outside(
    comfy: FakeComfy, roots: dict[str, Path], heard: Recorder
) -> None:
    outside = roots["output"].parent / "outside"
    outside.mkdir()
    roots["output"].mkdir()
    (roots["output"] / "sub").symlink_to(outside)
    (roots["output"] / "x.png").symlink_to(outside / "new.png")
    comfy.files = {("output", "sub", "x.png"): PICTURE, ("output", "", "x.png"): PICTURE}
    comfy.play = shows({"filename": "x.png", "subfolder": "sub"}, {"filename": "x.png"})
    done = run(comfy, roots, heard)
    assert list(outside.iterdir()) == []
    assert len(done.missing) == 1
    assert "a link leads out of the folder" in done.missing[0]
    assert done.result.ui["2"]["images"] == [{"filename": "x (1).png", "subfolder": "", "type": "output"}]


def test_no_picture_is_lost_to_an_equal_name(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    roots["output"].mkdir()
    (roots["output"] / "x.png").write_bytes(b"mine")
    comfy.files = {("output", "", "x.png"): PICTURE}
    for _ in range(2):  # the second time it is there already
        (image,) = run(comfy, roots, heard).result.ui["2"]["images"]
        assert image == {"filename": "x (1).png", "subfolder": "", "type": "output"}
        assert (roots["output"] / "x.png").read_bytes() == b"mine"
        assert everything(roots["output"]) == ["x (1).png", "x.png"]
    comfy.files = {("output", "", "x.png"): b"mine"}
    (image,) = run(comfy, roots, heard).result.ui["2"]["images"]
    assert image["filename"] == "x.png"


@pytest.mark.parametrize("limits", [{"file_bytes": 1000}, {"total_bytes": 1000}], ids=str)
def test_sizes_are_bounded(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, limits: dict[str, int]) -> None:
    comfy.files = {("output", "", "x.png"): PICTURE}
    done = run(comfy, roots, heard, limits=Limits(poll=0.05, **limits))
    assert done.missing == (f"'x.png' was not fetched: server {comfy.url}: more than 1000 bytes; expected fewer.",)
    assert everything(roots["output"]) == []


def test_the_number_of_files_is_bounded(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.files = {("output", "", f"{n}.png"): b"x" for n in range(3)}
    done = run(comfy, roots, heard, limits=Limits(poll=0.05, files=2))
    assert everything(roots["output"]) == ["0.png", "1.png"]
    assert len(done.missing) == 1


def test_a_result_that_is_gone(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.play = shows({"filename": "x.png", "subfolder": "", "type": "output"})
    done = run(comfy, roots, heard)
    assert done.result.ui == {"2": {"images": []}}
    assert len(done.missing) == 1
    assert "GET /view answered 404" in done.missing[0]


@pytest.mark.parametrize("key", ["gifs", "audio", "3d", "anything"])
def test_files_under_any_name_are_fetched(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, key: str) -> None:
    comfy.files = {("output", "v", "x.mp4"): PICTURE}
    comfy.play = shows({"filename": "x.mp4", "subfolder": "v", "type": "output", "format": "video/mp4"}, key=key)
    (entry,) = run(comfy, roots, heard).result.ui["2"][key]
    assert entry["format"] == "video/mp4"
    assert everything(roots["output"]) == ["v/x.mp4"]


ODD_OUTPUTS = [None, [], "text", {"2": None}, {"2": {"text": "one"}}, {"2": {"text": 5, "images": {"filename": 3}}}, {"2": {"text": [["a"], {"b": 1}], "images": [[1], None, {"filename": {}}]}}]  # fmt: skip


@pytest.mark.parametrize("outputs", ODD_OUTPUTS, ids=str)
@pytest.mark.parametrize("reporter", [TextReporter, JsonReporter])
def test_reporters_take_whatever_a_server_shows(
    comfy: FakeComfy, roots: dict[str, Path], reporter: Any, outputs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    comfy.play = lambda server, prompt_id, body: server.finish(prompt_id, outputs)
    speaker = reporter()
    done = run(comfy, roots, speaker)
    speaker.finished(done.result, roots)
    assert capsys.readouterr().out or reporter is TextReporter


def test_reporters_show_a_run(comfy: FakeComfy, roots: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    comfy.files = {("output", "sub", "x.png"): PICTURE}
    speaker = TextReporter()
    speaker.finished(run(comfy, roots, speaker).result, roots)
    out, err = capsys.readouterr()
    assert out == f"wrote {roots['output'] / 'sub' / 'x.png'}\n"
    assert "The picture" in err
    assert "2 nodes executed, 0 cached" in err


def test_texts_lose_what_moves_a_cursor(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    comfy.play = shows("one\n\ttwo\x1b[2J\r\x9b", key="text")
    assert run(comfy, roots, heard).result.ui == {"2": {"text": ["one\n\ttwo[2J"]}}


# --- uploads ---


@pytest.fixture
def inputs(roots: dict[str, Path]) -> Path:
    folder = roots["input"]
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b ü.png", "notes.txt"):
        (folder / name).write_bytes(name.encode() + PICTURE)
    (folder.parent / "secret.png").write_bytes(b"secret")
    return folder


def loaders(*names: Any) -> dict[str, Any]:
    return {str(n): {"class_type": "LoadImage", "inputs": {"image": name}} for n, name in enumerate(names)}


def test_local_files_are_sent_and_named_as_the_server_does(
    comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, inputs: Path
) -> None:
    prompt = loaders("a.png", "a.png", "sub/b ü.png [input]", ["0", 0])
    run(comfy, roots, heard, prompt, find_input=find_in(inputs))
    assert comfy.uploads == [
        ("a.png", "", "false", b"a.png" + PICTURE),
        ("b ü.png", "sub", "false", "sub/b ü.png".encode() + PICTURE),
    ]
    sent = [node["inputs"]["image"] for node in comfy.prompts[0]["prompt"].values()]
    assert sent == ["stored_a.png", "stored_a.png", "sub/stored_b ü.png", ["0", 0]]
    assert prompt == loaders("a.png", "a.png", "sub/b ü.png [input]", ["0", 0])


@pytest.mark.parametrize(
    "name", ["absent.png", "a.png [output]", "a.png [temp]", "../secret.png", "sub/../../secret.png", "notes.txt", "sub", "", 7]
)  # fmt: skip
def test_what_is_left_to_the_server(
    comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, inputs: Path, name: Any
) -> None:
    run(comfy, roots, heard, loaders(name), find_input=find_in(inputs))
    assert comfy.uploads == []
    assert comfy.prompts[0]["prompt"] == loaders(name)


def test_definitions_say_which_values_are_files(
    comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, inputs: Path
) -> None:
    files = {"clip": ["COMBO", {"video_upload": True, "options": []}], "text": ["STRING", {}], "odd": "x"}
    comfy.definitions = {"LoadVideo": {"input": {"optional": files}}, "Odd": {"input": []}}
    names = {"clip": "a.png", "text": "a.png", "odd": "a.png", "undeclared": "a.png"}
    prompt = {"1": {"class_type": "LoadVideo", "inputs": names}, "2": {"class_type": "Odd", "inputs": names}}
    run(comfy, roots, heard, prompt, find_input=find_in(inputs))
    assert comfy.prompts[0]["prompt"]["1"]["inputs"] == {**names, "clip": "stored_a.png"}
    assert comfy.prompts[0]["prompt"]["2"]["inputs"] == names


def test_a_path_that_a_person_typed(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, inputs: Path) -> None:
    secret = inputs.parent / "secret.png"
    run(comfy, roots, heard, loaders(str(secret)), find_input=lambda name: secret if name == str(secret) else None)
    assert comfy.uploads == [("secret.png", "", "false", b"secret")]
    assert comfy.prompts[0]["prompt"] == loaders("stored_secret.png")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_out_of_the_input_folder_is_not_sent(inputs: Path) -> None:
    (inputs / "link.png").symlink_to(inputs.parent / "secret.png")
    assert find_in(inputs)("link.png") is None
    assert find_in(inputs)("sub\\b ü.png") == inputs / "sub" / "b ü.png"


def test_a_file_too_large_to_send(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, inputs: Path) -> None:
    size = (inputs / "a.png").stat().st_size
    with pytest.raises(InputError) as caught:
        run(comfy, roots, heard, loaders("a.png"), find_input=find_in(inputs), limits=Limits(upload_bytes=1000))
    assert str(caught.value) == f"input: 'a.png' has {size} bytes; expected at most 1000."
    comfy.answers["/upload/image"] = (413, {}, b"")
    with pytest.raises(InputError, match=r"POST /upload/image is refused as too large \(413\)"):
        run(comfy, roots, heard, loaders("a.png"), find_input=find_in(inputs))
    comfy.answers["/upload/image"] = (200, {}, b'{"name": 3}')
    with pytest.raises(InputError, match=r"the upload of 'a\.png' answered \{'name': 3\}; expected the file's name"):
        run(comfy, roots, heard, loaders("a.png"), find_input=find_in(inputs))
    assert comfy.prompts == []


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "base", "websocket", "credentials"),
    [
        ("http://127.0.0.1:8188", "http://127.0.0.1:8188", "ws://127.0.0.1:8188/ws", ""),
        (" https://Host.example/comfy/ ", "https://host.example/comfy", "wss://host.example/comfy/ws", ""),
        ("http://[::1]:8188/", "http://[::1]:8188", "ws://[::1]:8188/ws", ""),
        ("http://me:p%40ss:w@h", "http://h", "ws://h/ws", "me:p@ss:w"),
        ("http://me@h", "http://h", "ws://h/ws", "me:"),
    ],
)
def test_addresses(url: str, base: str, websocket: str, credentials: str) -> None:
    address = parse_address(url)
    assert (address.base, address.websocket) == (base, websocket)
    assert base64.b64decode(address.authorization.removeprefix("Basic ")).decode() == credentials
    assert not credentials or address.authorization not in repr(address)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("127.0.0.1:8188", "'127.0.0.1:8188' has no http or https; expected http://HOST:PORT or https://HOST, a path after it if the server has one. Did you mean http://127.0.0.1:8188?"),
        ("ftp://h", "'ftp://h' has no http or https"),
        ("file:///etc/passwd", "'file:///etc/passwd' has no http or https"),
        ("", "'' has no http or https"),
        ("http://", "'http://' names no host"),
        ("http://h:99999", "'http://h:99999' is no address"),
        ("http://h:x", "'http://h:x' is no address"),
        ("http://[::1", "'http://[::1' is no address"),
        ("http://a b", "'http://a b' names no host"),
        ("http://h/a b", "'http://h/a b' has a blank or a backslash in its path"),
        ("http://h?token=geheim", "'http://h' goes on with '?' or '#'"),
        ("http://me:geheim@h?x", "an address with credentials goes on with '?' or '#'"),
        ("me:geheim@h", "an address with credentials has no http or https"),
        ("http://me:geheim@", "an address with credentials names no host"),
    ],
)  # fmt: skip
def test_what_is_no_address(url: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(url)
    assert str(caught.value).startswith(f"server: {problem}")
    assert "geheim" not in str(caught.value)


def test_credentials_go_with_every_request_and_nowhere_else(
    comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, inputs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    comfy.files = {("output", "", "x.png"): PICTURE}
    plain, comfy.url = comfy.url, comfy.url.replace("http://", "http://me:geheim@")
    run(comfy, roots, heard, {**PROMPT}, find_input=find_in(inputs))
    expected = "Basic " + base64.b64encode(b"me:geheim").decode()
    assert {"GET /ws", "GET /object_info", "POST /upload/image", "POST /prompt", "GET /view"} <= set(comfy.requests)
    assert set(comfy.credentials) == {expected}
    comfy.answers["/object_info"] = (401, {}, b"")
    with pytest.raises(InputError) as caught, ServerClient(comfy.url, roots, heard) as client:
        client.definitions()
    assert str(caught.value) == (
        f"server {plain}: access denied (401); expected credentials. Write http://USER:PASSWORD@HOST."
    )
    for secret in ("geheim", expected.removeprefix("Basic ")):
        assert secret not in caplog.text


# --- what is no ComfyUI ---


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_nobody_there(roots: dict[str, Path], heard: Recorder) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(InputError) as caught, ServerClient(url, roots, heard, limits=QUICK) as client:
        client.run(PROMPT)
    text = str(caught.value)
    assert text.startswith(f"server {url}: no connection (")
    assert text.endswith("; expected a running ComfyUI. Start it, or correct the address.")
    assert "\n" not in text


HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((200, HTML, b"<!doctype html>"), "GET /object_info answered text/html that is no JSON; expected a ComfyUI server."),
        ((200, {}, b"[1]"), "GET /object_info answered no node classes; expected a ComfyUI server."),
        ((200, {}, b'{"A": 1}'), "GET /object_info answered no node classes; expected a ComfyUI server."),
        ((200, {}, b"[" * 200_000), "GET /object_info answered no type that is no JSON; expected a ComfyUI server."),
        ((200, {}, b"1" * 500), "GET /object_info answered no type that is no JSON; expected a ComfyUI server."),
        ((200, {}, b"\xff"), "GET /object_info answered no type that is no JSON; expected a ComfyUI server."),
        ((200, {}, b" " * 2000), "GET /object_info answered more than 1000 bytes; expected fewer."),
        ((200, {"Content-Encoding": "gzip"}, b"x"), "GET /object_info answered in 'gzip'; expected plain bytes, as asked for."),
        ((404, {}, b""), "GET /object_info answered 404; expected a running ComfyUI. Start it, or correct the address."),
        ((302, {"Location": "http://u:geheim@evil.example/x?k=geheim"}, b""), "GET /object_info is redirected to 'http://evil.example/x'; expected an answer. Give the final address."),
        ((302, {"Location": "/login"}, b""), "GET /object_info is redirected to '/login'; expected an answer. Give the final address."),
    ],
)  # fmt: skip
def test_no_comfyui(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder, answer: Any, problem: str) -> None:
    comfy.answers["/object_info"] = answer
    limits = Limits(json_bytes=1000 if len(answer[2]) == 2000 else 2**20)
    with pytest.raises(InputError) as caught, ServerClient(comfy.url, roots, heard, limits=limits) as client:
        client.definitions()
    assert str(caught.value) == f"server {comfy.url}: {problem}"


def test_a_redirected_websocket_is_not_followed(comfy: FakeComfy, roots: dict[str, Path], heard: Recorder) -> None:
    with serve_comfy() as other:
        comfy.answers["/ws"] = (302, {"Location": f"{other.url.replace('http', 'ws')}/ws?clientId=x"}, b"")
        assert run(comfy, roots, heard).result.error is None
        assert other.requests == []
    (warning,) = heard.warnings
    assert "no websocket (" in warning


def test_silence_ends(roots: dict[str, Path], heard: Recorder) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(InputError) as caught, ServerClient(url, roots, heard, limits=Limits(answer=0.1)) as client:
            client.definitions()
    assert str(caught.value).startswith(f"server {url}: no answer to GET /object_info in time; expected a running")


def test_proxies_that_cannot_be_used(roots: dict[str, Path], heard: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://me:geheim@h")
    with pytest.raises(InputError) as caught:
        ServerClient("http://h", roots, heard)
    assert str(caught.value).startswith("server http://h: the environment names proxies or certificates that cannot")
    assert "geheim" not in str(caught.value)


def test_importing_is_free() -> None:
    code = "import llmseg.serving, sys; print([n for n in ('httpx', 'httpx2', 'websockets', 'openai', 'torch') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"
