"""Positional widget values: control, filter and upload slots, old files, names, defaults."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.graph.definitions import InputSpec, NodeDefinition
from llmseg.graph.drawing.widgets import read_widgets

SAMPLER = NodeDefinition(
    "N",
    (
        InputSpec("model", "MODEL"),
        InputSpec("seed", "INT"),
        InputSpec("steps", "INT", True, {"default": 20}),
        InputSpec("mode", ["slow", "fast"], False),
    ),
)


def read(definition: NodeDefinition, saved: Any, named: Any = None) -> dict[str, Any]:
    return read_widgets(definition, saved, named)[0]


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ([5, "randomize", 9, "fast"], (5, 9, "fast")),
        ([5, True, 9, "fast"], (5, 9, "fast")),
        ([5, 9, "fast"], (5, 9, "fast")),  # saved without the control slot
        ([5, "fixed"], (5, 20, "slow")),  # the rest are defaults
        ([], (0, 20, "slow")),
        (None, (0, 20, "slow")),
        ([5, "fixed", 9, "fast", "left", "over"], (5, 9, "fast")),
        ([5, "fixed", "9", None], (5, "9", "slow")),  # no conversion; null in a combo is its first choice
        ({"steps": 3, "unknown": 1}, (0, 3, "slow")),
    ],
)
def test_values_find_their_inputs(saved: Any, expected: tuple[Any, ...]) -> None:
    assert tuple(read(SAMPLER, saved).values()) == expected


def test_a_missing_control_slot_is_worth_a_warning() -> None:
    warning = "widgets_values hold 9 where a control word was expected; read as saved without it"
    assert read_widgets(SAMPLER, [5, 9, "fast"], None)[1] == warning
    assert read_widgets(SAMPLER, [5, "fixed", 9, "fast"], None)[1] == ""


def test_names_count_only_where_the_lengths_differ() -> None:
    named = {"seed": 70, "steps": 80, "control_after_generate": "fixed"}
    assert read(SAMPLER, [5, "fixed", 9, "fast"], named)["seed"] == 5
    assert read(SAMPLER, [5, "fixed", 9], named) == {"seed": 70, "steps": 80, "mode": "slow"}


def test_a_combo_with_control_owns_a_filter_slot_too() -> None:
    flag = {"control_after_generate": True}
    definition = NodeDefinition("N", (InputSpec("pick", ["a", "b"], True, flag), InputSpec("n", "INT")))
    assert read(definition, ["b", "fixed", "", 7]) == {"pick": "b", "n": 7}


def test_the_upload_slot_is_the_last_one() -> None:
    image = InputSpec("image", ["x.png"], True, {"image_upload": True})
    definition = NodeDefinition("LoadImageMask", (image, InputSpec("channel", ["alpha", "red"])))
    assert read(definition, ["a.png", "red", "image"]) == {"image": "a.png", "channel": "red"}


def test_dummies_of_forced_inputs_in_old_files_are_cut_out() -> None:
    forced = InputSpec("text", "STRING", True, {"forceInput": True})
    definition = NodeDefinition("N", (InputSpec("a", "INT"), forced, InputSpec("b", "INT")))
    assert read(definition, [1, "dummy", 2]) == {"a": 1, "b": 2}
    assert read(definition, [1, 2]) == {"a": 1, "b": 2}


def test_children_of_a_dynamic_combo_stand_behind_it() -> None:
    options = [
        {"key": "size", "inputs": {"required": {"w": ["INT", {}], "h": ["INT", {}]}}},
        {"key": "factor", "inputs": {"required": {"f": ["FLOAT", {}]}}},
    ]
    kind = InputSpec("kind", "COMFY_DYNAMICCOMBO_V3", True, {"options": options})
    definition = NodeDefinition("N", (kind, InputSpec("method", ["area"])))
    assert read(definition, ["size", 3, 4, "area"]) == {"kind": "size", "kind.w": 3, "kind.h": 4, "method": "area"}
    assert read(definition, ["factor", 0.5, "area"]) == {"kind": "factor", "kind.f": 0.5, "method": "area"}


def test_old_sampler_names_lose_their_prefix_in_samplers_only() -> None:
    inputs = (InputSpec("sampler_name", "STRING"),)
    assert read(NodeDefinition("KSampler", inputs), ["sample_euler"]) == {"sampler_name": "euler"}
    assert read(NodeDefinition("Other", inputs), ["sample_euler"]) == {"sampler_name": "sample_euler"}


def test_a_dynamic_group_shows_as_many_rows_as_it_says() -> None:
    template = {"required": {"name": ("STRING", {"default": "x"})}, "optional": {"n": ("INT", {})}}
    definition = NodeDefinition("N", (InputSpec("rows", "COMFY_DYNAMICGROUP_V3", True, {"template": template}),
                                      InputSpec("last", "INT")))  # fmt: skip
    values, _ = read_widgets(definition, [2, "a", 1, "b", 2, 7], None)
    assert values == {"rows": 2, "rows.0.name": "a", "rows.0.n": 1, "rows.1.name": "b", "rows.1.n": 2, "last": 7}
    assert read_widgets(definition, [], None)[0] == {"rows": 0, "last": 0}
    assert len(read_widgets(definition, [10**9], None)[0]) == 2002
