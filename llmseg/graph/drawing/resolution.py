"""Follows a link back to the node or the value that really feeds an input.

On the way lie nodes that only exist in the editor (Reroute, Set and Get, PrimitiveNode), muted and bypassed
nodes, and the edges of subgraphs. Not here: host values (`subgraphs`), what is written (`editor`).

Sources: the ComfyUI frontend (``executionUtil``, litegraph ``ExecutableNodeDTO``), restated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..definitions import ANY, MATCH
from .records import BYPASSED, INPUT_SIDE, MUTED, EditorNode, Link
from .sockets import Socket
from .subgraphs import MISSING, Scope

__all__ = ["Constant", "Source", "choose_bypass", "compatible", "resolve"]


@dataclass(frozen=True)
class Source:
    """An output of a node that will run."""

    node_id: str
    slot: int


@dataclass(frozen=True)
class Constant:
    """A value that stands on a subgraph instance or a PrimitiveNode.

    Args:
        primitive: the PrimitiveNode, None for an instance, whose values are queued untouched.
    """

    value: Any
    primitive: EditorNode | None = None


@dataclass
class _Walk:
    """Where the search stands: a link at a place, the type asked for, whether nothing lay in between."""

    scope: Scope
    link: Link | None
    wanted: str
    direct: bool


def resolve(scope: Scope, socket: Socket) -> Source | Constant | None:
    """What feeds `socket` at `scope`; None if, in the end, nothing does.

    A loop, not a recursion: chains of Reroutes may be long, and circular in a damaged file.
    """
    walk = _Walk(scope, scope.graph.links.get(socket.link or ""), socket.type, direct=socket.widget)
    seen: set[tuple[int, str]] = set()
    while walk.link is not None:
        step = (id(walk.scope), walk.link.id)
        if step in seen:
            return None
        seen.add(step)
        found = _leave_subgraph(walk) if walk.link.origin == INPUT_SIDE else _pass_node(walk)
        if found is not None:
            return found
    return None


def _leave_subgraph(walk: _Walk) -> Constant | None:
    """One step out of a definition input: to the link of the instance, or to its host value."""
    scope, link = walk.scope, walk.link
    walk.link = None
    if link is None or scope.parent is None or scope.instance is None or link.slot >= len(scope.graph.inputs):
        return None
    backed = scope.is_widget_backed(link.slot)
    outer = scope.instance.socket(scope.graph.inputs[link.slot].name)
    if outer is not None and outer.link is not None:
        walk.scope, walk.wanted, walk.direct = scope.parent, outer.type, backed
        walk.link = scope.parent.graph.links.get(outer.link)
        return None
    value = scope.host_value(link.slot) if backed else MISSING
    return None if value is MISSING else Constant(value)


def _pass_node(walk: _Walk) -> Source | Constant | None:
    """One step to the node that a link starts at, and through it if it does not run itself."""
    scope, link = walk.scope, walk.link
    walk.link = None
    node = scope.graph.nodes.get(link.origin) if link else None
    if link is None or node is None:
        return None
    if node.type == "PrimitiveNode":
        value = primitive_value(scope, node) if walk.direct else MISSING
        return None if value is MISSING else Constant(value, node)
    walk.direct = False
    if node.mode == MUTED:
        return None
    if node.type == "Reroute":
        _follow(walk, node.sockets[0] if node.sockets else None)
    elif node.type == "GetNode":
        _enter_set_node(walk, node)
    elif node.type == "SetNode" or node.mode == BYPASSED:
        output = node.output_types[link.slot] if link.slot < len(node.output_types) else ""
        chosen = choose_bypass(node.sockets, link.slot, ANY if output == MATCH else output, walk.wanted)
        walk.wanted = chosen.type if chosen else ""
        _follow(walk, chosen)
    elif node.id in scope.children:
        walk.scope = scope.children[node.id]
        walk.link = walk.scope.graph.link_by_output.get(link.slot)
    else:
        return Source(scope.path + node.id, link.slot)
    return None


def _follow(walk: _Walk, socket: Socket | None) -> None:
    walk.link = walk.scope.graph.links.get(socket.link or "") if socket else None


def _enter_set_node(walk: _Walk, getter: EditorNode) -> None:
    """From a GetNode to the input of the SetNode of the same name, here or in an enclosing graph."""
    scope: Scope | None = walk.scope
    while scope is not None:
        for node in scope.graph.nodes.values():
            if node.type == "SetNode" and node.mode != MUTED and node.first_saved() == getter.first_saved():
                walk.scope = scope
                _follow(walk, node.sockets[0] if node.sockets else None)
                return
        scope = scope.parent


def primitive_value(scope: Scope, node: EditorNode) -> Any:
    """The value that a PrimitiveNode writes into its targets; without one it takes its first target's."""
    override = scope.overrides.get((node.id, "value"), MISSING)
    if override is not MISSING:
        return override
    own = node.first_saved()
    if own is not None and node.output_types[:1] != [ANY]:
        return own
    for link_id in (link_id for links in node.output_links for link_id in links):
        link = scope.graph.links.get(link_id)
        target = scope.graph.nodes.get(link.target) if link else None
        socket = next((s for s in target.sockets if s.link == link_id), None) if target else None
        if target is None or socket is None:
            continue
        inner = scope.children.get(target.id)
        value = inner.host_value_by_name(socket.name) if inner else scope.value_of(target, socket.name)
        if value is not MISSING:
            return value
    return MISSING if own is None else own


def choose_bypass(sockets: Sequence[Socket], slot: int, output: str, wanted: str) -> Socket | None:
    """The input that a bypassed node hands on as output `slot`.

    Args:
        sockets: all inputs of the bypassed node, linked or not, in the editor's order.
        slot: which output is read.
        output: type of that output.
        wanted: type that the reader asks for.
    """
    same = sockets[slot] if slot < len(sockets) else None
    if wanted in (ANY, ""):
        return same or (sockets[0] if sockets else None)
    fits = [s for s in sockets if compatible(s.type, output) and compatible(s.type, wanted)]
    if same is not None and any(s is same for s in fits):
        return same
    exact = next((s for s in sockets if s.type == wanted), None)
    return exact or (fits[0] if fits else None)


def compatible(first: str, second: str) -> bool:
    """The editor's rule for types: any, equal in either case, or one member of a union in common."""
    if first in (ANY, "") or second in (ANY, ""):
        return True
    members = [{part.strip().casefold() for part in types.split(",")} for types in (first, second)]
    return not members[0].isdisjoint(members[1])
