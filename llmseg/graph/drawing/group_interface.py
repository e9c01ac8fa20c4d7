"""What a legacy group shows as a node: its inputs by name, its widgets in order, its outputs.

A group is described once, in ``extra.groupNodes``; the rest follows from its inner nodes and their classes.
Not here: how a group is drawn as a subgraph (`group_nodes`).

Sources: the ComfyUI frontend (``extensions/core/groupNode``, 1.35 and 1.58), restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import InputError
from ..definitions import NodeDefinition
from ..inputs import ANY, SEED_NAMES, UPLOAD_FLAGS, InputSpec
from ..places import shown
from ..shapes import editor_faults
from .records import PLAIN_TYPES
from .resolution import compatible
from .sockets import Socket, class_sockets

__all__ = ["GroupInterface", "checked_group"]

DRAWN_ONLY = (*PLAIN_TYPES, "SetNode", "GetNode")
# In a group, the button of an upload class is a widget like any other and not the last slot of its node.
UPLOAD_BUTTON = InputSpec("upload", "IMAGEUPLOAD", options={"widgetType": "STRING"})
PER_NODE = dict.fromkeys(UPLOAD_FLAGS, False)


class GroupInterface:
    """One group as a node.

    Args:
        data: its entry of ``extra.groupNodes``, checked.
        classes: definitions of the node classes.
    """

    def __init__(self, data: Mapping[str, Any], classes: Mapping[str, NodeDefinition]) -> None:
        self.classes, self.nodes, self.config = classes, data["nodes"], data.get("config")
        rows = [row for row in data.get("links") or [] if row[0] is not None]
        self.links = {(row[2], row[3]): row for row in rows}
        self.first_links = {(row[0], row[1]): row for row in reversed(rows)}
        self.external = {(row[0], row[1]) for row in data.get("external") or []}
        self.seen: dict[str, int] = {}  # how often a name was wanted, and one more
        self.specs: dict[str, InputSpec] = {}  # the inputs, by the name that the group gives them
        self.widgets: dict[str, tuple[int, str]] = {}  # the inner widget behind such a name
        self.reachable: list[tuple[int, InputSpec]] = []  # the inner inputs that may be linked from outside
        self.outputs: list[tuple[int, int, Any]] = []
        converted = [entry for index in range(len(self.nodes)) for entry in self._expose(index)]
        for owner, spec in converted:
            self._show(owner, spec, socket=True)
        self.definition = NodeDefinition("group", tuple(self.specs.values()))
        self.size = len(self.nodes) + len(self.specs) + len(rows) + sum(len(_rows(node)) for node in self.nodes)

    def ports(self, values: Mapping[str, Any]) -> Iterator[tuple[Socket, tuple[int, str] | None]]:
        """The inputs while the widgets hold `values`, each with the inner input that a link to it reaches.

        Editors pair both lists by position. They differ where a file lists only some widgets among the inputs of
        an inner node: a link may then reach nothing, or another input, and does so in the editors of today.
        """
        for number, socket in enumerate(class_sockets(self.definition, values, [])):
            index, spec = self.reachable[number] if number < len(self.reachable) else (-1, None)
            target = None
            # A Reroute is asked for an input named like its type and has none: a link from outside is lost.
            if spec is not None and self.nodes[index]["type"] != "Reroute" and compatible(socket.type, spec.type):
                target = (index, spec.name)
            yield socket, target

    def declared(self, index: int) -> tuple[Sequence[InputSpec], Sequence[Any]]:
        """Inputs and output types of an inner node, also where there is no class behind it."""
        kind = self.nodes[index]["type"]
        definition, link = self.classes.get(kind), self.first_links.get((index, 0))
        if definition is not None and kind not in DRAWN_ONLY:
            upload = [UPLOAD_BUTTON] if definition.upload_slot else []
            required = [spec for spec in definition.inputs if spec.required]
            return [*required, *upload, *(s for s in definition.inputs if not s.required)], definition.output_types
        if kind == "PrimitiveNode" and link is not None:
            spec = self._primitive_spec(link)
            return [spec], [spec.declared]
        passes_inside = link is not None and (index, 0) in self.links and (index, 0) not in self.external
        if kind == "Reroute" and not passes_inside:
            rows = self.nodes[index].get("outputs") or [{}]
            carried = str((self.row(link[2], link[3]) if link else rows[0]).get("type") or ANY)
            return [InputSpec(carried, carried, options={"forceInput": True})], [carried]
        return [], []

    def _primitive_spec(self, link: Sequence[Any]) -> InputSpec:
        """The one widget of a primitive: that of its first target, always with a control slot."""
        row, target = self.row(link[2], link[3]), self.classes.get(self.nodes[link[2]]["type"])
        spec = target.find_input(row.get("name", ""), {}) if target else None
        if spec is None:
            return InputSpec("value", str(row.get("type") or ANY))
        options = {**spec.options, "control_after_generate": True, "forceInput": False}
        return InputSpec("value", spec.declared, options=options)

    def row(self, index: int, slot: int) -> Mapping[str, Any]:
        """Input number `slot` of an inner node as the file lists it; empty if it does not."""
        rows = _rows(self.nodes[index])
        return rows[slot] if slot < len(rows) else {}

    def _expose(self, index: int) -> list[tuple[int, InputSpec]]:
        """Show one inner node, but return its converted widgets: these follow behind those of all nodes."""
        inputs, outputs = self.declared(index)
        rows = _rows(self.nodes[index])
        places = {row.get("name"): place for place, row in reversed(list(enumerate(rows)))}
        converted: list[tuple[int, InputSpec]] = []
        plain: list[tuple[int, InputSpec]] = []
        for spec in inputs:
            place = places.get(spec.name)
            if not spec.owns_widget:
                plain.append((len(plain) if place is None else place, spec))
            elif place is not None and _entry(rows[place], "widget").get("name") == spec.name:
                converted.append((place, spec))
            else:
                self._show(index, spec, socket=False)
        for place, spec in plain:
            if (index, place) not in self.links:
                self._show(index, spec, socket=True)
        for slot, declared in enumerate(outputs):
            visible = _entry(self.config, str(index), "output", str(slot)).get("visible")
            if visible is None:
                visible = (index, slot) not in self.first_links or (index, slot) in self.external
            if visible:
                self.outputs.append((index, slot, declared))
        # Every editor that wrote such files sorted these places as texts: 10 stands before 4.
        converted.sort(key=lambda entry: str(entry[0]))
        return [(index, spec) for place, spec in converted if (index, place) not in self.links]

    def _show(self, index: int, spec: InputSpec, *, socket: bool) -> None:
        name, prefix = self._give_name(index, spec.name)
        if not spec.owns_widget and _entry(self.config, str(index), "input", spec.name).get("visible") is False:
            return
        options = {**spec.options, **PER_NODE}
        if spec.name in SEED_NAMES:
            options["control_after_generate"] = prefix + "control_after_generate"
        self.specs[name] = replace(spec, name=name, required=True, options=options)
        if spec.owns_widget:
            self.widgets[name] = (index, spec.name)
        if socket:
            self.reachable.append((index, spec))

    def _give_name(self, index: int, own: str) -> tuple[str, str]:
        """The group's name for an inner input, and what was put in front of it."""
        node, prefix = self.nodes[index], ""
        given = _entry(self.config, str(index), "input", own).get("name")
        if given is None:
            given = next((row.get("label") for row in _rows(node) if row.get("name") == own), None)
        name = key = own if given is None else str(given)
        title = node.get("title")
        if name in self.seen or (node["type"] == "PrimitiveNode" and title):
            prefix = f"{node['type'] if title is None else title} "
            name = key = prefix + own
            if name in self.seen:
                name = f"{prefix}{self.seen[name]} {own}"
        self.seen[key] = self.seen.get(key, 1) + 1
        return name, prefix


