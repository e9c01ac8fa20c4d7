"""Conformance cases 1 to 10, through the command: file formats, and the values that widgets store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import Command, Outcome, call, drawn, node
from PIL import Image
from PIL.PngImagePlugin import PngInfo

MAKE, MODEL = 0x010F, 0x0110  # the EXIF tags in which a WEBP carries a workflow

EDITOR = drawn(
    node(1, "LoadImage", ["a.png", "image"], outputs="IMAGE MASK"),
    node(2, "ImageInvert", image=(1, 0), outputs="IMAGE"),
    node(3, "SaveImage", ["case"], images=(2, 0)),
)
PROMPT = {
    "1": {**call("LoadImage", image="a.png"), "_meta": {"title": "Load Image"}},
    "2": {**call("ImageInvert", image=["1", 0]), "_meta": {"title": "Invert Image"}},
    "3": {**call("SaveImage", filename_prefix="case", images=["2", 0]), "_meta": {"title": "Save Image"}},
}
FORMATS = ("ui", "api", "body", "png", "compressed png", "webp")


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def packed(kind: str, folder: Path) -> Path:
    """One workflow in one of the formats; the name of the file says nothing about it."""
    path = folder / "case.dat"
    texts = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(EDITOR)}
    picture = Image.new("RGB", (2, 2))
    if kind in ("png", "compressed png"):
        info = PngInfo()
        for key, text in texts.items():
            if kind == "png":
                info.add_text(key, text)
            else:
                info.add_itxt(key, text, zip=True)
        picture.save(path, format="PNG", pnginfo=info)
    elif kind == "webp":
        exif = Image.Exif()
        exif.update({MODEL: f"prompt:{texts['prompt']}", MAKE: f"workflow:{texts['workflow']}"})
        picture.save(path, format="WEBP", exif=exif)
    else:
        body = {"prompt": PROMPT, "client_id": "x", "extra_data": {"extra_pnginfo": {"workflow": EDITOR}}}
        path.write_text(json.dumps({"ui": EDITOR, "api": PROMPT, "body": body}[kind]), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_case_01_format_sniffing(command: Command, kind: str) -> None:
    command.picture("a.png", (255, 0, 0))
    outcome = command.run(packed(kind, command.folder))
    assert outcome.code == 0
    assert outcome.executed == ["1", "2", "3"]
    assert command.files() == ["case_00001_.png"]
    assert command.pixels("case_00001_.png") == ((4, 3), bytes((0, 255, 255)) * 12)
    carried = command.texts("case_00001_.png")
    assert carried.pop("prompt") == PROMPT
    assert carried == ({} if kind == "api" else {"workflow": EDITOR})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"templates": []}, "a file of node templates; expected a workflow."),
        ({"templates": [{"name": "x", "data": "{}"}]}, "a file of node templates; expected a workflow."),
        (
            {},
            "neither a UI workflow nor an API prompt ({}); expected an object with 'nodes', or nodes with 'class_type'.",
        ),
    ],
)
def test_case_01_format_sniffing_refuses(command: Command, content: Any, problem: str) -> None:
    outcome = command.run(content)
    assert (outcome.code, outcome.err) == (2, f"error: workflow.json: {problem}\n")
    assert outcome.events == [{"event": "error", "message": f"workflow.json: {problem}"}]
    assert command.files() == []


def test_case_02_compressed_inputs(command: Command) -> None:
    editor = drawn(
        node(1, "EmptyImage", [8, 6, 1, 255], outputs="IMAGE"),
        node(2, "PrimitiveInt", [5, "fixed"], outputs="INT"),
        node(
            3, "ImageScale", ["area", 512, 7, "center"], image=(1, 0), width=(2, 0), widgets=["width"], outputs="IMAGE"
        ),
        node(4, "SaveImage", ["scaled"], images=(3, 0)),
    )
    assert [link[4] for link in editor["links"] if link[1] == 2] == [1]  # among all inputs of the class it is the third
    inputs = command.inputs(editor)["3"]
    assert inputs == {"upscale_method": "area", "width": ["2", 0], "height": 7, "crop": "center", "image": ["1", 0]}
    assert command.run(editor).code == 0
    assert command.pixels("scaled_00001_.png") == ((5, 7), bytes((0, 0, 255)) * 35)


def single(kind: str, values: Any, **more: Any) -> dict[str, Any]:
    """A workflow of one node that shows what it gets."""
    return drawn(node(1, kind, values, more=more))


def shown(command: Command, editor: dict[str, Any], warning: str = "") -> dict[str, Any]:
    """The arguments of node 1, which stand in the prompt too; warned of exactly what was expected."""
    outcome: Outcome = command.run(editor)
    assert outcome.code == 0
    assert [one["message"] for one in outcome.all("warning")] == ([warning] if warning else [])
    received: dict[str, Any] = outcome.received["1"]
    wrapped = {name: {"__value__": value} if isinstance(value, list) else value for name, value in received.items()}
    assert command.inputs(editor)["1"] == wrapped
    return received


def test_case_03_converted_widget_keeps_its_slot(command: Command) -> None:
    editor = drawn(
        node(1, "ShowsSeed", [123, "randomize", 20], seed=(2, 0), widgets=["seed"]),
        node(2, "PrimitiveInt", [77, "fixed"], outputs="INT"),
    )
    assert command.inputs(editor)["1"] == {"seed": ["2", 0], "steps": 20}
    assert command.run(editor).received == {"1": {"seed": 77, "steps": 20}}


@pytest.mark.parametrize(
    ("kind", "values", "received"),
    [
        ("ShowsSeed", [5, "fixed", 9], {"seed": 5, "steps": 9}),
        ("ShowsUncontrolled", [5, 9], {"seed": 5, "steps": 9}),
        ("ShowsMine", [5, 9], {"my_seed": 5, "steps": 9}),
    ],
)
def test_case_04_implicit_control_slot(
    command: Command, kind: str, values: list[Any], received: dict[str, Any]
) -> None:
    assert shown(command, single(kind, values)) == received


@pytest.mark.parametrize("kind", ["ShowsUncontrolled", "ShowsMine"])
def test_case_04_no_slot_is_skipped_without_control(command: Command, kind: str) -> None:
    outcome = command.run(single(kind, [5, "fixed", 9]))
    assert (outcome.code, outcome.problems) == (2, [("1", "steps", "invalid_input_type")])


def test_case_05_combo_control(command: Command) -> None:
    assert shown(command, single("ShowsControlled", ["b", "fixed", "", 7])) == {"pick": "b", "size": 7}


def test_case_06_upload_slot(command: Command) -> None:
    command.picture("a.png", (200, 100, 50, 255))
    editor = drawn(
        node(1, "LoadImage", ["a.png", "image"], outputs="IMAGE MASK"),
        node(2, "LoadImageMask", ["a.png", "red", "image"], outputs="MASK"),
        node(3, "ShowsImage", image=(1, 0), mask=(2, 0)),
    )
    inputs = command.inputs(editor)
    assert inputs == {
        "1": {"image": "a.png"},
        "2": {"image": "a.png", "channel": "red"},
        "3": {"image": ["1", 0], "mask": ["2", 0]},
    }
    received = command.run(editor).received["3"]
    assert received["image"] == {"shape": [1, 3, 4, 3], "range": [0.1961, 0.7843]}
    assert received["mask"] == {"shape": [1, 3, 4], "range": [0.7843, 0.7843]}


@pytest.mark.parametrize("control", [True, False])
def test_case_07_old_control_booleans(command: Command, control: bool) -> None:
    assert shown(command, single("ShowsSeed", [5, control, 20])) == {"seed": 5, "steps": 20}


def test_case_07_a_file_saved_without_the_control_slot(command: Command) -> None:
    warning = (
        "workflow.json, node 1 (ShowsSeed): widgets_values hold 20 where a control word was expected; "
        "read as saved without it"
    )
    assert shown(command, single("ShowsSeed", [5, 20]), warning) == {"seed": 5, "steps": 20}


@pytest.mark.parametrize(("values", "received"), [([5, "fixed", 9], (5, 9)), ([5, "fixed", 9, "left"], (70, 80))])
def test_case_08_named_vs_positional(command: Command, values: list[Any], received: tuple[int, int]) -> None:
    named = {"seed": 70, "control_after_generate": "fixed", "steps": 80}
    editor = single("ShowsSeed", values, widgets_values_named=named)
    assert shown(command, editor) == dict(zip(("seed", "steps"), received, strict=True))


def test_case_09_dict_widgets_values(command: Command) -> None:
    assert shown(command, single("ShowsSeed", {"steps": 3, "unknown": 1})) == {"seed": 0, "steps": 3}


@pytest.mark.parametrize("chosen", [["a", "b"], ["a", 0]])
def test_case_10_list_widget_value(command: Command, chosen: list[Any]) -> None:
    other = node("a", "EmptyImage", [8, 8, 1, 0], outputs="IMAGE")  # so that ["a", 0] would be a link that works
    editor = drawn(node(1, "ShowsChoices", [chosen]), other)
    assert command.inputs(editor)["1"] == {"choices": {"__value__": chosen}}
    for workflow in (editor, command.prompt(editor)):
        outcome = command.run(workflow)
        assert outcome.code == 0
        assert outcome.received == {"1": {"choices": chosen}}
        assert outcome.executed == ["1"]
