"""Subgraph instances: ids, host values by the four rules, sharing, nesting, hostile definitions."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.errors import WorkflowError
from llmseg.graph import to_prompt
from llmseg.graph.definitions import InputSpec, NodeDefinition

ADD_INPUTS = (InputSpec("image", "IMAGE", False), InputSpec("n", "INT"), InputSpec("m", "INT"))
DEFINITIONS = {
    definition.class_type: definition
    for definition in (
        NodeDefinition("Load", (), {}, ("IMAGE",)),
        NodeDefinition("Add", ADD_INPUTS, {}, ("IMAGE",)),
        NodeDefinition("Show", (InputSpec("source", "*"),), {}, (), "", True),
    )
}


def add(node_id: int, image: Any, n: Any, values: list[int]) -> dict[str, Any]:
    inputs = [{"name": "image", "link": image}, {"name": "n", "link": n, "widget": {"name": "n"}}]
    return {"id": node_id, "type": "Add", "inputs": inputs, "widgets_values": values}


def definition(key: str = "sub", inner: str = "") -> dict[str, Any]:
    """Inputs (n, image): n feeds two Adds that store 1 and 2; they are chained; the output is the second."""
    nodes = [add(5, 2, 1, [1, 10]), add(6, 4, 3, [2, 20])]
    if inner:
        holder = [{"name": "image", "link": 2}, {"name": "n", "link": 1, "widget": {"name": "n"}}]
        nodes = [{"id": 3, "type": inner, "inputs": holder}]
    rows = [(1, -10, 0, 5, 1), (2, -10, 1, 5, 0), (3, -10, 0, 6, 1), (4, 5, 0, 6, 0), (5, 6, 0, -20, 0)]
    if inner:
        rows = [(1, -10, 0, 3, 1), (2, -10, 1, 3, 0), (5, 3, 0, -20, 0)]
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    return {
        "id": key,
        "name": key,
        "nodes": nodes,
        "links": [dict(zip(names, row, strict=True)) for row in rows],
        "inputs": [{"name": "n", "type": "INT"}, {"name": "image", "type": "IMAGE"}],
        "outputs": [{"name": "out", "type": "IMAGE"}],
    }


def instance(node_id: int = 12, image: Any = 1, kind: str = "sub", **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "inputs": [{"name": "image", "link": image}], **more}


def convert(*nodes: dict[str, Any], definitions: Any = None) -> dict[str, Any]:
    everything = [{"id": 1, "type": "Load"}, {"id": 9, "type": "Show", "inputs": [{"name": "source", "link": 2}]}]
    editor = {
        "nodes": [*everything, *nodes],
        "links": [[1, 1, 0, 12, 0, "IMAGE"], [2, 12, 0, 9, 0, "*"]],
        "definitions": {"subgraphs": definitions or [definition()]},
    }
    return {key: record["inputs"] for key, record in to_prompt(editor, DEFINITIONS).prompt.items()}


def host(**more: Any) -> tuple[int, int]:
    prompt = convert(instance(**more))
    return prompt["12:5"]["n"], prompt["12:6"]["n"]


def test_instances_expand_under_path_ids_with_inputs_matched_by_name() -> None:
    prompt = convert(instance(widgets_values=[7]))
    assert prompt["12:5"] == {"n": 7, "m": 10, "image": ["1", 0]}
    assert prompt["12:6"] == {"n": 7, "m": 20, "image": ["12:5", 0]}
    assert prompt["9"] == {"source": ["12:6", 0]}
    assert list(prompt) == ["1", "9", "12:5", "12:6"]


def test_host_values_by_precedence() -> None:
    quarantine = [{"originalEntry": ["-1", "n"], "hostValue": 55}]
    assert host() == (1, 1)  # the first inner widget, for all targets
    assert host(widgets_values=[7]) == (7, 7)  # rank
    assert host(widgets_values=[None]) == (1, 1)  # a hole is no value
    assert host(widgets_values=[7], properties={"proxyWidgets": [["-1", "n"]]}) == (7, 7)
    assert host(widgets_values=[3, 7], properties={"proxyWidgets": [["5", "m"], ["-1", "n"]]}) == (7, 7)
    assert host(widgets_values=[7], properties={"proxyWidgets": '[["-1", "n"]]'}) == (7, 7)
    assert host(widgets_values=[7], properties={"proxyWidgetErrorQuarantine": quarantine}) == (55, 55)
    assert host(widgets_values=[7], properties={"proxyWidgets": []}) == (7, 7)
    assert host(properties={"proxyWidgets": "[" * 100_000}) == host()  # a text that no parser can hold


def test_a_value_at_the_entry_of_an_inner_widget() -> None:
    assert host(widgets_values=[8], properties={"proxyWidgets": [["5", "n"]]}) == (8, 8)  # the leader: for all
    assert host(widgets_values=[8], properties={"proxyWidgets": [["6", "n"]]}) == (1, 8)  # a follower: cut off
    assert host(properties={"proxyWidgets": [["6", "n"]]}) == (1, 2)
    prompt = convert(instance(widgets_values=[3], properties={"proxyWidgets": [["5", "5: m"]]}))
    assert (prompt["12:5"]["m"], prompt["12:6"]["m"]) == (3, 20)


def test_two_instances_of_one_definition_are_independent() -> None:
    prompt = convert(instance(widgets_values=[7]), instance(13, None, widgets_values=[8]))
    assert [prompt[key]["n"] for key in ("12:5", "12:6", "13:5", "13:6")] == [7, 7, 8, 8]
    assert "image" not in prompt["13:5"]


def test_nested_instances() -> None:
    nested = [definition("outer", inner="sub"), definition()]
    prompt = convert(instance(kind="outer", widgets_values=[7]), definitions=nested)
    assert prompt["12:3:5"] == {"n": 7, "m": 10, "image": ["1", 0]}
    assert prompt["9"] == {"source": ["12:3:6", 0]}
    assert convert(instance(kind="outer"), definitions=nested)["12:3:6"]["n"] == 1


def test_a_bypassed_instance_hands_on_and_a_muted_one_does_not() -> None:
    # The consumer asks for any type, so the first definition input counts, which is not linked.
    assert convert(instance(mode=4)) == {"1": {}, "9": {}}
    turned = definition()
    turned["inputs"].reverse()
    for link in turned["links"]:
        link["origin_slot"] = 1 - link["origin_slot"] if link["origin_id"] == -10 else link["origin_slot"]
    assert convert(instance(mode=4), definitions=[turned]) == {"1": {}, "9": {"source": ["1", 0]}}
    assert convert(instance(mode=2), definitions=[turned]) == {"1": {}, "9": {}}


def test_a_definition_that_contains_itself_is_refused() -> None:
    with pytest.raises(WorkflowError, match="Does a definition contain itself"):
        convert(instance(), definitions=[definition("sub", inner="sub")])


def test_definitions_that_double_at_every_level_are_refused() -> None:
    levels = []
    for level in range(40):
        row = definition(f"level{level}", inner=f"level{level + 1}")
        row["nodes"].append({**row["nodes"][0], "id": 4})
        levels.append(row)
    with pytest.raises(WorkflowError, match="expand to more than 200000 nodes"):
        convert(instance(kind="level0"), definitions=levels)


@pytest.mark.parametrize("slot", [-1, 7])
def test_links_at_definition_inputs_that_do_not_exist_are_nothing(slot: int) -> None:
    damaged = definition()
    damaged["links"][0]["origin_slot"] = slot
    assert convert(instance(widgets_values=[7]), definitions=[damaged])["12:5"]["n"] == 1
