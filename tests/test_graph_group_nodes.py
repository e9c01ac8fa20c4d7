"""Legacy group nodes, converted here and by two real frontends; damaged and hostile ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError, LLMSegError, WorkflowError
from llmseg.graph import NodeDefinition, to_prompt
from llmseg.graph.drawing.group_nodes import expand_group_nodes

FOLDER = Path(__file__).with_name("group_node_cases")
CASES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "object_info")
# What only scripts of an editor add; the server ignores it.
SCRIPT_WIDGETS = {"LoadImage": {"upload"}}


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def definitions() -> dict[str, NodeDefinition]:
    return {name: NodeDefinition.from_object_info(name, record) for name, record in read("object_info").items()}


def compared(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """Class and inputs of every node; of a failure only that it is one."""
    if "error" in prompt:
        return {"error": True}
    return {
        key: (
            node["class_type"],
            {k: v for k, v in node["inputs"].items() if k not in SCRIPT_WIDGETS.get(node["class_type"], ())},
        )
        for key, node in prompt.items()
    }


def renamed(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt with ids of inner nodes by order, since 1.58.1 gives the nodes of a group new ones."""
    names: dict[str, str] = {}
    places: dict[str, list[str]] = {}
    for key in sorted((key for key in prompt if ":" in key), key=lambda key: [int(part) for part in key.split(":")]):
        inner = places.setdefault(key.rpartition(":")[0], [])
        inner.append(key)
        names[key] = f"{list(places).index(key.rpartition(':')[0])}:{len(inner)}"

    def value(entry: Any) -> Any:
        return [names.get(entry[0], entry[0]), entry[1]] if isinstance(entry, list) else entry

    nodes = compared(prompt)
    return {
        names.get(key, key): (node[0], {k: value(v) for k, v in node[1].items()}) if node is not True else node
        for key, node in nodes.items()
    }


def convert(workflow: Mapping[str, Any], definitions: Mapping[str, NodeDefinition]) -> dict[str, Any]:
    try:
        return to_prompt(expand_group_nodes(workflow, definitions), definitions).prompt
    except InputError as error:
        return {"error": str(error)}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_real_frontends(name: str, definitions: dict[str, NodeDefinition]) -> None:
    case = read(name)
    before = copy.deepcopy(case["workflow"])
    ours = convert(case["workflow"], definitions)
    assert case["workflow"] == before
    older, newer = case["1.35.9"], case["1.58.1"]
    if "otherwise" in case:
        assert case["expected"] not in (older, newer) or renamed(older) != renamed(newer)
        if "error" in case["expected"]:
            assert ours == case["expected"]
        else:
            assert compared(ours) == compared(case["expected"])
    elif renamed(older) == renamed(newer):
        assert compared(ours) == compared(older)
    else:
        assert renamed(ours) == renamed(newer)


def test_both_frontends_agree_on_most_cases() -> None:
    agreeing = [name for name in CASES if renamed(read(name)["1.35.9"]) == renamed(read(name)["1.58.1"])]
    assert len(agreeing) >= 20


def test_a_workflow_without_group_nodes_is_returned_as_it_is(definitions: dict[str, NodeDefinition]) -> None:
    workflow = read("old_style")["workflow"]
    workflow["nodes"] = [node for node in workflow["nodes"] if not node["type"].startswith("workflow>")]
    assert expand_group_nodes(workflow, definitions) is workflow


def test_expanding_twice_changes_nothing_more(definitions: dict[str, NodeDefinition]) -> None:
    once = expand_group_nodes(read("two_instances")["workflow"], definitions)
    assert expand_group_nodes(once, definitions) is once


def test_an_installed_class_of_that_name_is_no_group(definitions: dict[str, NodeDefinition]) -> None:
    workflow = read("missing_data")["workflow"]
    known = {**definitions, "workflow>G9": NodeDefinition("workflow>G9")}
    assert expand_group_nodes(workflow, known) is workflow


@pytest.mark.parametrize("mode", [2, 4])
@pytest.mark.parametrize("name", ["missing_data", "unknown_class", "nested"])
def test_what_does_not_run_need_not_be_usable(name: str, mode: int, definitions: dict[str, NodeDefinition]) -> None:
    workflow = read(name)["workflow"]
    workflow["nodes"][1]["mode"] = mode
    prompt = convert(workflow, definitions)
    assert sorted(prompt) == ["1", "9"]
    assert prompt["9"]["inputs"] == ({} if mode == 2 else {"images": ["1", 0]})


