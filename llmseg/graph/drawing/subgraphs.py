"""Instances of subgraphs: their places in the tree, and the values that they hold for their inner nodes.

A definition is drawn once and may be placed many times; each place is a `Scope`. A definition input with a
widget behind it has a *host value* on every instance, found by four rules of precedence.
Not here: following links through instances (`resolution`).

Sources: the ComfyUI frontend (subgraph ``proxyWidgets`` and their migrations), restated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import InputError
from .records import INPUT_SIDE, Drawing, EditorGraph, EditorNode

__all__ = ["MISSING", "Scope", "cut_promoted_links", "place_instances"]

MAX_NESTING = 50
MAX_NODES = 200_000  # after expansion; a small file can ask for astronomically many
MISSING = object()  # there is no such value; None is a value that a file can hold
ON_INSTANCE = "-1"  # proxyWidgets: the widget is the instance's own

# Old files repeat the id before the name of the widget, sometimes more than once: "7: 3: seed".
OLD_FORM = re.compile(r"(?:[0-9]+: )*([0-9]+): (.*)", re.DOTALL)


class Scope:
    """One graph at one place: the root, or one instance of a definition."""

    def __init__(self, graph: EditorGraph, instance: EditorNode | None, parent: Scope | None) -> None:
        self.graph = graph
        self.instance = instance
        self.parent = parent
        self.path: str = f"{parent.path}{instance.id}:" if parent and instance else ""
        self.children: dict[str, Scope] = {}
        self.overrides: dict[tuple[str, str], Any] = {}
        self._promoted: dict[str, Any] = {}  # host values that stand at entries of inner widgets
        self._hosts: dict[int, Any] = {}
        self._backed: dict[int, bool] = {}

    def value_of(self, node: EditorNode, name: str) -> Any:
        """What widget `name` of inner node `node` holds at this place."""
        override = self.overrides.get((node.id, name), MISSING)
        return node.values.get(name, MISSING) if override is MISSING else override

    def is_widget_backed(self, number: int) -> bool:
        """Whether definition input `number` reaches a widget; a Reroute in between breaks it.

        The file's word counts like the class's: an input whose widget the class has lost keeps its rank.
        """
        if number not in self._backed:
            self._backed[number] = self._find_widget(number)
        return self._backed[number]

    def _find_widget(self, number: int) -> bool:
        for node, socket in self.graph.targets_of_input(number):
            inner = self.children.get(node.id)
            if socket.widget or (inner and inner.has_widget_for(socket.name)):
                return True
        fed = self.graph.links_by_input.get(number, {}).values()
        return any(
            link.target in self.graph.nodes and link.id in self.graph.nodes[link.target].widget_links for link in fed
        )

    def has_widget_for(self, name: str) -> bool:
        """Whether the definition input called `name` is widget-backed."""
        return any(port.name == name and self.is_widget_backed(index) for index, port in enumerate(self.graph.inputs))

    def host_value(self, number: int) -> Any:
        """The value of definition input `number` on this instance, `MISSING` if there is none."""
        if number not in self._hosts:
            self._hosts[number] = self._find_host_value(number)
        return self._hosts[number]

    def _find_host_value(self, number: int) -> Any:
        assert self.instance is not None
        name = self.graph.inputs[number].name
        for candidate in (self._quarantined(name), self._proxied(name), self._ranked(number)):
            if candidate is not MISSING and candidate is not None:
                return candidate
        for node, socket in self.graph.targets_of_input(number):
            inner = self.children.get(node.id)
            value = inner.host_value_by_name(socket.name) if inner else self.value_of(node, socket.name)
            if value is not MISSING:
                return value
        return MISSING

    def host_value_by_name(self, name: str) -> Any:
        """The host value of the widget-backed definition input called `name`."""
        for number, port in enumerate(self.graph.inputs):
            if port.name == name and self.is_widget_backed(number):
                return self.host_value(number)
        return MISSING

    def _quarantined(self, name: str) -> Any:
        assert self.instance is not None
        for entry in _as_list(self.instance.properties.get("proxyWidgetErrorQuarantine")):
            if not isinstance(entry, Mapping) or entry.get("hostValue") is None:
                continue
            if _as_list(entry.get("originalEntry"))[:2] == [ON_INSTANCE, name]:
                return entry["hostValue"]
        return MISSING

    def _proxied(self, name: str) -> Any:
        for owner, widget, value in proxy_entries(self.instance):
            if (owner, widget) == (ON_INSTANCE, name) and value is not None:
                return value
        return self._promoted.get(name, MISSING)

    def _ranked(self, number: int) -> Any:
        """Without proxyWidgets: position in the list of values = rank among widget-backed inputs."""
        assert self.instance is not None
        if list(proxy_entries(self.instance)):
            return MISSING
        backed = [index for index in range(len(self.graph.inputs)) if self.is_widget_backed(index)]
        saved, named = self.instance.saved, self.instance.named
        name = self.graph.inputs[number].name
        if isinstance(saved, Mapping):
            return saved.get(name, MISSING)
        if named is not None and len(saved) != len(backed) and name in named:
            return named[name]
        rank = backed.index(number)
        return saved[rank] if rank < len(saved) else MISSING

    def take_promoted_values(self) -> None:
        """Read the values that the instance holds for single inner widgets; they act at this place only."""
        for owner, widget, value in proxy_entries(self.instance):
            node = self.graph.nodes.get(owner)
            if node is None or value is None:
                continue
            first = _definition_input_led_by(self.graph, node, widget)
            if first is not None:
                self._promoted.setdefault(self.graph.inputs[first].name, value)
            elif owner in self.children:
                self.children[owner]._promoted.setdefault(widget, value)
            else:
                # A PrimitiveNode has one widget; it is read by that name whatever the entry calls it.
                self.overrides[(owner, "value" if node.type == "PrimitiveNode" else widget)] = value


def place_instances(drawing: Drawing) -> list[Scope]:
    """All places of the drawing, the root first, each before the places inside it.

    Muted and bypassed instances are places too: nothing inside them runs, but their values may be asked for.

    Raises:
        InputError: a definition contains itself, or there are too many nodes.
    """
    root = Scope(drawing.root, None, None)
    scopes, total = [root], 0
    for scope in scopes:  # grows while it is read
        total += len(scope.graph.nodes)
        if total > MAX_NODES or scope.path.count(":") > MAX_NESTING:
            problem = f"subgraphs expand to more than {MAX_NODES} nodes or {MAX_NESTING} levels; expected fewer."
            raise InputError(f"{problem} Does a definition contain itself?", place=f"subgraph {scope.graph.name!r}")
        for node in scope.graph.nodes.values():
            definition = drawing.subgraphs.get(node.type)
            if definition is not None:
                scope.children[node.id] = Scope(definition, node, scope)
                scopes.append(scope.children[node.id])
    for scope in scopes:
        scope.take_promoted_values()
    return scopes


def cut_promoted_links(drawing: Drawing) -> None:
    """Unlink inner widgets that some instance shows as its own although another target leads their input."""
    for graph in [drawing.root, *drawing.subgraphs.values()]:
        for instance in graph.nodes.values():
            definition = drawing.subgraphs.get(instance.type)
            for owner, widget, _ in proxy_entries(instance) if definition else ():
                node = definition.nodes.get(owner) if definition else None
                socket = node.socket(widget) if node else None
                link = definition.links.get(socket.link or "") if definition and socket else None
                if definition is None or node is None or socket is None or link is None:
                    continue
                if link.origin == INPUT_SIDE and _definition_input_led_by(definition, node, widget) is None:
                    socket.link = None


def proxy_entries(instance: EditorNode | None) -> Iterator[tuple[str, str, Any]]:
    """The entries of `proxyWidgets`: owner id or -1, widget name, value of the instance or None."""
    if instance is None:
        return
    entries: Any = instance.properties.get("proxyWidgets")
    if isinstance(entries, str):
        try:
            entries = json.loads(entries)
        except (ValueError, RecursionError):
            return
    saved = instance.saved if isinstance(instance.saved, Sequence) else []
    for number, entry in enumerate(_as_list(entries)):
        if isinstance(entry, list) and len(entry) in (2, 3) and isinstance(entry[1], str):
            owner, widget = str(entry[0]), entry[1]
            repeated = OLD_FORM.fullmatch(widget) if owner != ON_INSTANCE else None
            if repeated is not None:
                owner, widget = repeated.groups()
            yield owner, widget, saved[number] if number < len(saved) else None


def _definition_input_led_by(graph: EditorGraph, node: EditorNode, widget: str) -> int | None:
    """The definition input whose first target is `widget` of `node`."""
    for number in range(len(graph.inputs)):
        targets = graph.targets_of_input(number)
        if targets and targets[0][0] is node and targets[0][1].name == widget:
            return number
    return None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
