"""Tests of `nodes/core/values`: values that pass unchanged, and a switch that runs one side only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from llmseg.graph import Executor, NodeDefinition, validate_prompt
from llmseg.graph.drawing.widgets import read_widgets

Prompt = dict[str, Any]
KEYS = ["PrimitiveBoolean", "PrimitiveFloat", "PrimitiveInt", "PrimitiveString", "PrimitiveStringMultiline"]


class Several:
    """A list of items, as one output."""

    RETURN_TYPES = ("*",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "execute"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"items": ("*",)}}

    def execute(self, items: list[Any]) -> tuple[list[Any]]:
        return (items,)


def string(value: str) -> Prompt:
    return {"class_type": "PrimitiveString", "inputs": {"value": value}}


def shown(source: str) -> Prompt:
    return {"class_type": "PreviewAny", "inputs": {"source": [source, 0]}}


def switch(switch: Any, on_false: Any, on_true: Any) -> Prompt:
    return {"class_type": "ComfySwitchNode", "inputs": {"switch": switch, "on_false": on_false, "on_true": on_true}}


def registry(nodes: Any) -> Mapping[str, type]:
    return {**nodes("core").CORE_NODES, "Several": Several}


def run(nodes: Any, prompt: Prompt) -> tuple[Any, list[str]]:
    """What the node called `end` shows, and the nodes that ran, by name."""
    verdict = validate_prompt(prompt, registry(nodes))
    assert verdict.problems == ()
    result = Executor(registry(nodes)).run(verdict.prompt, verdict.outputs)
    assert result.error is None
    assert result.ui is not None
    return result.ui["end"]["text"], sorted(result.executed)


def problems(nodes: Any, prompt: Prompt) -> list[tuple[str, str]]:
    found = validate_prompt(prompt, registry(nodes)).problems
    return [(problem.input_name, problem.type) for problem in found]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("PrimitiveBoolean", True, "True"),
        ("PrimitiveBoolean", "", "False"),
        ("PrimitiveFloat", 3, "3.0"),
        ("PrimitiveFloat", -1.5e300, None),
        ("PrimitiveFloat", float("nan"), None),
        ("PrimitiveInt", 2**63 - 1, "9223372036854775807"),
        ("PrimitiveInt", 1 - 2**63, "-9223372036854775807"),
        ("PrimitiveInt", 2**63, None),
        ("PrimitiveInt", -(2**63), None),
        ("PrimitiveInt", 2.9, "2"),
        ("PrimitiveString", "", ""),
        ("PrimitiveString", 7, "7"),
        ("PrimitiveString", "a\r\n\ud800é", "a\r\n\ud800é"),
        ("PrimitiveStringMultiline", " a\n ", " a\n "),
    ],
)
def test_a_value_passes_unchanged_within_its_limits(nodes: Any, key: str, value: Any, text: str | None) -> None:
    prompt = {"start": {"class_type": key, "inputs": {"value": value}}, "end": shown("start")}
    if text is None:
        assert [name for name, _ in problems(nodes, prompt)] == ["value"]
    else:
        assert run(nodes, prompt) == ([text], ["end", "start"])


@pytest.mark.parametrize("key", KEYS)
def test_a_value_is_the_same_object(nodes: Any, key: str) -> None:
    value = object()
    assert nodes("core").CORE_NODES[key]().execute(value)[0] is value


def test_a_number_has_a_control_slot_in_saved_files(nodes: Any) -> None:
    definition = NodeDefinition.from_class("PrimitiveInt", registry(nodes)["PrimitiveInt"])
    assert read_widgets(definition, [5, "randomize"], None) == ({"value": 5}, "")


@pytest.mark.parametrize("chosen", [False, True])
def test_only_the_chosen_side_runs(nodes: Any, chosen: bool) -> None:
    broken = {"class_type": "RegexReplace", "inputs": {"string": "", "regex_pattern": "(", "replace": ""}}
    sides = [["bad", 0], ["good", 0]] if chosen else [["good", 0], ["bad", 0]]
    prompt = {"good": string("yes"), "bad": broken, "switch": switch(chosen, *sides), "end": shown("switch")}
    assert run(nodes, prompt) == (["yes"], ["end", "good", "switch"])


def test_a_switch_may_be_turned_by_a_node_and_stand_behind_another(nodes: Any) -> None:
    inside = {"string": ["text", 0], "substring": "B", "case_sensitive": False}
    prompt = {
        "text": string("abc"),
        "asks": {"class_type": "StringContains", "inputs": inside},
        "inner": switch(["asks", 0], ["unused", 0], ["text", 0]),
        "outer": switch(False, ["inner", 0], ["unused", 0]),
        "unused": string("no"),
        "end": shown("outer"),
    }
    assert run(nodes, prompt) == (["abc"], ["asks", "end", "inner", "outer", "text"])


def test_a_chosen_side_without_a_value_runs_once(nodes: Any) -> None:
    options = {"case_insensitive": False, "multiline": False, "dotall": False, "group_index": 1}
    inputs = {"string": "b", "regex_pattern": "(a)?b", "mode": "First Group", **options}
    nothing = {"class_type": "RegexExtract", "inputs": inputs}
    prompt = {
        "none": nothing,
        "unused": string("no"),
        "switch": switch(True, ["unused", 0], ["none", 0]),
        "end": shown("switch"),
    }
    assert run(nodes, prompt) == (["None"], ["end", "none", "switch"])


def test_a_list_of_choices_runs_both_sides(nodes: Any) -> None:
    prompt = {
        "list": {"class_type": "Several", "inputs": {"items": {"__value__": [True, False, True]}}},
        "no": string("no"),
        "yes": string("yes"),
        "switch": switch(["list", 0], ["no", 0], ["yes", 0]),
        "end": shown("switch"),
    }
    assert run(nodes, prompt) == (["yes", "no", "yes"], ["end", "list", "no", "switch", "yes"])


def test_constants_may_stand_at_both_sides(nodes: Any) -> None:
    prompt = {"switch": switch(True, 1, 2.5), "end": shown("switch")}
    assert run(nodes, prompt) == (["2.5"], ["end", "switch"])


@pytest.mark.parametrize("missing", ["switch", "on_false", "on_true"])
def test_both_sides_must_be_linked(nodes: Any, missing: str) -> None:
    prompt = {"a": string("a"), "switch": switch(True, ["a", 0], ["a", 0]), "end": shown("switch")}
    del prompt["switch"]["inputs"][missing]
    assert problems(nodes, prompt) == [(missing, "required_input_missing")]


@pytest.mark.parametrize("choice", ["b", "never listed", "", 5])
def test_a_custom_combo_takes_any_choice(nodes: Any, choice: Any) -> None:
    prompt = {"combo": {"class_type": "CustomCombo", "inputs": {"choice": choice}}, "end": shown("combo")}
    assert run(nodes, prompt) == ([str(choice)], ["combo", "end"])


def test_a_custom_combo_reads_its_choice_from_before_its_options(nodes: Any) -> None:
    definition = NodeDefinition.from_class("CustomCombo", registry(nodes)["CustomCombo"])
    assert read_widgets(definition, ["b", "a", "b", ""], None) == ({"choice": "b"}, "")