PLACE = "node 6 (workflow>G1), group 'G1'"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ([], 5, "5; expected an object with nodes and links."),
        (["nodes"], None, "nodes: None; expected a list."),
        (["nodes", 0], "x", "node number 0: 'x'; expected an object."),
        (["nodes", 0, "type"], 7, "node 0: type 7; expected a class name."),
        (["nodes", 0, "mode"], "on", "node 0: mode 'on'; expected a number."),
        (["nodes", 0, "inputs"], "x", "node 0: inputs hold ['x']; expected objects with a name."),
        (["links"], {"a": 1}, "links: {'a': 1}; expected numbers of nodes (0 to 1) and slots."),
        (["links", 1, 0], 2, "links: [2, 0, 1, 0, 2, 'IMAGE']; expected numbers of nodes (0 to 1) and slots."),
        (["links", 1, 3], -1, "links: [0, 0, 1, -1, 2, 'IMAGE']; expected numbers of nodes (0 to 1) and slots."),
        (["links", 1], [0, 0, 1], "links: [0, 0, 1]; expected numbers of nodes (0 to 1) and slots."),
        (["external", 0, 0], True, "external: [True, 0, 'IMAGE']; expected numbers of nodes (0 to 1) and slots."),
        (["external"], 3, "external: 3; expected numbers of nodes (0 to 1) and slots."),
    ],
)
def test_damaged_data(path: list[Any], value: Any, message: str, definitions: dict[str, NodeDefinition]) -> None:
    workflow = read("old_style")["workflow"]
    at, keys = workflow["extra"]["groupNodes"], ["G1", *path]
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    with pytest.raises(InputError) as caught:
        expand_group_nodes(workflow, definitions)
    assert str(caught.value).startswith(PLACE)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extra", [None, 5, [], {"groupNodes": 5}, {"groupNodes": []}, {"groupNodes": {"g1": {}}}])
def test_data_in_no_shape_at_all_is_missing(extra: Any, definitions: dict[str, NodeDefinition]) -> None:
    workflow = {**read("old_style")["workflow"], "extra": extra}
    with pytest.raises(InputError, match=r"^node 6 \(workflow>G1\): extra\.groupNodes has no group 'G1'; expected"):
        expand_group_nodes(workflow, definitions)


@pytest.mark.parametrize("config", [5, [], {"0": 5}, {"0": {"input": [], "output": {"0": 3}}}, {"0": {"input": 1}}])
def test_damaged_config_is_no_config(config: Any, definitions: dict[str, NodeDefinition]) -> None:
    workflow = read("old_style")["workflow"]
    plain = convert(workflow, definitions)
    workflow["extra"]["groupNodes"]["G1"]["config"] = config
    assert convert(workflow, definitions) == plain


def test_a_workflow_of_a_wrong_shape(definitions: dict[str, NodeDefinition]) -> None:
    with pytest.raises(WorkflowError, match="nodes: None; expected a list"):
        expand_group_nodes({"nodes": None}, definitions)


def test_a_small_file_cannot_ask_for_everything(definitions: dict[str, NodeDefinition]) -> None:
    workflow = read("old_style")["workflow"]
    place = workflow["nodes"][1]
    workflow["nodes"] += [{**place, "id": number} for number in range(100, 103)]
    note = {"type": "Note", "inputs": [{"name": "a", "type": "*"}] * 60_000}
    workflow["extra"]["groupNodes"]["G1"]["nodes"].append(note)
    with pytest.raises(InputError, match="expand to more than 200000 nodes, inputs and links; expected fewer"):
        expand_group_nodes(workflow, definitions)


def test_any_single_damage_is_one_of_our_errors(definitions: dict[str, NodeDefinition]) -> None:
    """Every value of a group, one after the other, replaced by what does not belong there."""
    refused = 0
    for junk in (None, -1, "x", {"a": 1}):
        for name in ("renamed", "primitive_combo"):
            workflow = read(name)["workflow"]
            for path in list(paths(workflow["extra"]["groupNodes"]))[1:]:
                damaged = copy.deepcopy(workflow)
                at = damaged["extra"]["groupNodes"]
                for key in path[:-1]:
                    at = at[key]
                at[path[-1]] = junk
                try:
                    to_prompt(expand_group_nodes(damaged, definitions), definitions)
                except LLMSegError:
                    refused += 1
    assert refused > 50


def paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))
