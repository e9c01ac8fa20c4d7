"""Workflow files: telling the forms apart, and files that are hostile or broken."""

from __future__ import annotations

import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError, WorkflowError
from llmseg.graph.files.json_text import MAX_BYTES, MAX_DEPTH, MAX_DIGITS
from llmseg.graph.files.workflow import parse_workflow, read_stream, read_workflow

EDITOR: dict[str, Any] = {"nodes": [{"id": 1, "type": "A"}], "links": []}
PROMPT: dict[str, Any] = {"1": {"class_type": "A", "inputs": {}}}
EXTRA = {"extra_pnginfo": {"workflow": EDITOR}, "client_id": "x"}
ENTRY = [3, "id", PROMPT, EXTRA, ["1"]]
RECORD: dict[str, Any] = {"prompt": ENTRY, "outputs": {"1": {"images": []}}, "status": {"completed": True}, "meta": {}}


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
        ({"prompt": PROMPT, "extra_pnginfo": {"workflow": EDITOR}}, (EDITOR, PROMPT)),
        ({"workflow": PROMPT}, (None, PROMPT)),
        ({"prompt": EDITOR}, (EDITOR, None)),
        ([3, "id", PROMPT, {}, ["1"]], (None, PROMPT)),
        ([3, "id", PROMPT, None, None, {}], (None, PROMPT)),
        (ENTRY, (EDITOR, PROMPT)),
        ([ENTRY], (EDITOR, PROMPT)),
        (RECORD, (EDITOR, PROMPT)),
        ([RECORD], (EDITOR, PROMPT)),
        ({"5c1a": RECORD}, (EDITOR, PROMPT)),
        ({"id": "5c1a", "status": "completed", "workflow": {"prompt": PROMPT, "extra_data": EXTRA}}, (EDITOR, PROMPT)),
        # ids are opaque: these are nodes, not envelopes
        ({"prompt": PROMPT["1"], "workflow": PROMPT["1"]}, (None, {"prompt": PROMPT["1"], "workflow": PROMPT["1"]})),
        ({"__proto__": PROMPT["1"], "constructor": PROMPT["1"]}, (None, {"__proto__": PROMPT["1"], "constructor": PROMPT["1"]})),
    ],
)  # fmt: skip
def test_every_form_is_told_apart(data: Any, expected: Any) -> None:
    assert parse(data) == expected


def test_a_stored_is_changed_is_stripped_and_missing_inputs_are_empty() -> None:
    _, prompt = parse({"1": {"class_type": "A", "is_changed": ["old"], "_meta": {"title": "t"}}})
    assert prompt == {"1": {"class_type": "A", "inputs": {}, "_meta": {"title": "t"}}}


def test_other_fields_of_a_node_stay() -> None:
    node = {"class_type": "A", "inputs": {"x": [1, 2, 3]}, "_meta": {"title": "t", "ver": "1"}, "colour": "red"}
    assert parse({"1": node}) == (None, {"1": node})


@pytest.mark.parametrize(
    ("prefer", "editor", "prompt"), [("", EDITOR, PROMPT), ("prompt", EDITOR, PROMPT), ("workflow", EDITOR, None)]
)
def test_of_two_forms_the_prompt_runs_unless_the_other_is_asked_for(prefer: Any, editor: Any, prompt: Any) -> None:
    workflow = parse_workflow(json.dumps({"workflow": EDITOR, "prompt": PROMPT}), "w.json", prefer)
    assert (workflow.editor, workflow.prompt, workflow.warnings) == (editor, prompt, ())


