"""From drawing to prompt: links, virtual nodes, modes, damaged tables, order, unsupported features."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from llmseg.errors import WorkflowError
from llmseg.graph import to_prompt
from llmseg.graph.definitions import InputSpec, NodeDefinition
from llmseg.graph.drawing.tokens import format_date

DEFINITIONS = {
    definition.class_type: definition
    for definition in (
        NodeDefinition("Load", (InputSpec("name", "STRING"),), {}, ("IMAGE", "MASK"), "Load it"),
        NodeDefinition(
            "Blur",
            (InputSpec("image", "IMAGE"), InputSpec("mask", "MASK", False), InputSpec("n", "INT")),
            {},
            ("IMAGE", "MASK"),
        ),
        NodeDefinition("Show", (InputSpec("source", "*"),), {}, (), "", True),
        NodeDefinition("SaveImage", (InputSpec("filename_prefix", "STRING"),), {}, (), "", True),
        NodeDefinition("Say", (InputSpec("text", "STRING", True, {"dynamicPrompts": True}),), {}, ("STRING",)),
        NodeDefinition("Pick", (InputSpec("several", "COMBO", True, {"options": ["a"]}),), {}, (), "", True),
    )
}


def node(
    node_id: Any, kind: str, links: dict[str, Any] | None = None, widgets: Any = (), **more: Any
) -> dict[str, Any]:
    inputs = [{"name": name, "type": "*", "link": link} for name, link in (links or {}).items()]
    saved = widgets if isinstance(widgets, dict) else list(widgets)
    return {"id": node_id, "type": kind, "inputs": inputs, "widgets_values": saved, **more}


def convert(nodes: list[Any], links: list[Any] = (), **more: Any) -> dict[str, Any]:  # type: ignore[assignment]
    prompt = to_prompt({"nodes": nodes, "links": list(links), **more}, DEFINITIONS).prompt
    return {key: record["inputs"] for key, record in prompt.items()}


LOAD = node(1, "Load", widgets=["cat"])


def test_links_widgets_and_titles() -> None:
    nodes = [LOAD, node(2, "Blur", {"image": 5}, [3], title="My blur"), node(3, "Show", {"source": 6})]
    prompt = to_prompt(
        {"nodes": nodes, "links": [[5, 1, 0, 2, 9, "IMAGE"], [6, 2, "1", 3, 0, "*"]]}, DEFINITIONS
    ).prompt
    assert prompt == {
        "1": {"class_type": "Load", "inputs": {"name": "cat"}, "_meta": {"title": "Load it"}},
        "2": {"class_type": "Blur", "inputs": {"n": 3, "image": ["1", 0]}, "_meta": {"title": "My blur"}},
        "3": {"class_type": "Show", "inputs": {"source": ["2", 1]}, "_meta": {"title": "Show"}},
    }


def test_link_objects_are_read_too_and_notes_vanish() -> None:
    link = {"id": 5, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "type": "IMAGE"}
    inputs = convert([LOAD, node(2, "Show", {"source": 5}), node(3, "Note", widgets=["hi"])], [link])
    assert inputs == {"1": {"name": "cat"}, "2": {"source": ["1", 0]}}


def test_reroute_chains_of_any_length_are_direct_links_and_circles_are_nothing() -> None:
    count = 3000
    chain = [node(10 + i, "Reroute", {"": 100 + i}) for i in range(count)]
    links = [[100, 1, 0, 10, 0, "*"]] + [[100 + i, 9 + i, 0, 10 + i, 0, "*"] for i in range(1, count)]
    end = [9, 9 + count, 0, 2, 0, "*"]
    assert convert([LOAD, *chain, node(2, "Show", {"source": 9})], [*links, end])["2"] == {"source": ["1", 0]}
    circle = [node(2, "Show", {"source": 1}), node(3, "Reroute", {"": 2}), node(4, "Reroute", {"": 3})]
    assert convert(circle, [[1, 3, 0, 2, 0, "*"], [2, 4, 0, 3, 0, "*"], [3, 3, 0, 4, 0, "*"]])["2"] == {}


@pytest.mark.parametrize("mode", [0, 2, 4])
def test_a_primitive_writes_into_widgets_in_every_mode(mode: int) -> None:
    nodes = [
        node(1, "PrimitiveNode", widgets=[7, "fixed"], mode=mode, outputs=[{"type": "INT", "links": [1, 2]}]),
        node(2, "Blur", {"n": 1}, [1]),
        node(3, "Blur", {"n": 2}, [2]),
    ]
    links = [[1, 1, 0, 2, 0, "INT"], [2, 1, 0, 3, 0, "INT"]]
    assert [inputs["n"] for inputs in convert(nodes, links).values()] == [7, 7]
    del nodes[0]["widgets_values"]
    assert [inputs["n"] for inputs in convert(nodes, links).values()] == [1, 1]


def test_a_muted_source_leaves_sockets_out_and_widgets_alone() -> None:
    nodes = [node(1, "Blur", mode=2), node(2, "Blur", {"image": 1, "n": 2}, [4])]
    assert convert(nodes, [[1, 1, 0, 2, 0, "IMAGE"], [2, 1, 0, 2, 1, "INT"]]) == {"2": {"n": 4}}


def test_a_bypassed_node_hands_on_its_input_or_nothing() -> None:
    nodes = [
        LOAD,
        node(2, "Blur", {"image": 1, "mask": None}, [3], mode=4),
        node(3, "Blur", {"image": 2, "mask": 3}, [5]),
    ]
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"], [3, 2, 1, 3, 1, "MASK"]]
    assert convert(nodes, links)["3"] == {"n": 5, "image": ["1", 0]}


def test_set_and_get_nodes_are_paired_by_name() -> None:
    nodes = [
        LOAD,
        node(2, "SetNode", {"IMAGE": 1}, ["pic"]),
        node(3, "GetNode", widgets=["pic"]),
        node(4, "Show", {"source": 2}),
    ]
    assert convert(nodes, [[1, 1, 0, 2, 0, "*"], [2, 3, 0, 4, 0, "*"]]) == {
        "1": {"name": "cat"},
        "4": {"source": ["1", 0]},
    }


def test_damaged_tables_unlink_with_a_warning_and_lost_rows_are_adopted() -> None:
    nodes = [LOAD, node(2, "Show", {"source": 99}), node(3, "Show", {"source": None}), node(4, "Show", {"source": 6})]
    links = [[5, 1, 0, 3, 0, "*"], [6, 77, 0, 4, 0, "*"], None]
    conversion = to_prompt({"nodes": nodes, "links": links}, DEFINITIONS)
    assert [conversion.prompt[key]["inputs"] for key in "234"] == [{}, {"source": ["1", 0]}, {}]
    assert conversion.warnings == ("node 2 (Show), input 'source': link '99' is missing; unlinked",)


def test_list_values_are_wrapped() -> None:
    assert convert([node(1, "Pick", widgets=[["a", 0]])]) == {"1": {"several": {"__value__": ["a", 0]}}}


def test_inputs_that_the_class_lacks_keep_their_links_unless_a_widget_held_them() -> None:
    extra = node(2, "Show", {"more": 1, "old": 2})
    extra["inputs"][1]["widget"] = {"name": "old"}
    assert convert([LOAD, extra], [[1, 1, 0, 2, 0, "*"], [2, 1, 1, 2, 1, "*"]])["2"] == {"more": ["1", 0]}


def test_unknown_classes_stay_where_an_output_needs_them_and_go_elsewhere() -> None:
    nodes = [node(1, "Lost"), node(2, "Show", {"source": 1}), node(3, "Decoration")]
    conversion = to_prompt({"nodes": nodes, "links": [[1, 1, 0, 2, 0, "*"]]}, DEFINITIONS)
    assert list(conversion.prompt) == ["1", "2"]
    assert conversion.warnings == ("node 3: unknown class 'Decoration'; no output needs it, left out",)


def test_duplicate_ids_the_first_wins() -> None:
    conversion = to_prompt({"nodes": [LOAD, node(1, "Load", widgets=["dog"])]}, DEFINITIONS)
    assert conversion.prompt["1"]["inputs"] == {"name": "cat"}
    assert conversion.warnings == ("node 1 (Load): the id is taken; ignored",)


def test_digit_ids_come_first_and_ascend() -> None:
    nodes = [node(key, "Load") for key in ("b", 10, 9, "a")]
    assert list(convert(nodes)) == ["9", "10", "b", "a"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "workflow>Mine",
            "node 1 (workflow>Mine): extra.groupNodes has no group 'Mine'; expected its nodes. "
            "Open the file where it was made, turn the group into nodes, and save it again.",
        ),
        (
            "Anything Everywhere3",
            "node 1 (Anything Everywhere3): its links exist only inside the editor; expected a node with links. "
            "Export the workflow in API form from ComfyUI.",
        ),
    ],
)
def test_what_is_not_supported_is_named(kind: str, message: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        convert([node(1, kind)])
    assert str(caught.value) == message


def test_dates_and_values_of_other_nodes_fill_file_prefixes() -> None:
    named = node(1, "Load", widgets=["a/b:c"], properties={"Node name for S&R": "Loader"})
    save = node(2, "SaveImage", widgets=["x/%Loader.name%_%Load it.name%_%width%_%date:yyyy%"])
    text = convert([named, save])["2"]["filename_prefix"]
    assert text.startswith("x/a_b_c_a_b_c_%width%_2")
    assert format_date("yyyy-MM-dd hh:mm:ss yy M d h", datetime(2026, 3, 4, 5, 6, 7)) == "2026-03-04 05:06:07 26 3 4 5"


def test_dynamic_prompts_lose_comments_and_take_one_alternative() -> None:
    assert convert([node(1, "Say", widgets=["a /* b */c \\{d\\} // e"])])["1"] == {"text": "a c {d} "}
    assert {convert([node(1, "Say", widgets=["{b|c}"])])["1"]["text"] for _ in range(64)} == {"b", "c"}
    drawing = {"nodes": [node(1, "Say", widgets=["{b|c} // d"])], "links": []}
    assert to_prompt(drawing, DEFINITIONS, pick=lambda n: n - 1).prompt["1"]["inputs"] == {"text": "c "}
    assert to_prompt(drawing, DEFINITIONS, pick=None).prompt["1"]["inputs"] == {"text": "{b|c} // d"}
