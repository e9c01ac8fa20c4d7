"""Node definitions: slots of `widgets_values`, order, both sources, malformed classes."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.graph.definitions import InputSpec, NodeDefinition, define_nodes


class Blend:
    RETURN_TYPES = ("IMAGE", ["a", "b"])
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"image": ("IMAGE",), "amount": ("FLOAT", {"default": 0.5}), "mode": (["add", "mean"],)},
            "optional": {"text": ("STRING", {"forceInput": True}), "note": ("STRING",)},
            "hidden": {"me": "UNIQUE_ID", "pnginfo": ("EXTRA_PNGINFO",)},
        }


def slots(name: str, declared: Any, **options: Any) -> list[str]:
    return [slot.kind for slot in InputSpec(name, declared, True, options).slots()]


def test_a_v1_class_gives_its_inputs_in_order_with_their_widgets() -> None:
    definition = NodeDefinition.from_class("Blend", Blend)
    assert [(spec.name, spec.type, spec.required, spec.owns_widget) for spec in definition.inputs] == [
        ("image", "IMAGE", True, False),
        ("amount", "FLOAT", True, True),
        ("mode", "COMBO", True, True),
        ("text", "STRING", False, False),
        ("note", "STRING", False, True),
    ]
    assert definition.hidden == {"me": "UNIQUE_ID", "pnginfo": "EXTRA_PNGINFO"}
    assert definition.output_types == ("IMAGE", ["a", "b"])
    assert definition.output_node
    assert define_nodes({"Blend": Blend})["Blend"] == definition


def test_an_object_info_record_is_read_in_its_input_order_and_unlisted_names_come_last() -> None:
    record = {
        "input": {"required": {"b": ["INT", {}], "late": ["INT"], "a": [["x"], {}]}},
        "input_order": {"required": ["a", "b"]},
        "output": ["MASK"],
        "display_name": "Nice name",
        "output_node": False,
    }
    definition = NodeDefinition.from_object_info("N", record)
    assert [spec.name for spec in definition.inputs] == ["a", "b", "late"]
    assert (definition.display_name, definition.output_types, definition.output_node) == ("Nice name", ("MASK",), False)


@pytest.mark.parametrize(
    ("name", "declared", "options", "kinds"),
    [
        ("text", "STRING", {}, ["value"]),
        ("seed", "INT", {}, ["value", "control"]),
        ("noise_seed", "INT", {"control_after_generate": None}, ["value", "control"]),
        ("seed", "INT", {"control_after_generate": False}, ["value"]),
        ("my_seed", "INT", {}, ["value"]),
        ("seed", "FLOAT", {}, ["value"]),
        ("steps", "INT", {"control_after_generate": "fixed"}, ["value", "control"]),
        ("mode", ["a"], {"control_after_generate": True}, ["value", "control", "filter"]),
        ("mode", "COMBO", {"control_after_generate": True, "multi_select": True}, ["value", "control"]),
        ("box", "BOUNDING_BOX", {}, ["value", "mirror", "mirror", "mirror", "mirror"]),
    ],
)
def test_slots_of_one_widget(name: str, declared: Any, options: dict[str, Any], kinds: list[str]) -> None:
    assert slots(name, declared, **options) == kinds


def test_only_the_first_required_combo_with_an_upload_flag_gives_an_upload_slot() -> None:
    flag = {"image_upload": True}
    required = NodeDefinition("A", (InputSpec("image", ["x"], True, flag),))
    optional = NodeDefinition("B", (InputSpec("image", ["x"], False, flag),))
    assert required.upload_slot is not None
    assert optional.upload_slot is None


def test_a_dynamic_combo_shows_the_children_of_its_choice() -> None:
    options = [{"key": "by", "inputs": {"required": {"factor": ["FLOAT", {"default": 2.0}]}}}, {"key": "off"}]
    definition = NodeDefinition("N", (InputSpec("kind", "COMFY_DYNAMICCOMBO_V3", True, {"options": options}),))
    assert [spec.name for spec in definition.shown_inputs({})] == ["kind", "kind.factor"]
    assert [spec.name for spec in definition.shown_inputs({"kind": "off"})] == ["kind"]


def test_defaults_without_a_default() -> None:
    declared: list[tuple[Any, Any]] = [("INT", 0), ("BOOLEAN", False), ("STRING", ""), (["p", "q"], "p"), ([], None)]
    assert [InputSpec("x", kind).default for kind, _ in declared] == [value for _, value in declared]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (7, "class 'Odd': inputs are 7; expected a dictionary of groups."),
        ({"required": [1]}, "class 'Odd': 'required' is [1]; expected a dictionary of inputs."),
        (
            {"required": {"x": "INT"}},
            "class 'Odd', input 'x': 'INT'; expected (type,) or (type, options).",
        ),
    ],
)
def test_a_malformed_class_is_named(groups: Any, message: str) -> None:
    odd = type("Odd", (), {"INPUT_TYPES": classmethod(lambda cls: groups)})
    with pytest.raises(InputError) as caught:
        NodeDefinition.from_class("Odd", odd)
    assert str(caught.value) == message


@pytest.mark.parametrize("template", [5, {"input": 5}, {"input": {"required": 5}}, {"names": 5, "min": "x", "max": 2}])
def test_sloppy_templates_of_growing_inputs_are_read_as_far_as_they_go(template: Any) -> None:
    members = InputSpec("x", "COMFY_AUTOGROW_V3", True, {"template": template}).members()
    assert all(member.type == "*" and not member.required for member in members)
    assert len(members) <= 1000


def test_choices_that_are_no_list_are_none() -> None:
    spec = InputSpec("x", "COMBO", True, {"options": 5})
    assert (spec.choices, spec.default) == ([], None)