@pytest.mark.parametrize(
    ("data", "prefer", "message"),
    [
        (PROMPT, "workflow", "w.json: holds no UI workflow; expected one, as asked for. Leave the choice out to run its API prompt."),
        (EDITOR, "prompt", "w.json: holds no API prompt; expected one, as asked for. Leave the choice out to run its UI workflow."),
    ],
)  # fmt: skip
def test_a_form_that_is_asked_for_and_absent_is_an_error(data: Any, prefer: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_workflow(json.dumps(data), "w.json", prefer)
    assert str(caught.value) == message


BAD_EDITOR = {"nodes": [7]}
BAD_PROMPT = {"7": 5}


def test_one_damaged_form_does_not_spoil_the_other() -> None:
    left = parse_workflow(json.dumps({"workflow": BAD_EDITOR, "prompt": PROMPT}), "w.json")
    assert (left.editor, left.prompt) == (None, PROMPT)
    assert left.warnings == ("the UI workflow is damaged and left out: node number 0: 7; expected an object.",)
    right = parse_workflow(json.dumps({"workflow": EDITOR, "prompt": BAD_PROMPT}), "w.json")
    assert (right.editor, right.prompt) == (EDITOR, None)
    fault = "node 7: 5; expected an object with class_type and inputs."
    assert right.warnings == (f"the API prompt is damaged and left out: {fault}",)
    with pytest.raises(WorkflowError) as caught:
        parse_workflow(json.dumps({"workflow": BAD_EDITOR, "prompt": BAD_PROMPT}), "w.json")
    assert str(caught.value) == f"w.json, node number 0: 7; expected an object.\nw.json, {fault}"
    with pytest.raises(WorkflowError, match="^w.json, node 7: 5"):
        parse_workflow(json.dumps({"workflow": EDITOR, "prompt": BAD_PROMPT}), "w.json", "prompt")


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
        ('{"nodes": [' + "1" * (MAX_DIGITS + 1) + "]}", f"w.json: a number of {MAX_DIGITS + 1} digits; expected a workflow as JSON."),
        ("null", f"w.json: neither a UI workflow nor an API prompt (None); {NEITHER}"),
        ('{"prompt": {}}', f"w.json: neither a UI workflow nor an API prompt ({{'prompt': {{}}}}); {NEITHER}"),
        ('{"workflow": {"nodes": 5}}', f"w.json: neither a UI workflow nor an API prompt ({{'workflow': {{'nodes': 5}}}}); {NEITHER}"),
        (json.dumps({"a": RECORD, "b": RECORD}), "w.json: a history of 2 prompts; expected one. Keep one record, or ask the server for /history/ID."),
        (json.dumps(PROMPT) + " x", "w.json: not JSON (Extra data, line 1, column 42); expected a workflow."),
        ("{\0}", "w.json: not JSON (Expecting property name enclosed in double quotes, line 1, column 2); expected a workflow."),
        ("[" * 100_000, f"w.json: nested more than {MAX_DEPTH} levels deep; expected a workflow."),
    ],
)  # fmt: skip
def test_what_is_no_workflow_gets_one_clear_error(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_workflow(text, "w.json")
    assert str(caught.value) == message


NODE = '{"class_type": "A", "inputs": {}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"7": {NODE}, "8": {NODE}, "7": {NODE}}}', "w.json: node '7' twice; expected every id once."),
        (f'{{"prompt": {{"7": {NODE}, "7": {NODE}}}}}', "w.json: node '7' twice; expected every id once."),
        ('{"7": {"class_type": "A", "inputs": {"x": 1, "x": 2}}}', "w.json: key 'x' twice in 7.inputs; expected every key once."),
        ('{"nodes": [{"id": 1, "id": 1, "type": "A"}]}', "w.json: key 'id' twice in nodes.0; expected every key once."),
        ('{"nodes": [], "nodes": []}', "w.json: key 'nodes' twice; expected every key once."),
        # The first repetition lies in an object that the second one drops.
        ('{"a": {"b": 1, "b": 2}, "a": 3}', "w.json: key 'a' twice; expected every key once."),
        ('{"x\\n": 1, "x\\n": 2}', "w.json: key 'x\\n' twice; expected every key once."),
    ],
)  # fmt: skip
def test_a_key_that_comes_twice_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_workflow(text, "w.json")
    assert str(caught.value) == message


def test_numbers_that_are_accepted_fit_a_float() -> None:
    workflow = parse_workflow('{"1": {"class_type": "A", "inputs": {"x": ' + "9" * MAX_DIGITS + ', "y": 1e999}}}', "w")
    assert workflow.prompt is not None
    assert math.isfinite(float(workflow.prompt["1"]["inputs"]["x"]))
    assert workflow.prompt["1"]["inputs"]["y"] == math.inf


@pytest.mark.parametrize("text", [r'"a\ud83d"', r'"a\ud83d\ud83d"', r'["\udc00"]', r'{"\ud83d": 1}', '"\ud83d"'])
def test_halves_of_characters_become_writable(text: str) -> None:
    workflow = parse_workflow('{"1": {"class_type": "A", "inputs": {"x": ' + text + "}}}", "w")
    assert "\ufffd" in json.dumps(workflow.prompt, ensure_ascii=False)
    assert json.dumps(workflow.prompt, ensure_ascii=False).encode("utf-8")


