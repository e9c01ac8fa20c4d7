"""The drawn graph as records: nodes with the sockets that their class has today, links by id, definitions.

Everything that only concerns the drawing is left behind.
Not here: reading a file (`reading`), following links (`resolution`), values of instances (`subgraphs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..definitions import NodeDefinition
from .sockets import Socket

__all__ = [
    "BYPASSED",
    "INPUT_SIDE",
    "MUTED",
    "PLAIN_TYPES",
    "Drawing",
    "EditorGraph",
    "EditorNode",
    "Link",
    "Port",
]

MUTED, BYPASSED = 2, 4
INPUT_SIDE, OUTPUT_SIDE = "-10", "-20"  # pseudo nodes: the two edges of a subgraph definition
PLAIN_TYPES = (
    "Reroute",
    "PrimitiveNode",
    "Note",
    "MarkdownNote",
)  # drawn by the editor, no class behind them


@dataclass(frozen=True)
class Link:
    """One row of a link table."""

    id: str
    origin: str
    slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class Port:
    """One input or output of a subgraph definition, with its links in the order of the file."""

    name: str
    type: str
    link_ids: tuple[str, ...]


@dataclass
class EditorNode:
    """One saved node, brought up to date with its class.

    Args:
        values: widget values by input name; empty for instances and unknown classes.
        sockets: slots in the editor's order, because bypassing indexes into it.
        widget_links: links that reach an input which the file, though perhaps not the class, gives a widget.
        saved: the raw `widgets_values`, for instances and nodes without a class.
    """

    id: str
    type: str
    mode: int
    title: str
    definition: NodeDefinition | None
    values: dict[str, Any]
    sockets: list[Socket]
    widget_links: frozenset[str]
    output_types: list[str]
    output_links: list[list[str]]
    saved: Sequence[Any] | Mapping[str, Any]
    named: Mapping[str, Any] | None
    properties: Mapping[str, Any]

    def socket(self, name: str) -> Socket | None:
        """The socket called `name`."""
        return next((socket for socket in self.sockets if socket.name == name), None)

    def first_saved(self) -> Any:
        """The first saved widget value, None if there is none."""
        return self.saved[0] if isinstance(self.saved, Sequence) and self.saved else None


@dataclass
class EditorGraph:
    """The root graph or one subgraph definition."""

    name: str
    nodes: dict[str, EditorNode]
    links: dict[str, Link]
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)

    @cached_property
    def links_by_input(self) -> dict[int, dict[str, Link]]:
        """The links that start at each definition input."""
        found: dict[int, dict[str, Link]] = {}
        for link in self.links.values():
            if link.origin == INPUT_SIDE:
                found.setdefault(link.slot, {})[link.id] = link
        return found

    @cached_property
    def link_by_output(self) -> dict[int, Link]:
        """The link that ends at each definition output; the first one counts."""
        return {link.target_slot: link for link in reversed(list(self.links.values())) if link.target == OUTPUT_SIDE}

    def targets_of_input(self, number: int) -> list[tuple[EditorNode, Socket]]:
        """The inner sockets fed by definition input `number`; the first one rules (see `subgraphs`)."""
        fed = self.links_by_input.get(number, {})
        listed = [link_id for link_id in self.inputs[number].link_ids if link_id in fed]
        found = []
        for link_id in dict.fromkeys([*listed, *fed]):
            node = self.nodes.get(fed[link_id].target)
            found += [(node, socket) for socket in node.sockets if socket.link == link_id] if node else []
        return found


@dataclass
class Drawing:
    """A whole UI workflow: the root graph, every definition by id, and what was odd."""

    root: EditorGraph
    subgraphs: dict[str, EditorGraph]
    warnings: list[str]
