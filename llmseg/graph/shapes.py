"""Whether a parsed file has the shape of a UI workflow or of an API prompt, all faults at once.

After these checks the rest of the package may index without asking. Not here: reading files (`workflow`),
classes, types and values (`validation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from .places import shown

__all__ = ["editor_faults", "is_link", "prompt_faults"]

MOST_FAULTS = 1000  # a person reads a few; a hostile file could have millions
LINK_FIELDS = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


def is_link(value: object) -> bool:
    """Whether an input value of a prompt is a link ``[source id, output number]``."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def prompt_faults(prompt: Mapping[str, Any]) -> list[str]:
    """What keeps `prompt` from being an API prompt, the first of many; empty if nothing does."""
    return list(islice(_prompt_faults(prompt), MOST_FAULTS))


def _prompt_faults(prompt: Mapping[str, Any]) -> Iterator[str]:
    for node_id, node in prompt.items():
        if not isinstance(node, Mapping):
            yield f"node {node_id}: {shown(node)}; expected an object with class_type and inputs."
        elif not isinstance(node.get("class_type"), str):
            yield f"node {node_id}: class_type is {shown(node.get('class_type'))}; expected a name."
        elif not isinstance(node.get("inputs", {}), Mapping):
            yield f"node {node_id}: inputs are {shown(node['inputs'])}; expected an object."
        elif not isinstance(node.get("_meta", {}), Mapping):
            yield f"node {node_id}: _meta is {shown(node['_meta'])}; expected an object."


def editor_faults(editor: Mapping[str, Any]) -> list[str]:
    """What keeps `editor` from being a UI workflow, the first of many; empty if nothing does."""
    return list(islice(_graph_faults(editor, ""), MOST_FAULTS))


def _graph_faults(graph: Mapping[str, Any], place: str) -> Iterator[str]:
    nodes = graph.get("nodes")
    if not isinstance(nodes, list):
        yield f"{place}nodes: {shown(nodes)}; expected a list."
        nodes = []
    for number, node in enumerate(nodes):
        yield from _node_faults(node, f"{place}node number {number}")
    links = graph.get("links")
    if links is not None and not isinstance(links, list):
        yield f"{place}links: {shown(links)}; expected a list."
        links = []
    for row in links or []:
        yield from _link_faults(row, place)
    definitions = graph.get("definitions") or {}
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, Mapping) else {}
    if subgraphs is not None and not isinstance(subgraphs, list):
        yield f"{place}definitions: {shown(definitions)}; expected an object with a list of subgraphs."
        subgraphs = []
    for subgraph in subgraphs or []:
        yield from _subgraph_faults(subgraph, place)


def _subgraph_faults(subgraph: object, place: str) -> Iterator[str]:
    if not isinstance(subgraph, Mapping) or not isinstance(subgraph.get("id"), str):
        yield f"{place}subgraph: {shown(subgraph)}; expected an object with an id."
        return
    place = f"{place}subgraph {shown(subgraph.get('name') or subgraph['id'])}, "
    for side in ("inputs", "outputs"):
        for row in _listed(subgraph.get(side)):
            if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
                yield f"{place}{side}: {shown(row)}; expected objects with a name."
            elif not isinstance(row.get("linkIds", []), list):
                yield f"{place}{side}: linkIds {shown(row['linkIds'])}; expected a list."
    yield from _graph_faults(subgraph, place)


def _node_faults(node: object, place: str) -> Iterator[str]:
    if not isinstance(node, Mapping):
        yield f"{place}: {shown(node)}; expected an object."
        return
    if not _is_id(node.get("id")):
        yield f"{place}: id {shown(node.get('id'))}; expected a number or a text."
        return
    place = f"{place.rsplit('node number', 1)[0]}node {node['id']}"
    if not isinstance(node.get("type"), str):
        yield f"{place}: type {shown(node.get('type'))}; expected a class name."
    if not isinstance(node.get("mode", 0), int):
        yield f"{place}: mode {shown(node['mode'])}; expected a number."
    if not isinstance(node.get("properties") or {}, Mapping):
        yield f"{place}: properties {shown(node['properties'])}; expected an object."
    if not isinstance(node.get("widgets_values") or [], (list, Mapping)):
        yield f"{place}: widgets_values {shown(node['widgets_values'])}; expected a list."
    for side in ("inputs", "outputs"):
        for row in _listed(node.get(side)):
            if not isinstance(row, Mapping) or not isinstance(row.get("name", ""), str):
                yield f"{place}: {side} hold {shown(row)}; expected objects with a name."
            elif side == "inputs" and not (row.get("link") is None or _is_id(row["link"])):
                yield f"{place}, input {row.get('name')!r}: link {shown(row['link'])}; expected a link id."
            elif side == "outputs" and not all(map(_is_id, _listed(row.get("links")))):
                yield f"{place}, output {row.get('name')!r}: links {shown(row['links'])}; expected link ids."


def _link_faults(row: object, place: str) -> Iterator[str]:
    if row is None:
        return
    if isinstance(row, Mapping):
        values = [row.get(field) for field in LINK_FIELDS]
    elif isinstance(row, list) and len(row) >= len(LINK_FIELDS):
        values = row[: len(LINK_FIELDS)]
    else:
        yield f"{place}link: {shown(row)}; expected [id, origin, slot, target, slot, type] or an object."
        return
    if not all(map(_is_id, values)) or not all(_is_slot(values[slot]) for slot in (2, 4)):
        yield f"{place}link: {shown(row)}; expected ids, and numbers for the slots."


def _listed(value: object) -> list[Any]:
    """A list as it is, nothing as an empty one; anything else in two lists, which no caller takes for an item."""
    if value is None:
        return []
    return value if isinstance(value, list) else [[value]]


def _is_id(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_slot(value: object) -> bool:
    return isinstance(value, int) or (
        isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10
    )