def checked_group(data: object, classes: Mapping[str, NodeDefinition]) -> Mapping[str, Any]:
    """`data` if it has the shape of a group whose nodes can run.

    Raises:
        InputError: it has not; the first fault found.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{shown(data)}; expected an object with nodes and links.")
    nodes = data.get("nodes")
    if isinstance(nodes, list):  # they have no ids of their own
        nodes = [{**node, "id": number} if isinstance(node, Mapping) else node for number, node in enumerate(nodes)]
    for fault in editor_faults({"nodes": nodes}):
        raise InputError(fault)
    assert isinstance(nodes, list)
    for number, node in enumerate(nodes):
        if node["type"].startswith(("workflow>", "workflow/")):
            remedy = "No editor runs that: open the file where it was made and turn the inner group into nodes."
            problem = f"{shown(node['type'])} is a group inside a group; expected nodes. {remedy}"
            raise InputError(problem, place=f"node {number}")
        if node["type"] not in classes and node["type"] not in DRAWN_ONLY:
            problem = f"class {shown(node['type'])} is unknown; expected an installed class. Install its node pack."
            raise InputError(problem, place=f"node {number}")
    for key, ends in (("links", (0, 2)), ("external", (0,))):
        rows = data.get(key) or []
        for row in rows if isinstance(rows, list) else [rows]:
            outside = key == "links" and isinstance(row, list) and row[:1] == [None]
            if not outside and not _is_row(row, ends, len(nodes)):
                problem = f"{shown(row)}; expected numbers of nodes (0 to {len(nodes) - 1}) and slots."
                raise InputError(problem, place=key)
    return data


def _is_row(row: object, ends: Sequence[int], count: int) -> bool:
    """Whether `row` starts with pairs of a node number and a slot."""
    if not isinstance(row, list) or len(row) < ends[-1] + 2:
        return False
    numbers = row[: ends[-1] + 2]
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
    return whole and all(numbers[end] < count for end in ends)


def _rows(node: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return node.get("inputs") or []


def _entry(mapping: object, *keys: str) -> Mapping[str, Any]:
    """What stands at a path of keys, if it is an object; else an empty one."""
    for key in keys:
        mapping = mapping.get(key) if isinstance(mapping, Mapping) else None
    return mapping if isinstance(mapping, Mapping) else {}
