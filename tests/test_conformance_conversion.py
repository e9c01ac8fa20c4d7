"""Conformance cases 11 to 19, through the command: virtual nodes, modes, subgraphs and the values they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import BYPASSED, INPUT_SIDE, MUTED, SIZES, Command, Link, drawn, node, subgraph


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def image(node_id: int = 1, mode: int = 0) -> dict[str, Any]:
    return node(node_id, "EmptyImage", [*SIZES.values(), 0], outputs="IMAGE", mode=mode)


def mask(node_id: int, mode: int = 0) -> dict[str, Any]:
    return node(node_id, "SolidMask", [0.5, 4, 3], outputs="MASK", mode=mode)


IMAGE = {"shape": [1, 3, 4, 3], "range": [0.0, 0.0]}
MASK = {"shape": [1, 3, 4], "range": [0.5, 0.5]}


# 11, 12: nodes that exist in the editor only ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0, MUTED, BYPASSED])
@pytest.mark.parametrize(("values", "expected"), [([7, "fixed"], 7), (None, 1)])
def test_case_11_primitive_node(command: Command, mode: int, values: list[Any] | None, expected: int) -> None:
    editor = drawn(
        node(1, "PrimitiveNode", values, outputs="INT", mode=mode),
        node(2, "ShowsMine", [5, 1], steps=(1, 0), widgets=["steps"]),
        node(3, "ShowsMine", [6, 2], steps=(1, 0), widgets=["steps"]),
    )
    both = {"2": {"my_seed": 5, "steps": expected}, "3": {"my_seed": 6, "steps": expected}}
    assert command.inputs(editor) == both
    assert command.run(editor).received == both


@pytest.mark.parametrize("fed", [True, False])
def test_case_12_reroute_chain(command: Command, fed: bool) -> None:
    inside = subgraph(
        "sub",
        "picture:*",
        {"*": (5, 0)},
        node(5, "Reroute", outputs="*", input=(INPUT_SIDE, 0)),
        node(6, "ShowsAny", value=(5, 0)),
    )
    editor = drawn(
        image(),
        node(2, "Reroute", outputs="*", input=(1, 0) if fed else None),
        node(3, "Reroute", outputs="*", input=(2, 0)),
        node(12, "sub", outputs="*", picture=(3, 0)),
        node(9, "ShowsAny", value=(12, 0)),
        subgraphs=[inside],
    )
    inputs = command.inputs(editor)
    link = {"value": ["1", 0]} if fed else {}
    assert {key: inputs[key] for key in ("9", "12:6")} == {"9": link, "12:6": link}
    assert set(inputs) == {"1", "9", "12:6"}
    received = {"value": IMAGE} if fed else {}
    assert command.run(editor).received == {"9": received, "12:6": received}


# 13 to 16: nodes that are switched off ---------------------------------------------------------------------------------


def test_case_13_mute_the_producer_of_an_optional_input(command: Command) -> None:
    editor = drawn(image(), mask(2, MUTED), node(3, "ShowsImage", image=(1, 0), mask=(2, 0)))
    assert command.inputs(editor)["3"] == {"image": ["1", 0]}
    outcome = command.run(editor)
    assert (outcome.code, outcome.executed, outcome.received) == (0, ["1", "3"], {"3": {"image": IMAGE}})


def test_case_13_mute_the_producer_of_a_required_input(command: Command) -> None:
    editor = drawn(image(1, MUTED), mask(2), node(3, "ShowsImage", image=(1, 0), mask=(2, 0)))
    assert command.inputs(editor)["3"] == {"mask": ["2", 0]}
    outcome = command.run(editor)
    assert (outcome.code, outcome.problems) == (2, [("3", "image", "required_input_missing")])
    assert outcome.err.endswith("error: workflow.json, node 3 (ShowsImage), input 'image': missing; expected IMAGE.\n")


def test_case_13_mute_the_producer_of_a_widget(command: Command) -> None:
    editor = drawn(
        node(1, "PrimitiveInt", [7, "fixed"], outputs="INT", mode=MUTED),
        node(2, "ShowsMine", [5, 6], steps=(1, 0), widgets=["steps"]),
    )
    assert command.inputs(editor) == {"2": {"my_seed": 5, "steps": 6}}
    assert command.run(editor).received == {"2": {"my_seed": 5, "steps": 6}}


def bypassed(*readers: dict[str, Any], model: Link | None = (1, 0)) -> dict[str, Any]:
    """Nodes that read from a bypassed node 4 with inputs MODEL, IMAGE, MASK and outputs IMAGE, MASK."""
    through = node(4, "HandsOn", mode=BYPASSED, outputs="IMAGE MASK", model=model, image=(2, 0), mask=(3, 0))
    return drawn(node(1, "Makes", ["the model"], outputs="MODEL"), image(2), mask(3), through, *readers)


def test_case_14_bypass_same_slot_by_type(command: Command) -> None:
    editor = bypassed(node(5, "ShowsImage", image=(4, 0), mask=(4, 1)))
    inputs = command.inputs(editor)
    assert inputs["5"] == {"image": ["2", 0], "mask": ["3", 0]}
    assert "4" not in inputs
    outcome = command.run(editor)
    assert outcome.received == {"5": {"image": IMAGE, "mask": MASK}}
    assert sorted(outcome.executed) == ["2", "3", "5"]


@pytest.mark.parametrize("slot", [0, 5])
def test_case_15_bypass_to_any(command: Command, slot: int) -> None:
    editor = bypassed(node(5, "PreviewAny", source=(4, slot)))
    assert command.inputs(editor)["5"] == {"source": ["1", 0]}
    outcome = command.run(editor)
    assert outcome.all("done")[0]["texts"] == ["the model"]
    assert outcome.executed == ["1", "5"]


@pytest.mark.parametrize("slot", [0, 5])
def test_case_15_bypass_to_any_without_a_second_try(command: Command, slot: int) -> None:
    editor = bypassed(node(5, "PreviewAny", source=(4, slot)), model=None)
    assert command.inputs(editor)["5"] == {}
    outcome = command.run(editor)
    assert (outcome.code, outcome.problems) == (2, [("5", "source", "required_input_missing")])


def test_case_15_bypass_by_type_without_a_second_try(command: Command) -> None:
    through = node(2, "TwoImages", mode=BYPASSED, outputs="IMAGE", first=None, second=(1, 0))
    editor = drawn(image(), through, node(3, "ShowsImage", image=(2, 0)))
    assert command.inputs(editor)["3"] == {}
    assert command.run(editor).problems == [("3", "image", "required_input_missing")]


@pytest.mark.parametrize("order", ["image:IMAGE mask:MASK strength:FLOAT", "mask:MASK strength:FLOAT image:IMAGE"])
def test_case_16_bypass_through_subgraph(command: Command, order: str) -> None:
    slot = [part.partition(":")[0] for part in order.split()].index("image")
    inner = node(5, "ImageInvert", outputs="IMAGE", image=(INPUT_SIDE, slot))
    editor = drawn(
        image(),
        mask(2),
        node(12, "sub", mode=BYPASSED, outputs="IMAGE", image=(1, 0), mask=(2, 0), strength=None),
        node(9, "ShowsImage", image=(12, 0)),
        subgraphs=[subgraph("sub", order, {"IMAGE": (5, 0)}, inner)],
    )
    inputs = command.inputs(editor)
    assert inputs["9"] == {"image": ["1", 0]}
    assert set(inputs) == {"1", "2", "9"}
    outcome = command.run(editor)
    assert (outcome.executed, outcome.received) == (["1", "9"], {"9": {"image": IMAGE}})


# 17 to 19: subgraphs and the values they hold --------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "text"), [(["host"], "host"), ([], "inner")])
@pytest.mark.parametrize("nested", [False, True])
def test_case_17_subgraph_ids_and_index_shift(command: Command, nested: bool, values: list[str], text: str) -> None:
    join = {"string_a": (INPUT_SIDE, 0), "string_b": (INPUT_SIDE, 1)}
    inner = node(
        5, "StringConcatenate", ["inner", "own", "-"], widgets=["string_a", "string_b"], outputs="STRING", **join
    )
    definitions = [subgraph("sub", "text:STRING picture:STRING", {"STRING": (5, 0)}, inner)]
    kind, path = "sub", "12:5"
    if nested:
        holder = node(3, "sub", widgets=["text"], outputs="STRING", text=(INPUT_SIDE, 0), picture=(INPUT_SIDE, 1))
        definitions.append(subgraph("outer", "text:STRING picture:STRING", {"STRING": (3, 0)}, holder))
        kind, path = "outer", "12:3:5"
    editor = drawn(
        node(1, "PrimitiveString", ["linked"], outputs="STRING"),
        node(12, kind, values, outputs="STRING", picture=(1, 0)),  # the definition has `text` before it
        node(9, "ShowsAny", value=(12, 0)),
        subgraphs=definitions,
    )
    inputs = command.inputs(editor)
    assert inputs[path] == {"string_a": text, "string_b": ["1", 0], "delimiter": "-"}
    assert inputs["9"] == {"value": [path, 0]}
    assert set(inputs) == {"1", "9", path}
    outcome = command.run(editor)
    assert outcome.received == {"9": {"value": f"{text}-linked"}}
    assert outcome.executed == ["1", path, "9"]


def promoted(entries: list[list[str]], values: list[Any], *, links: dict[str, dict[int, Link]]) -> dict[str, Any]:
    """Instance 12 of a definition with inputs (text, seed) and inner nodes 6 and 7, which store other values."""
    stored = {6: ["six", 66, "fixed"], 7: ["seven", 77, "fixed"]}
    inner = [
        node(
            key, "ShowsTexts", stored[key], widgets=list(links), **{n: by[key] for n, by in links.items() if key in by}
        )
        for key in (6, 7)
    ]
    return drawn(
        node(12, "sub", values, more={"properties": {"proxyWidgets": entries}}),
        subgraphs=[subgraph("sub", "text:STRING seed:INT", {}, *inner)],
    )


@pytest.mark.parametrize(("values", "text"), [(["hello", None], "hello"), (["hello"], "hello"), ([], "six")])
def test_case_18_proxy_widgets(command: Command, values: list[Any], text: str) -> None:
    links = {"text": {6: (INPUT_SIDE, 0), 7: (INPUT_SIDE, 0)}}
    editor = promoted([["-1", "text"], ["7", "seed"]], values, links=links)
    both = {"12:6": {"text": text, "seed": 66}, "12:7": {"text": text, "seed": 77}}
    assert command.inputs(editor) == both
    assert command.run(editor).received == both


@pytest.mark.parametrize("told_by", ["rows", "linkIds"])
def test_case_18_proxy_widgets_value_of_the_first_target(command: Command, told_by: str) -> None:
    """7.text leads the definition input: its value is that of all targets."""
    ends = {"text": {6: (INPUT_SIDE, 0), 7: (INPUT_SIDE, 0)}, "seed": {6: (INPUT_SIDE, 1)}}
    editor = promoted([["-1", "seed"], ["7", "text"]], [1, "x"], links=ends)
    definition = editor["definitions"]["subgraphs"][0]
    rows = sorted(definition["links"], key=lambda row: -row["target_id"])  # 7 before 6
    if told_by == "rows":
        definition["links"] = rows
    else:
        definition["inputs"][0]["linkIds"] = [row["id"] for row in rows if row["origin_slot"] == 0]
    both = {"12:6": {"text": "x", "seed": 1}, "12:7": {"text": "x", "seed": 77}}
    assert command.inputs(editor) == both
    assert command.run(editor).received == both


def test_case_18_proxy_widgets_value_of_a_later_target(command: Command) -> None:
    """6.text leads; the value at 7.text acts there only."""
    ends = {"text": {6: (INPUT_SIDE, 0), 7: (INPUT_SIDE, 0)}, "seed": {6: (INPUT_SIDE, 1)}}
    editor = promoted([["-1", "seed"], ["7", "text"]], [1, "x"], links=ends)
    both = {"12:6": {"text": "six", "seed": 1}, "12:7": {"text": "x", "seed": 77}}
    assert command.inputs(editor) == both
    assert command.run(editor).received == both


def test_case_19_fan_out_host_value(command: Command) -> None:
    inner = [
        node(key, "ShowsMine", [key, steps], steps=(INPUT_SIDE, 0), widgets=["steps"])
        for key, steps in ((5, 1), (6, 2))
    ]
    editor = drawn(
        node(12, "sub"),
        node(13, "sub", [30]),
        node(14, "sub", [40]),
        subgraphs=[subgraph("sub", "steps:INT", {}, *inner)],
    )
    steps = {key: values["steps"] for key, values in command.inputs(editor).items()}
    assert steps == {"12:5": 1, "12:6": 1, "13:5": 30, "13:6": 30, "14:5": 40, "14:6": 40}
    assert {key: values["steps"] for key, values in command.run(editor).received.items()} == steps
