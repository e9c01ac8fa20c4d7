"""From the UI form of a workflow to records, brought up to date with the node classes of today.

Not here: the shape of the file (`shapes`, checked before), what the records mean (`resolution`, `subgraphs`).

Sources: the ComfyUI frontend (litegraph ``configure``, ``litegraphService``), restated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import located
from ..definitions import NodeDefinition, type_name
from ..places import node_place, shown
from .records import PLAIN_TYPES, Drawing, EditorGraph, EditorNode, Link, Port
from .sockets import Socket, class_sockets, read_rows
from .widgets import read_widgets

__all__ = ["read_drawing"]


def read_drawing(editor: Mapping[str, Any], definitions: Mapping[str, NodeDefinition]) -> Drawing:
    """Read a UI workflow whose shape was checked."""
    reader = _Reader(definitions, _flat_definitions(editor))
    root = reader.read_graph({**editor, "inputs": None, "outputs": None}, "")  # only definitions have edges
    subgraphs = {key: reader.read_graph(raw, str(raw.get("name") or key)) for key, raw in reader.raw.items()}
    return Drawing(root, subgraphs, reader.warnings)


def _flat_definitions(editor: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All definitions by id, nested ones too; the first of an id wins."""
    found: dict[str, Mapping[str, Any]] = {}
    pending: list[Mapping[str, Any]] = [editor]
    while pending:
        for raw in (pending.pop(0).get("definitions") or {}).get("subgraphs") or []:
            if raw["id"] not in found:
                found[raw["id"]] = raw
                pending.append(raw)
    return found


class _Reader:
    def __init__(self, definitions: Mapping[str, NodeDefinition], raw: dict[str, Mapping[str, Any]]) -> None:
        self.definitions = definitions
        self.raw = raw
        self.warnings: list[str] = []

    def read_graph(self, raw: Mapping[str, Any], name: str) -> EditorGraph:
        links: dict[str, Link] = {}
        for row in raw.get("links") or []:
            if row is not None:
                link = _read_link(row)
                if link.slot >= 0 and link.target_slot >= 0:  # else a damaged row: its readers count as unlinked
                    links.setdefault(link.id, link)
        adopted = _adopted_links(raw["nodes"], links)
        nodes: dict[str, EditorNode] = {}
        for record in raw["nodes"]:
            node_id = str(record["id"])
            if node_id in nodes:
                self.warnings.append(f"{node_place(node_id, record['type'])}: the id is taken; ignored")
                continue
            nodes[node_id] = self.read_node(record, links, adopted)
        return EditorGraph(name, nodes, links, _read_ports(raw, "inputs"), _read_ports(raw, "outputs"))

    def read_linked_rows(
        self, record: Mapping[str, Any], links: Mapping[str, Link], adopted: Mapping[tuple[str, int], str]
    ) -> list[Socket]:
        node_id = str(record["id"])
        rows = read_rows(record.get("inputs"))
        for number, row in enumerate(rows):
            if row.link is not None and row.link not in links:
                place = node_place(node_id, record["type"], row.name)
                self.warnings.append(f"{place}: link {shown(row.link)} is missing; unlinked")
                row.link = None
            row.link = adopted.get((node_id, number), row.link)
        return rows

    def read_node(
        self, record: Mapping[str, Any], links: Mapping[str, Link], adopted: Mapping[tuple[str, int], str]
    ) -> EditorNode:
        node_id, node_type = str(record["id"]), record["type"]
        place = node_place(node_id, node_type)
        rows = self.read_linked_rows(record, links, adopted)
        definition = None if node_type in PLAIN_TYPES else self.definitions.get(node_type)
        values: dict[str, Any] = {}
        sockets, saved = rows, record.get("widgets_values") or []
        output_types = [type_name(row.get("type", "")) for row in record.get("outputs") or []]
        if node_type in self.raw:
            definition = None
            sockets = _port_sockets(_read_ports(self.raw[node_type], "inputs"), rows)
            output_types = [port.type for port in _read_ports(self.raw[node_type], "outputs")]
        elif definition is not None:
            with located(place):
                values, warning = read_widgets(definition, saved, _named(record))
            if warning:
                self.warnings.append(f"{place}: {warning}")
            sockets = class_sockets(definition, values, rows)
            declared = [type_name(declared) for declared in definition.output_types]
            output_types = declared + output_types[len(declared) :]
        elif isinstance(saved, Mapping):
            values = dict(saved)
        return EditorNode(
            id=node_id,
            type=node_type,
            mode=record.get("mode") or 0,
            title=str(record.get("title") or (definition.display_name if definition else "") or node_type),
            definition=definition,
            values=values,
            sockets=sockets,
            widget_links=frozenset(row.link for row in rows if row.widget and row.link is not None),
            output_types=output_types,
            output_links=[[str(i) for i in row.get("links") or []] for row in record.get("outputs") or []],
            saved=saved,
            named=_named(record),
            properties=record.get("properties") or {},
        )


def _adopted_links(nodes: Sequence[Mapping[str, Any]], links: Mapping[str, Link]) -> dict[tuple[str, int], str]:
    """Rows that no input names, given to the input they point at if that one has no valid link of its own."""
    inputs = {str(node["id"]): read_rows(node.get("inputs")) for node in reversed(nodes)}
    named = {row.link for rows in inputs.values() for row in rows}
    adopted: dict[tuple[str, int], str] = {}
    for link in links.values():
        rows = inputs.get(link.target, [])
        if link.id not in named and 0 <= link.target_slot < len(rows):
            own = rows[link.target_slot].link
            if own is None or own not in links:
                adopted.setdefault((link.target, link.target_slot), link.id)
    return adopted


def _port_sockets(ports: Sequence[Port], rows: Sequence[Socket]) -> list[Socket]:
    """The sockets of an instance: those of its definition, linked by name, since saved lists have holes."""
    by_name = {row.name: row for row in reversed(rows)}
    return [Socket(port.name, port.type, by_name[port.name].link if port.name in by_name else None) for port in ports]


def _read_ports(raw: Mapping[str, Any], side: str) -> list[Port]:
    return [
        Port(row["name"], type_name(row.get("type", "")), tuple(map(str, row.get("linkIds") or ())))
        for row in raw.get(side) or []
    ]


def _read_link(row: Mapping[str, Any] | Sequence[Any]) -> Link:
    if isinstance(row, Mapping):
        row = [row[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    return Link(str(row[0]), str(row[1]), int(row[2]), str(row[3]), int(row[4]))


def _named(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    named = record.get("widgets_values_named")
    return named if isinstance(named, Mapping) else None