def test_whole_characters_stay_whatever_surrounds_them() -> None:
    text = json.dumps({"1": {"class_type": "A", "inputs": {"x": "\U0001f600 \\ud83d \u00e9\u0000"}}})
    assert "\\ud83d" in text
    assert parse_workflow(text, "w").prompt == json.loads(text)
    assert (
        parse_workflow(text[:-4] + '", "y": "\\ud83d"}}}', "w")
        .prompt["1"]["inputs"]["x"]
        .startswith("\U0001f600 \\ud83d")
    )  # type: ignore[index]


def test_a_message_is_one_line_whatever_the_file_is_called() -> None:
    with pytest.raises(WorkflowError) as caught:
        parse_workflow(json.dumps({"prompt": {"a\nerror: \x1b[2J": 5}}), "w.json")
    assert str(caught.value) == "w.json, node a\\nerror: \\x1b[2J: 5; expected an object with class_type and inputs."


def test_nearly_a_prompt_names_what_spoils_it() -> None:
    with pytest.raises(WorkflowError) as caught:
        parse({**PROMPT, "version": 0.4})
    assert str(caught.value) == "w.json, node version: 0.4; expected an object with class_type and inputs."


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}")])
def test_depth_is_bounded_exactly(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:  # the prompt, its node and its inputs are three levels
        inner = opening * (depth - 3) + "1" + closing * (depth - 3)
        return '{"1": {"class_type": "A", "inputs": {"x": ' + inner + "}}}"

    assert parse_workflow(nested(MAX_DEPTH), "w").prompt is not None
    for depth in (MAX_DEPTH + 1, 2_000, 200_000):
        with pytest.raises(InputError, match="^w: nested more than 200 levels deep; expected a workflow.$"):
            parse_workflow(nested(depth), "w")


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
    with pytest.raises(WorkflowError) as caught:
        parse({"nodes": [1] * 1000})
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1] == "and 900 more problems."


def test_files_are_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(PROMPT).encode())
    assert read_workflow(path).prompt == PROMPT
    path.write_bytes(b'{"1": "\xff"}')
    with pytest.raises(InputError) as caught:
        read_workflow(path)
    assert str(caught.value) == "w.json: byte 7 is not UTF-8; expected a JSON text file."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    content = ("" if encoding == "utf-16" else "\ufeff").encode(encoding) + json.dumps(PROMPT).encode(encoding)
    assert read_stream(io.BytesIO(content), "w.json").prompt == PROMPT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"{}", mtime=0), "w.json: compressed by gzip; expected a JSON text file. Unpack it first."),
        (b"\xff\xfe{", "w.json: byte 2 is not UTF-16-LE; expected a JSON text file."),
        (b"\x80", "w.json: byte 0 is not UTF-8; expected a JSON text file."),
        (b"{\0}\0", "w.json: not JSON (Expecting property name enclosed in double quotes, line 1, column 2); expected a workflow."),
        (b"", "w.json: empty file; expected a workflow as JSON."),
    ],
)  # fmt: skip
def test_wrong_encodings_get_one_clear_error(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_stream(io.BytesIO(content), "w.json")
    assert str(caught.value) == message


def test_huge_and_missing_files_are_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match=f"^huge.json: larger than {MAX_BYTES} bytes"):
        read_workflow(huge)
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
        read_workflow(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"cannot be read \(.+\); expected a workflow file\.$"):
        read_workflow(tmp_path)
    with pytest.raises(InputError, match=r"a\\x00b: cannot be read \(.+\); expected a workflow file\.$"):
        read_workflow(tmp_path / "a\0b")


class Failing(io.RawIOBase):
    """A stream that breaks off, as a network drive does."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise OSError(5, "Input/output error")


def test_a_stream_that_breaks_off_is_one_clear_error() -> None:
    with pytest.raises(InputError) as caught:
        read_stream(io.BufferedReader(Failing()), "standard input")
    assert str(caught.value) == "standard input: cannot be read (Input/output error); expected a workflow file."


@pytest.mark.parametrize(("asked", "targets"), [(["7"], ("7",)), ([], ()), (None, None), ([7], None), ("7", None)])
def test_a_request_may_ask_for_some_outputs_only(asked: Any, targets: Any) -> None:
    body = {"prompt": {"7": {"class_type": "X", "inputs": {}}}, "partial_execution_targets": asked}
    assert parse_workflow(json.dumps(body), "x").targets == targets
