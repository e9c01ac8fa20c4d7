"""Conformance cases 20 to 23, through the command: validation, lists, laziness, expansion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import SIZES, Command, call, drawn, node

EMPTY = call("EmptyImage", color=255, **SIZES)
NOWHERE = call("NowhereToBeFound")


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


# 20, 21: validation ----------------------------------------------------------------------------------------------------


def test_case_20_validation_partial(command: Command) -> None:
    prompt = {
        "1": EMPTY,
        "2": call("SaveImage", images=["1", 0], filename_prefix="good"),
        "3": call("ImageInvert"),
        "4": call("SaveImage", images=["3", 0], filename_prefix="bad"),
        "5": call("PreviewImage", images=["3", 0]),
        "6": call("SaveImage", filename_prefix="worse"),
    }
    outcome = command.run(prompt)
    assert outcome.code == 3
    assert command.files() == ["good_00001_.png"]
    assert outcome.executed == ["1", "2"]
    missing = {"event": "problem", "source": "workflow.json", "type": "required_input_missing"}
    assert outcome.all("problem") == [
        {
            **missing,
            "node": "3",
            "class_type": "ImageInvert",
            "input": "image",
            "message": "node 3 (ImageInvert), input 'image': missing; expected IMAGE.",
            "dependent_outputs": ["4", "5"],
        },
        {
            **missing,
            "node": "6",
            "class_type": "SaveImage",
            "input": "images",
            "message": "node 6 (SaveImage), input 'images': missing; expected IMAGE.",
            "dependent_outputs": ["6"],
        },
    ]
    assert [line.partition(":")[0] for line in outcome.err.splitlines()] == ["error"] * 2


@pytest.mark.parametrize(
    ("source", "problems"),
    [
        (call("SolidMask", value=0.5, width=4, height=3), []),
        (EMPTY, []),
        (call("PrimitiveInt", value=3), [("2", "value", "return_type_mismatch")]),
    ],
)
def test_case_21_types_of_links(command: Command, source: Any, problems: list[Any]) -> None:
    outcome = command.run({"1": source, "2": call("ShowsEither", value=["1", 0])})
    assert (outcome.code, outcome.problems) == (2 if problems else 0, problems)


@pytest.mark.parametrize(
    ("shower", "problems"),
    [
        (call("ShowsNumber", number="7"), []),
        (call("ShowsNumber", number="x"), [("1", "number", "invalid_input_type")]),
        (call("ShowsNumber", number=10), [("1", "number", "value_bigger_than_max")]),
        (call("ShowsNumber", number=-1), [("1", "number", "value_smaller_than_min")]),
        (call("ChecksNumber", number=10, other=9), []),
        (call("ChecksNumber", number=-1, other=10), [("1", "other", "value_bigger_than_max")]),
        (call("ChecksNumber", number=13, other=9), [("1", "number", "custom_validation_failed")]),
        (call("ChecksNumber", number="x", other=9), [("1", "number", "invalid_input_type")]),
    ],
)
def test_case_21_types_and_coercion(command: Command, shower: Any, problems: list[Any]) -> None:
    outcome = command.run({"1": shower})
    assert (outcome.code, outcome.problems) == (2 if problems else 0, problems)
    if not problems:
        assert outcome.received == {"1": {name: int(value) for name, value in shower["inputs"].items()}}


@pytest.mark.parametrize("form", ["prompt", "workflow"])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("upstream", [False, True])
def test_case_21_unknown_class(command: Command, form: str, strict: bool, upstream: bool) -> None:
    prompt = {"1": NOWHERE, "2": call("ShowsAny", **({"value": ["1", 0]} if upstream else {}))}
    link = {"value": (1, 0)} if upstream else {}
    editor = drawn(node(1, "NowhereToBeFound", outputs="IMAGE"), node(2, "ShowsAny", **link))
    outcome = command.run({"prompt": prompt, "workflow": editor}[form], *(["--strict"] if strict else []))
    warnings = [one["message"] for one in outcome.all("warning")]
    if upstream or strict:
        assert (outcome.code, outcome.problems, outcome.executed) == (2, [("1", "", "missing_node_type")], [])
        assert "unknown class 'NowhereToBeFound'" in outcome.err
        assert warnings == []
    else:
        assert (outcome.code, outcome.problems, outcome.executed) == (0, [], ["2"])
        assert len(warnings) == 1
        assert "unknown class 'NowhereToBeFound'" in warnings[0]


# 22, 23: how nodes are called ------------------------------------------------------------------------------------------


def test_case_22_lists(command: Command) -> None:
    prompt = {
        "1": call("MakesList", word="a", count=3),
        "2": call("MakesList", word="b", count=2),
        "3": call("ShowsAny", value=["1", 0], other=["2", 0]),
        "4": call("ShowsLists", value=["1", 0], number=4),
    }
    outcome = command.run(prompt)
    calls = [values for node_id, values in outcome.calls if node_id == "3"]
    assert calls == [
        {"value": "a0", "other": "b0"},
        {"value": "a1", "other": "b1"},
        {"value": "a2", "other": "b1"},
    ]
    whole = [values for node_id, values in outcome.calls if node_id == "4"]
    assert whole == [{"value": ["a0", "a1", "a2"], "number": [4]}]


@pytest.mark.parametrize("taken", ["on_false", "on_true"])
@pytest.mark.parametrize("failing", ["on_false", "on_true"])
def test_case_23_lazy_switch(command: Command, taken: str, failing: str) -> None:
    branches = {"on_false": ["1", 0], "on_true": ["1", 0], failing: ["2", 0]}
    prompt = {
        "1": call("PrimitiveString", value="fine"),
        "2": call("Fails"),
        "3": call("ComfySwitchNode", switch=taken == "on_true", **branches),
        "4": call("ShowsAny", value=["3", 0]),
    }
    outcome = command.run(prompt)
    touched = {event["node"] for event in outcome.events if "node" in event}
    if taken == failing:
        assert (outcome.code, touched) == (1, {"2"})
        assert outcome.err == "error: workflow.json, node 2 (Fails): ValueError: this node fails\n"
    else:
        assert (outcome.code, touched) == (0, {"1", "3", "4"})
        assert outcome.received == {"4": {"value": "fine"}}


def test_case_23_expansion(command: Command) -> None:
    prompt = {"5": call("Expands", value="outer"), "9": call("ShowsAny", value=["5", 0])}
    outcome = command.run(prompt)
    assert outcome.code == 0
    shown = outcome.received
    assert shown.pop("9") == {"value": "outer-inner"}
    assert list(shown.values()) == [{"value": "outer-inner"}]  # the inner node that shows ran too
    inner = [event for event in outcome.all("finished") if event["class_type"] in ("StringConcatenate", "ShowsAny")]
    owners = {event["node"]: event.get("display_node") for event in inner}
    assert owners.pop("9") is None
    assert set(owners.values()) == {"5"}
    assert all(node_id.startswith("5.") for node_id in owners)
    assert len(owners) == 2
