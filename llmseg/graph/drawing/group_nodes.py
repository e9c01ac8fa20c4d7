"""Legacy group nodes: a drawing that holds them, rewritten as one that holds subgraphs.

A node of type ``workflow>Name`` places a group and holds the values of all its widgets in one list. Every place becomes
a subgraph of its own with these values written into its nodes, whose ids are their numbers in the group: ``6:0``,
``6:1``, as in the editors that still ran groups themselves.
Not here: what a group shows as a node (`group_interface`), what subgraphs mean (`subgraphs`).

Sources: the ComfyUI frontend (``extensions/core/groupNode``, 1.35 and 1.58), restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import InputError, WorkflowError, located
from ..definitions import NodeDefinition
from ..places import node_place, shown
from ..shapes import editor_faults
from .group_interface import GroupInterface, checked_group
from .records import BYPASSED, INPUT_SIDE, MUTED, OUTPUT_SIDE
from .sockets import class_sockets, read_rows
from .subgraphs import MAX_NODES
from .widgets import read_widgets

__all__ = ["expand_group_nodes"]

PREFIXES = ("workflow>", "workflow/")  # the second before frontend 1.2.63


def expand_group_nodes(editor: Mapping[str, Any], definitions: Mapping[str, NodeDefinition]) -> dict[str, Any]:
    """Rewrite a UI workflow so that every group node is an instance of a subgraph.

    A muted or bypassed place of a group that cannot be used stays as it is: nothing inside it runs.

    Returns:
        The rewritten workflow, which shares unchanged parts with `editor`; `editor` itself if nothing changed.

    Raises:
        WorkflowError: the workflow has a wrong shape.
        InputError: a group is missing, damaged or too large, or holds what cannot run.
    """
    faults = editor_faults(editor)
    if faults:
        raise WorkflowError(faults)
    rewriting = _Rewriting(editor, definitions)
    rewritten = rewriting.rewrite(editor)
    if not rewriting.made:
        return editor if isinstance(editor, dict) else dict(editor)
    held = rewritten.get("definitions") or {}
    return {**rewritten, "definitions": {**held, "subgraphs": [*rewriting.made, *(held.get("subgraphs") or [])]}}


class _Rewriting:
    def __init__(self, editor: Mapping[str, Any], definitions: Mapping[str, NodeDefinition]) -> None:
        extra = editor.get("extra")
        data = extra.get("groupNodes") if isinstance(extra, Mapping) else None
        self.data = data if isinstance(data, Mapping) else {}
        self.definitions = definitions
        self.groups: dict[str, GroupInterface | InputError] = {}
        self.made: list[dict[str, Any]] = []
        self.size = 0

    def rewrite(self, graph: Mapping[str, Any]) -> dict[str, Any]:
        """The root graph or a definition, with all definitions inside it."""
        primitives = _primitive_values(graph)
        rewritten = {**graph, "nodes": [self.rewrite_node(record, primitives) for record in graph["nodes"]]}
        held = graph.get("definitions")
        if isinstance(held, Mapping) and held.get("subgraphs"):
            rewritten["definitions"] = {**held, "subgraphs": [self.rewrite(raw) for raw in held["subgraphs"]]}
        return rewritten

    def rewrite_node(self, record: Mapping[str, Any], primitives: Mapping[str, Any]) -> Mapping[str, Any]:
        if not record["type"].startswith(PREFIXES) or record["type"] in self.definitions:
            return record
        name = record["type"][len(PREFIXES[0]) :]
        try:
            with located(node_place(str(record["id"]), record["type"])):
                group = self.find_group(name)
                values, _ = read_widgets(group.definition, record.get("widgets_values"), None)
                rows = list(_take_primitives(record, group, values, primitives))
                made = _draw_group(group, values)
        except InputError:
            if record.get("mode") in (MUTED, BYPASSED):
                return record
            raise
        made["id"] = f"group {name} ({len(self.made) + 1})"
        self.made.append(made)
        kept = {key: value for key, value in record.items() if key not in ("widgets_values", "widgets_values_named")}
        return {**kept, "type": made["id"], "inputs": rows, "properties": {}}

    def find_group(self, name: str) -> GroupInterface:
        if name not in self.groups:
            self.groups[name] = self.read_group(name)
        group = self.groups[name]
        if isinstance(group, InputError):
            raise InputError(group.problem, place=group.place)
        self.size += group.size
        if self.size > MAX_NODES:
            raise InputError(f"group nodes expand to more than {MAX_NODES} nodes, inputs and links; expected fewer.")
        return group

    def read_group(self, name: str) -> GroupInterface | InputError:
        """The group, or what is wrong with it, for all its places."""
        try:
            if name not in self.data:
                remedy = "Open the file where it was made, turn the group into nodes, and save it again."
                raise InputError(f"extra.groupNodes has no group {shown(name)}; expected its nodes. {remedy}")
            with located(f"group {shown(name)}"):
                return GroupInterface(checked_group(self.data[name], self.definitions), self.definitions)
        except InputError as error:
            return error


def _primitive_values(graph: Mapping[str, Any]) -> dict[str, Any]:
    """The values of primitives, by the ids of the links that start at them."""
    values: dict[str, Any] = {}
    for node in graph["nodes"]:
        saved = node.get("widgets_values")
        if node["type"] == "PrimitiveNode" and isinstance(saved, list) and saved:
            values.setdefault(str(node["id"]), saved[0])
    found: dict[str, Any] = {}
    for row in graph.get("links") or [] if values else []:
        if row is not None:
            link, origin = (row["id"], row["origin_id"]) if isinstance(row, Mapping) else row[:2]
            if str(origin) in values:
                found.setdefault(str(link), values[str(origin)])
    return found


def _take_primitives(
    record: Mapping[str, Any], group: GroupInterface, values: dict[str, Any], primitives: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """The input rows of a place without the links that no inner widget would see.

    A primitive writes into the widget that it is linked to, wherever a link to that socket would lead. Where it
    leads to the same widget, the link stays; else its value is put into `values`.
    """
    reached = {socket.name: target for socket, target in group.ports(values)}
    for row in record.get("inputs") or []:
        name, link = row.get("name", ""), str(row.get("link"))
        if link in primitives and name in group.widgets and reached.get(name) != group.widgets[name]:
            values[name] = primitives[link]
            row = {**row, "link": None}
        yield row


def _draw_group(group: GroupInterface, values: Mapping[str, Any]) -> dict[str, Any]:
    """The group as a definition of a subgraph whose widgets hold `values`."""
    own: dict[int, dict[str, Any]] = {}
    for name, (index, widget) in group.widgets.items():
        if name in values:
            own.setdefault(index, {})[widget] = values[name]
    nodes = [_draw_node(group, index, own.get(index, {})) for index in range(len(group.nodes))]
    rows = {(index, row["name"]): row for index, node in enumerate(nodes) for row in reversed(node["inputs"])}
    ports = list(group.ports(values))
    names = [_socket_names(group, node) for node in nodes]
    wires: list[tuple[int | str, int, int, str | None]]
    wires = [(row[0], row[1], row[2], _reached_name(group, row, names[row[2]])) for row in group.links.values()]
    wires += [(INPUT_SIDE, number, *target) for number, (_, target) in enumerate(ports) if target]
    links: list[dict[str, Any]] = []
    for origin, slot, target, reached in wires:
        if reached is not None:
            if (target, reached) not in rows:
                rows[target, reached] = {"name": reached, "type": ""}
                nodes[target]["inputs"].append(rows[target, reached])
            rows[target, reached]["link"] = len(links)
            links.append(_draw_link(len(links), origin, slot, target))
    for number, (index, slot, _) in enumerate(group.outputs):
        links.append({**_draw_link(len(links), index, slot, OUTPUT_SIDE), "target_slot": number})
    inputs = [{"name": socket.name, "type": socket.type} for socket, _ in ports]
    outputs = [{"name": str(number), "type": declared} for number, (_, _, declared) in enumerate(group.outputs)]
    return {"nodes": nodes, "links": links, "inputs": inputs, "outputs": outputs}


def _draw_link(link: int, origin: int | str, slot: int, target: int | str) -> dict[str, Any]:
    # An input names its link itself; its slot is never asked for.
    return {"id": link, "origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": 0}


def _draw_node(group: GroupInterface, index: int, own: Mapping[str, Any]) -> dict[str, Any]:
    """One inner node without links, its widgets holding `own` and, where the group shows none, their saved values."""
    node = {**group.nodes[index], "id": index}
    node["inputs"] = [{"name": "", **row, "link": None} for row in node.get("inputs") or []]
    node["outputs"] = [{**row, "links": []} for row in node.get("outputs") or []]
    definition = group.classes.get(node["type"])
    if node["type"] == "PrimitiveNode" and own:
        node["widgets_values"] = [own["value"]]
        node["outputs"] = [{"name": "", "type": group.declared(index)[1][0]}]
    elif definition is not None:
        node["widgets_values"] = {**read_widgets(definition, node.get("widgets_values"), None)[0], **own}
    return node


def _socket_names(group: GroupInterface, node: Mapping[str, Any]) -> list[str]:
    """The inputs of a drawn inner node in the order of its class, or of the file if it has none."""
    rows = read_rows(node["inputs"])
    definition = group.classes.get(node["type"])
    if definition is not None:
        for row in rows:
            row.link = ""  # so that growing inputs show all members that the file lists
        rows = class_sockets(definition, node["widgets_values"], rows)
    return [row.name for row in rows]


def _reached_name(group: GroupInterface, row: Sequence[Any], names: Sequence[str]) -> str | None:
    """The input that an inner link ends at: editors count among the inputs of the class of today."""
    if group.nodes[row[0]]["type"] == "PrimitiveNode":
        return group.row(row[2], row[3]).get("name")  # but a primitive writes by name
    return names[row[3]] if row[3] < len(names) else None
