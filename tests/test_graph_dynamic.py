"""Dynamic inputs: which ones a node has, the nested form, checks and runs."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.graph import Executor, NodeDefinition, to_prompt, validate_prompt
from llmseg.graph.dynamic import live_inputs, nest_arguments

IMAGES = ("COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": ["INT", {"max": 9}]}}, "prefix": "image",
                                             "min": 2, "max": 4}})  # fmt: skip
NAMED = (
    "COMFY_AUTOGROW_V3",
    {"template": {"input": {"optional": {"x": ("*",)}}, "names": ["left", "right"], "min": 0}},
)
KIND = (
    "COMFY_DYNAMICCOMBO_V3",
    {
        "options": [
            {"key": "by size", "inputs": {"required": {"width": ["INT", {"default": 3, "max": 9}], "height": ["INT", {}]}}},
            {"key": "by factor", "inputs": {"required": {"factor": ["FLOAT", {}]}, "optional": {"note": ["STRING", {}]}}},
            {"key": "inner", "inputs": {"required": {"sort": ("COMFY_DYNAMICCOMBO_V3", {"options": [
                {"key": "deep", "inputs": {"required": {"n": ["INT", {}]}}}]})}}},
        ]
    },
)  # fmt: skip
ROWS = ("COMFY_DYNAMICGROUP_V3", {"template": {"required": {"name": ["STRING", {}]}, "optional": {"n": ["INT", {}]}}})


class Many:
    RETURN_TYPES: tuple[str, ...] = ()
    FUNCTION = "execute"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"plain": ("INT", {}), "images": IMAGES, "kind": KIND}, "optional": {"sides": NAMED, "rows": ROWS}}  # fmt: skip

    def execute(self, **arguments: Any) -> Any:
        return {"ui": {"got": [arguments]}}


class Number:
    RETURN_TYPES = ("INT",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"n": ("INT", {})}}

    def execute(self, n: int) -> tuple[int]:
        return (n,)


CLASSES: dict[str, type] = {"Many": Many, "Number": Number}
DEFINITION = NodeDefinition.from_class("Many", Many)
SIZE = {"kind": "by size", "kind.width": 5, "kind.height": 7}


def check(**inputs: Any) -> Any:
    prompt = {
        "1": {"class_type": "Number", "inputs": {"n": 3}},
        "9": {"class_type": "Many", "inputs": {"plain": 1, **inputs}},
    }
    return validate_prompt(prompt, CLASSES)


def test_only_what_is_there_is_declared() -> None:
    inputs = {"plain": 1, "images.image2": 1, "images.image0": 2, **SIZE, "rows.1.name": "b", "sides.right": 1}
    assert [(spec.name, spec.required) for spec in live_inputs(DEFINITION, inputs)] == [
        *(("plain", True), ("images.image0", True), ("images.image2", False)),
        *(("kind", True), ("kind.width", True), ("kind.height", True)),
        *(("sides.right", False), ("rows.0.name", True), ("rows.0.n", False)),
        *(("rows.1.name", True), ("rows.1.n", False)),
    ]  # fmt: skip


def test_arguments_are_nested() -> None:
    flat = {"plain": 1, "images.image0": 2, "images.image3": 3, "kind": "inner", "kind.sort": "deep", "kind.sort.n": 4,
            "rows.0.name": "a", "rows.1.name": "b", "rows.1.n": 5, "undeclared": 6}  # fmt: skip
    assert nest_arguments(DEFINITION, flat) == {
        "plain": 1,
        "images": {"image0": 2, "image3": 3},
        "kind": {"kind": "inner", "sort": {"sort": "deep", "n": 4}},
        "rows": [{"name": "a"}, {"name": "b", "n": 5}],
        "undeclared": 6,
    }


def test_a_node_gets_them_nested_and_coerced() -> None:
    verdict = check(**{"images.image0": ["1", 0], "images.image1": "4", **SIZE, "sides.left": ["1", 0]})
    assert verdict.problems == ()
    result = Executor(CLASSES).run(verdict.prompt, verdict.outputs)
    assert result.ui["9"]["got"] == [
        {
            "plain": 1,
            "images": {"image0": 3, "image1": 4},
            "kind": {"kind": "by size", "width": 5, "height": 7},
            "sides": {"left": 3},
            "rows": [],
        }
    ]


@pytest.mark.parametrize(
    ("inputs", "faults"),
    [
        (SIZE, [("required_input_missing", "images.image0")]),
        ({"images.image0": 1}, [("required_input_missing", "kind")]),
        ({"images.image0": 1, "kind": "by size", "kind.width": 5}, [("required_input_missing", "kind.height")]),
        ({"images.image0": 1, "kind": "by shape"}, [("value_not_in_list", "kind")]),
        ({"images.image0": 10, **SIZE}, [("value_bigger_than_max", "images.image0")]),
        ({"images.image0": 1, **SIZE, "kind.width": "x"}, [("invalid_input_type", "kind.width")]),
        ({"images.image0": 1, **SIZE, "rows.0.n": 1}, [("required_input_missing", "rows.0.name")]),
        ({"images.image0": 1, "kind": "by factor", "kind.factor": ["1", 0]}, [("return_type_mismatch", "kind.factor")]),
    ],
)
def test_problems_are_told_with_the_dotted_name(inputs: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    assert [(problem.type, problem.input_name) for problem in check(**inputs).problems] == faults


def test_an_empty_group_counts_no_rows_in_the_prompt() -> None:
    node = {"id": 1, "type": "Many", "inputs": [], "widgets_values": [7, 4, 5, 6, "by factor", 0.5, "hi", 1, "row", 3]}
    definitions = {"Many": DEFINITION}
    assert to_prompt({"nodes": [node], "links": []}, definitions).prompt["1"]["inputs"] == {
        "plain": 7,
        **{"images.image0": 4, "images.image1": 5, "images.image2": 6},  # the least number, and a spare one
        "kind": "by factor",
        "kind.factor": 0.5,
        "kind.note": "hi",
        "rows.0.name": "row",
        "rows.0.n": 3,
    }
