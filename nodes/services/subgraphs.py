"""Graphs that a node returns instead of values, and the value that stops what depends on it.

Not here: running such graphs (`llmseg.graph`).
Source: ComfyUI 0.8 `comfy_execution/graph_utils.py`, restated: the same ids, so that results compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def is_link(value: object) -> bool:
    """Whether an input value is a link: a list of a node id and the number of an output."""
    if not isinstance(value, list) or len(value) != 2:
        return False
    return isinstance(value[0], str) and isinstance(value[1], (int, float))


class ExecutionBlocker:
    """A value that stops every node that is given it; its message is shown, unless it is None."""

    def __init__(self, message: str | None) -> None:
        self.message = message


class Node:
    """One node of a graph that is being built."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = inputs
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to one of its outputs."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Set an input; None takes it away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """An input, None if it is not set."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Let another node show what this one has to show."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """The node in the API form."""
        record = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            record["override_display_id"] = self.override_display_id
        return record


class GraphBuilder:
    """Builds a graph whose ids no other graph of the run has: `<node>.<call>.<graph>.<own id>`.

    Args:
        prefix: of all ids; None for that of the call that runs now and the next free number of a graph.
    """

    _default_prefix_root = ""
    _default_prefix_call_index = 0
    _default_prefix_graph_index = 0

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = GraphBuilder.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """Say which call of which node runs now."""
        # On this class whoever calls, for `alloc_prefix` reads it there.
        GraphBuilder._default_prefix_root = prefix_root
        GraphBuilder._default_prefix_call_index = call_index
        GraphBuilder._default_prefix_graph_index = graph_index

    @classmethod
    def alloc_prefix(
        cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None
    ) -> str:
        """A prefix that was not given before; each part may be chosen."""
        parts = (
            GraphBuilder._default_prefix_root if root is None else root,
            GraphBuilder._default_prefix_call_index if call_index is None else call_index,
            GraphBuilder._default_prefix_graph_index if graph_index is None else graph_index,
        )
        GraphBuilder._default_prefix_graph_index += 1
        return "".join(f"{part}." for part in parts)

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """Add a node with these inputs; one that has this id already is answered as it is."""
        if id is None:
            id = str(self.id_gen)
            self.id_gen += 1
        return self.nodes.setdefault(self.prefix + id, Node(self.prefix + id, class_type, kwargs))

    def lookup_node(self, id: str) -> Node | None:
        """The node that was added under this id."""
        return self.nodes.get(self.prefix + id)

    def remove_node(self, id: str) -> None:
        """Take a node out; links to it stay."""
        del self.nodes[self.prefix + id]

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Put a value in the place of every link to an output; None takes those inputs away."""
        replaced = [self.prefix + node_id, index]
        for node in self.nodes.values():
            for key in [key for key, value in node.inputs.items() if is_link(value) and value == replaced]:
                node.set_input(key, new_value)

    def finalize(self) -> dict[str, Any]:
        """The graph in the API form, for the `expand` of a node."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}


def add_graph_prefix(
    graph: Mapping[str, Any], outputs: Sequence[Any], prefix: str
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """A graph in the API form and links into it, all ids with a prefix."""

    def moved(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    nodes = {
        prefix + node_id: {
            "class_type": node["class_type"],
            "inputs": {name: moved(value) for name, value in node.get("inputs", {}).items()},
        }
        for node_id, node in graph.items()
    }
    return nodes, tuple(map(moved, outputs))


GRAPH_MEMBERS = {"ExecutionBlocker": ExecutionBlocker, "is_link": is_link}
MEMBERS = {**GRAPH_MEMBERS, "GraphBuilder": GraphBuilder, "Node": Node, "add_graph_prefix": add_graph_prefix}
