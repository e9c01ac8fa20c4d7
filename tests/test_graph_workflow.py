"""Workflow files: telling the forms apart, and files that are hostile or broken."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError, WorkflowError
from llmseg.graph.workflow import MAX_BYTES, MAX_DEPTH, parse_workflow, read_workflow

EDITOR: dict[str, Any] = {"nodes": [{"id": 1, "type": "A"}], "links": []}
PROMPT: dict[str, Any] = {"1": {"class_type": "A", "inputs": {}}}


def parse(data: Any) -> Any:
    workflow = parse_workflow(json.dumps(data), "w.json")
    return workflow.editor, workflow.prompt


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (EDITOR, (EDITOR, None)),
        (PROMPT, (None, PROMPT)),
        ({"prompt": PROMPT, "client_id": "x"}, (None, PROMPT)),
        ({"prompt": PROMPT, "extra_data": {"extra_pnginfo": {"workflow": EDITOR}}}, (EDITOR, PROMPT)),
        ({"workflow": EDITOR, "output": PROMPT}, (EDITOR, PROMPT)),
        ({"workflow": EDITOR}, (EDITOR, None)),
        ([3, "id", PROMPT, {}, ["1"]], (None, PROMPT)),
    ],
)
def test_every_form_is_told_apart(data: Any, expected: Any) -> None:
    assert parse(data) == expected


def test_a_stored_is_changed_is_stripped_and_missing_inputs_are_empty() -> None:
    _, prompt = parse({"1": {"class_type": "A", "is_changed": ["old"], "_meta": {"title": "t"}}})
    assert prompt == {"1": {"class_type": "A", "inputs": {}, "_meta": {"title": "t"}}}


def test_nan_and_infinity_are_numbers() -> None:
    workflow = parse_workflow('{"1": {"class_type": "A", "inputs": {"x": NaN, "y": -Infinity}}}', "w")
    assert workflow.prompt is not None
    inputs = workflow.prompt["1"]["inputs"]
    assert math.isnan(inputs["x"])
    assert inputs["y"] == -math.inf


NEITHER = "expected an object with 'nodes', or nodes with 'class_type'."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "w.json: empty file; expected a workflow as JSON."),
        ("\ufeff \n", "w.json: empty file; expected a workflow as JSON."),
        ("{oops", "w.json: not JSON (Expecting property name enclosed in double quotes, line 1, column 2); expected a workflow."),
        ("{}", f"w.json: neither a UI workflow nor an API prompt ({{}}); {NEITHER}"),
        ("[1, 2]", f"w.json: neither a UI workflow nor an API prompt ([1, 2]); {NEITHER}"),
        ('{"templates": []}', "w.json: a file of node templates; expected a workflow."),
        ("9" * 5000, "w.json: a number of 5000 digits; expected a workflow as JSON."),
        ("[" * 100_000, f"w.json: nested more than {MAX_DEPTH} levels deep; expected a workflow."),
    ],
)  # fmt: skip
def test_what_is_no_workflow_gets_one_clear_error(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_workflow(text, "w.json")
    assert str(caught.value) == message


def test_brackets_inside_strings_are_not_depth_and_unclosed_strings_stay_linear() -> None:
    deep = "[" * (MAX_DEPTH + 5) + '\\"'
    assert parse_workflow(json.dumps({"1": {"class_type": deep, "inputs": {}}}), "w").prompt is not None
    with pytest.raises(InputError, match="not JSON"):
        parse_workflow('"' + '\\"' * 300_000, "w")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"nodes": [7]}, "w.json, node number 0: 7; expected an object."),
        ({"nodes": [{"type": "A"}]}, "w.json, node number 0: id None; expected a number or a text."),
        ({"nodes": [{"id": 1}]}, "w.json, node 1: type None; expected a class name."),
        ({"nodes": [], "links": {}}, "w.json, links: {}; expected a list."),
        ({"nodes": [], "links": [[1, 2]]}, "w.json, link: [1, 2]; expected [id, origin, slot, target, slot, type] or an object."),
        ({"nodes": [], "links": [[1, 2, "x", 3, 0, "A"]]}, "w.json, link: [1, 2, 'x', 3, 0, 'A']; expected ids, and numbers for the slots."),
        ({"nodes": [{"id": 1, "type": "A", "inputs": ["x"]}]}, "w.json, node 1: inputs hold 'x'; expected objects with a name."),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [{"name": "x", "link": []}]}]}, "w.json, node 1, input 'x': link []; expected a link id."),
        ({"nodes": [{"id": 1, "type": "A", "inputs": {"name": "x"}}]}, "w.json, node 1: inputs hold [{'name': 'x'}]; expected objects with a name."),
        ({"nodes": [{"id": 1, "type": "A", "outputs": [{"name": "x", "links": 5}]}]}, "w.json, node 1, output 'x': links 5; expected link ids."),
        ({"prompt": {"1": 5}}, "w.json, node 1: 5; expected an object with class_type and inputs."),
        ({"prompt": {"1": {"class_type": "A", "inputs": []}}}, "w.json, node 1: inputs are []; expected an object."),
    ],
)  # fmt: skip
def test_wrong_shapes_are_named(data: Any, fault: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        parse(data)
    assert str(caught.value) == fault


def test_every_wrong_shape_is_reported_at_once() -> None:
    with pytest.raises(WorkflowError) as caught:
        parse({"nodes": [1, {"id": 2, "type": 3}], "links": [4]})
    assert len(caught.value.problems) == 3


def test_files_are_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(PROMPT).encode())
    assert read_workflow(path).prompt == PROMPT
    path.write_bytes(b'{"1": "\xff"}')
    with pytest.raises(InputError) as caught:
        read_workflow(path)
    assert str(caught.value) == "w.json: byte 7 is not UTF-8; expected a JSON text file."


def test_huge_missing_and_picture_files_are_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match=f"^huge.json: larger than {MAX_BYTES} bytes"):
        read_workflow(huge)
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
        read_workflow(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"^a\.png: workflows inside \.png files are not supported yet"):
        read_workflow(tmp_path / "a.png")
