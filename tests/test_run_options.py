"""The options of the command that choose what runs, with which nodes and which words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import PACK, SIZES, Command, call, drawn, node

EMPTY = call("EmptyImage", color=255, **SIZES)


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def saver(source: str = "1", prefix: str = "x", title: str = "") -> dict[str, Any]:
    return {**call("SaveImage", images=[source, 0], filename_prefix=prefix), "_meta": {"title": title}}


# what runs -------------------------------------------------------------------------------------------------------------

THREE = {
    "1": EMPTY,
    "2": saver("1", "a", "One"),
    "3": saver("1", "b", "Two"),
    "4": call("PreviewImage", images=["1", 0]),
}


@pytest.mark.parametrize(
    ("names", "executed", "files"),
    [
        (["2"], ["1", "2"], ["a_00001_.png"]),
        (["Two"], ["1", "3"], ["b_00001_.png"]),
        (["two", "2"], ["1", "2", "3"], ["a_00001_.png", "b_00001_.png"]),
    ],
)
def test_only(command: Command, names: list[str], executed: list[str], files: list[str]) -> None:
    outcome = command.run(THREE, *(word for name in names for word in ("--only", name)))
    assert (outcome.code, outcome.executed) == (0, executed)
    assert command.files() == files


def test_only_by_class_leaves_out_what_is_broken_elsewhere(command: Command) -> None:
    prompt = {**THREE, "5": call("SaveImage", filename_prefix="broken")}
    assert command.run(prompt).code == 3
    outcome = command.run(prompt, "--only", "PreviewImage")
    assert (outcome.code, outcome.executed, outcome.problems) == (0, ["1", "4"], [])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SaveImage", "workflow.json, --only: 'SaveImage' means 2 nodes, 2, 3; expected one. Use its id."),
        ("Thre", "workflow.json, --only: unknown node 'Thre'; expected the id, the title or the class of a node."),
        ("1", "workflow.json, prompt: no output node; expected at least one node that saves or shows something."),
    ],
)
def test_only_names_one_output(command: Command, name: str, message: str) -> None:
    outcome = command.run(THREE, "--only", name)
    assert (outcome.code, outcome.err) == (2, f"error: {message}\n")
    assert command.files() == []


def test_strict_minds_unknown_classes_that_nothing_needs(command: Command) -> None:
    prompt = {**THREE, "9": call("Nowhere")}
    assert command.run(prompt, "--check").code == 0
    for options in (["--strict"], ["--strict", "--check"], ["--strict", "--only", "2"]):
        outcome = command.run(prompt, *options)
        assert (outcome.code, outcome.problems, outcome.executed) == (2, [("9", "", "missing_node_type")], [])
    assert command.files() == []


@pytest.mark.parametrize(("options", "files"), [([], []), (["--keep-going"], ["x_00001_.png"])])
def test_keep_going(command: Command, options: list[str], files: list[str]) -> None:
    prompt = {
        "1": call("Fails"),
        "2": call("ShowsAny", value=["1", 0]),
        "3": EMPTY,
        "4": saver("3"),
        "5": call("ShowsAny", value=["1", 0], other=["3", 0]),
    }
    outcome = command.run(prompt, *options)
    assert (outcome.code, command.files()) == (1, files)
    assert outcome.executed == (["3", "4"] if options else [])
    assert outcome.err == "error: workflow.json, node 1 (Fails): ValueError: this node fails\n"
    assert outcome.all("done")[0]["success"] is False


def test_print_prompt_runs_nothing(command: Command) -> None:
    editor = drawn(
        node(1, "EmptyImage", [*SIZES.values(), 255], outputs="IMAGE"), node(2, "SaveImage", ["x"], images=(1, 0))
    )
    printed = command.prompt(editor, "--set", "SaveImage.filename_prefix=y")
    assert printed == {
        "1": {**EMPTY, "_meta": {"title": "EmptyImage"}},
        "2": {**saver("1", "y"), "_meta": {"title": "Save Image"}},
    }
    assert command.files() == []
    assert command.run(command.write(printed)).code == 0
    assert command.files() == ["y_00001_.png"]


def test_from_chooses_among_the_two_forms(command: Command) -> None:
    drawing = drawn(
        node(1, "PreviewAny", outputs="", source=(2, 0)), node(2, "PrimitiveString", ["drawn"], outputs="STRING")
    )
    body = {
        "prompt": {"1": call("PreviewAny", source="queued")},
        "extra_data": {"extra_pnginfo": {"workflow": drawing}},
    }
    for options, text in (([], "queued"), (["--from", "prompt"], "queued"), (["--from", "workflow"], "drawn")):
        assert command.run(body, *options).all("done")[0]["texts"] == [text]


# dynamic prompts -------------------------------------------------------------------------------------------------------

ALTERNATIVES = "/* which */ a {red|green|{dark|light} blue} dog \\{sic\\}"
CHOSEN = {f" a {color} dog {{sic}}" for color in ("red", "green", "dark blue", "light blue")}


@pytest.fixture
def text(command: Command) -> Any:
    """The text that a node receives under `--dynamic-prompts HOW`."""
    editor = drawn(node(1, "ShowsPrompt", [ALTERNATIVES]))

    def received(*how: str) -> str:
        return command.run(editor, *(word for one in how for word in ("--dynamic-prompts", one))).received["1"]["text"]

    return received


def test_dynamic_prompts(text: Any) -> None:
    assert text("first") == " a red dog {sic}"
    assert text("off") == ALTERNATIVES
    assert text() in CHOSEN
    assert text("random") in CHOSEN
    by_seed = [text(f"random:{seed}") for seed in range(8)]
    assert set(by_seed) <= CHOSEN
    assert len(set(by_seed)) > 1
    assert [text(f"random:{seed}") for seed in range(8)] == by_seed


def test_dynamic_prompts_of_a_prompt_are_texts(command: Command) -> None:
    received = command.run({"1": call("ShowsPrompt", text=ALTERNATIVES)}, "--dynamic-prompts", "first").received
    assert received == {"1": {"text": ALTERNATIVES}}


def test_dynamic_prompts_of_another_kind(command: Command) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main({"1": call("ShowsPrompt", text="x")}, "--dynamic-prompts", "best")
    assert "'best'; expected random, random:SEED, first or off" in command.capsys.readouterr().err


# node classes ----------------------------------------------------------------------------------------------------------


def test_list_nodes_with_a_pack(command: Command) -> None:
    outcome = command.run({}, "--list-nodes")
    listed = {event["class_type"]: event["title"] for event in outcome.all("node")}
    assert outcome.code == 0
    assert (listed["Steps"], listed["ShowsSeed"], listed["SaveImage"]) == ("Counts to Three", "ShowsSeed", "Save Image")
    assert command.main({}, "--list-nodes") == 0
    lines = command.capsys.readouterr().out.splitlines()
    assert f"{'Steps':24} Counts to Three" in lines
    assert len(lines) == len(listed)


@pytest.mark.parametrize("packed", [False, True])
def test_object_info(command: Command, packed: bool) -> None:
    groups = {"required": {"seed": ["INT", {"default": 3}], "size": ["INT", {"default": 4}]}}
    record = {"input": groups, "output": ["IMAGE"], "name": "Foreign", "display_name": "A Foreign Node"}
    steps = {**record, "input": {"required": {}}}  # what is installed here counts more than what a server says
    content = json.dumps({"Foreign": record, "ShowsSeed": steps}).encode()
    file = command.folder / "info"
    file.write_bytes(gzip.compress(content) if packed else content)
    link = node(2, "ShowsSeed", [5, "fixed", 6])
    editor = drawn(
        node(1, "Foreign", [8, "randomize", 9], outputs="IMAGE"), link, node(3, "PreviewImage", images=(1, 0))
    )
    prompt = command.prompt(editor, "--object-info", str(file))
    assert prompt["1"] == {
        "class_type": "Foreign",
        "inputs": {"seed": 8, "size": 9},
        "_meta": {"title": "A Foreign Node"},
    }
    assert prompt["2"]["inputs"] == {"seed": 5, "steps": 6}
    assert command.run(editor, "--object-info", str(file)).code == 3  # printed, never run


def test_object_info_that_is_cut_off(command: Command) -> None:
    file = command.folder / "info.gz"
    file.write_bytes(gzip.compress(json.dumps({"Foreign": {"input": {}}}).encode())[:-9])
    outcome = command.run(drawn(node(1, "ShowsAny")), "--object-info", str(file))
    assert outcome.code == 2
    assert "expected a server's /object_info." in outcome.err


def test_nodes_that_are_not_there(command: Command) -> None:
    assert command.main({"1": call("ShowsAny")}, "--nodes", str(PACK.parent / "nowhere")) == 2
    assert "no node pack in" in command.capsys.readouterr().err
