"""Who reads whom among the nodes of a prompt: order, and cycles.

Not here: which nodes are needed, what a cycle means (`validation`).
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from .places import node_sort_key

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Links"]


@dataclass
class Links:
    """The nodes that the outputs need, each with those it reads and those that read it."""

    sources: dict[str, dict[str, None]] = field(default_factory=dict)
    consumers: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, node_id: str) -> None:
        """A node without any link yet."""
        self.sources.setdefault(node_id, {})
        self.consumers.setdefault(node_id, {})

    def link(self, source: str, consumer: str) -> None:
        """One node reads another; both are there."""
        self.sources[consumer][source] = None
        self.consumers[source][consumer] = None

    def components(self) -> list[set[str]]:
        """The strongly connected components, consumers before sources: single nodes unless there are cycles."""
        try:
            order = list(TopologicalSorter(self.sources).static_order())
        except CycleError:
            drawn = self._drawn(self.sources)
            return [set(component) for component in _networkx().strongly_connected_components(drawn)]
        return [{node_id} for node_id in reversed(order)]

    def cycle_through(self, component: set[str]) -> list[str]:
        """One cycle of a component, starting at its first node; empty if there is none."""
        first = min(component, key=node_sort_key)
        if len(component) == 1 and first not in self.sources[first]:
            return []
        return [edge[0] for edge in _networkx().find_cycle(self._drawn(component), first)]

    def _drawn(self, nodes: Collection[str]) -> nx.DiGraph[str]:
        """The links between `nodes`, from source to consumer."""
        graph: nx.DiGraph[str] = _networkx().DiGraph()
        graph.add_nodes_from(nodes)
        graph.add_edges_from((one, other) for one in nodes for other in self.consumers[one] if other in nodes)
        return graph


def _networkx() -> Any:
    """networkx, once there is a cycle to tell of: its import takes longer than a whole check."""
    return importlib.import_module("networkx")
