"""Nodes that expand: takes the graph that a node returned into the running prompt.

A loop is an expansion that holds its own next round, so nothing here recurses and everything is bounded.
Not here: when the new nodes run (`schedule`), how their results come back (`returns`).

Source: the ComfyUI server (``execution.py``), restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import InputError, UnknownNameError
from ..places import printable
from ..shapes import is_link, prompt_faults
from .live import LivePrompt
from .returns import Row

__all__ = ["take_in"]

MOST_EXPANDED = 200_000  # nodes of all expansions of a run; a loop without an end would fill the memory


def take_in(live: LivePrompt, parent: str, rows: Sequence[Row], node_classes: Mapping[str, type]) -> list[str]:
    """Add the nodes of all graphs in `rows` to `live`; returns their ids.

    Raises:
        InputError: a graph of a wrong shape, an id that is taken, an unknown class, a link to nowhere, too many.
    """
    new: list[str] = []
    for row in rows:
        graph = row.graph or {}
        if len(live.added) + len(graph) > MOST_EXPANDED:
            raise InputError(f"expands to more than {MOST_EXPANDED} nodes; expected a loop that ends.")
        for fault in _faults(live, graph, node_classes):
            raise InputError(f"expands to a graph with {fault}")
        for node_id, node in graph.items():
            live.add(node_id, {**node, "inputs": dict(node.get("inputs", {}))}, parent)
            new.append(node_id)
    lost = next((link for row in rows for link in row.links() if link[0] not in live), None)
    lost = lost or next((link for node_id in new for link in _links(live[node_id]) if link[0] not in live), None)
    if lost is not None:
        raise InputError(f"expands to a graph with a link to node {lost[0]!r}, which does not exist.")
    return new


def _faults(live: LivePrompt, graph: Mapping[str, Any], node_classes: Mapping[str, type]) -> Iterator[str]:
    yield from prompt_faults(graph)
    for node_id, node in graph.items():
        if not isinstance(node_id, str):
            yield f"node {node_id!r}; expected a text as id."
        elif node_id in live:
            yield f"node {printable(node_id)!r}, an id that is taken; expected a new one."
        elif node["class_type"] not in node_classes:
            yield str(UnknownNameError(node["class_type"], node_classes, place=f"node {printable(node_id)}"))


def _links(node: Mapping[str, Any]) -> list[Any]:
    return [value for value in node["inputs"].values() if is_link(value)]
