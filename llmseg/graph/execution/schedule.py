"""Which node runs next: a ready list that grows as nodes finish or ask for lazy inputs.

Cost is linear in nodes and links, times the logarithm of the ready list.
Not here: running them (`executor`).

Sources: the ComfyUI server (``comfy_execution/graph.py``), restated; a heap replaces its scans.
"""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...errors import InputError
from ..definitions import NodeDefinition
from ..shapes import is_link
from .live import LivePrompt

__all__ = ["Schedule", "links_of"]


def links_of(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Name, source and output number of every linked input."""
    for name, value in inputs.items():
        if is_link(value):
            yield name, value[0], value[1]


class Schedule:
    """The nodes that are wanted and not done.

    Args:
        prompt: the running prompt; it may grow.
        definitions: of every class that is needed; they may grow with it.
        node_classes: for their functions; asynchronous ones go first, so that others can run meanwhile.
        is_done: whether the result of a node is at hand already.
    """

    def __init__(
        self,
        prompt: LivePrompt,
        definitions: Mapping[str, NodeDefinition],
        node_classes: Mapping[str, type],
        is_done: Callable[[str], bool],
    ) -> None:
        self.prompt = prompt
        self.definitions = definitions
        self.node_classes = node_classes
        self.is_done = is_done
        self._age: dict[str, int] = {}  # in the order in which they were asked for
        self._waiting: dict[str, set[str]] = {}  # node -> sources it waits for
        self._blocking: dict[str, list[str]] = {}  # node -> nodes that wait for it
        self._ready: list[tuple[int, int, str]] = []

    def add(self, node_id: str) -> None:
        """Want a node and, along links that are not lazy, all that it needs."""
        pending, added = [node_id], []
        while pending:
            current = pending.pop()
            if current in self._waiting:
                continue
            self._age.setdefault(current, len(self._age))
            self._waiting[current] = set()
            added.append(current)
            lazy = self._lazy_inputs(current)
            for name, source, _ in links_of(self.prompt[current]["inputs"]):
                if name not in lazy and not self.is_done(source):
                    self._wait(current, source)
                    pending.append(source)
        for current in added:
            self._push_if_ready(current)

    def require(self, node_id: str, name: str) -> None:
        """Let a running node wait for one of its lazy inputs.

        Raises:
            InputError: the input is absent or a constant.
        """
        value = self.prompt[node_id]["inputs"].get(name)
        if not is_link(value):
            problem = "asked for as a lazy input, but it is not linked; expected a linked input."
            raise InputError(problem, place=f"input {name!r}")
        self.wait_for(node_id, value[0])

    def wait_for(self, node_id: str, source: str) -> None:
        """Let a running node wait for another, unless the result of that is at hand."""
        if not self.is_done(source):
            self._wait(node_id, source)
            self.add(source)

    def pop(self) -> str | None:
        """The next node to run, None if there is none. It stays wanted until `finish` or `retry`."""
        while self._ready:
            node_id = heapq.heappop(self._ready)[2]
            if node_id in self._waiting and not self._waiting[node_id]:
                return node_id
        return None

    def retry(self, node_id: str) -> None:
        """Put a node back that asked for more."""
        self._push_if_ready(node_id)

    def finish(self, node_id: str) -> None:
        """Note that a node is done."""
        del self._waiting[node_id]
        for consumer in self._blocking.pop(node_id, ()):
            waiting = self._waiting.get(consumer)
            if waiting is not None:
                waiting.discard(node_id)
                self._push_if_ready(consumer)

    def find_cycle(self, given_up: Iterable[str]) -> list[str]:
        """Nodes that wait for one another in a circle; those behind `given_up` wait for good reason."""
        lost, pending = set(given_up), list(given_up)
        while pending:
            behind = [node_id for node_id in self._blocking.get(pending.pop(), ()) if node_id not in lost]
            lost.update(behind)
            pending += behind
        waiting = {node_id: sources for node_id, sources in self._waiting.items() if sources and node_id not in lost}
        if not waiting:
            return []
        import networkx as nx  # takes longer to import than most runs; only told of where something is wrong

        graph = nx.DiGraph((node_id, source) for node_id, sources in waiting.items() for source in sources)
        return [edge[0] for edge in nx.find_cycle(graph)]

    def _wait(self, node_id: str, source: str) -> None:
        if source not in self._waiting[node_id]:
            self._waiting[node_id].add(source)
            self._blocking.setdefault(source, []).append(node_id)

    def _push_if_ready(self, node_id: str) -> None:
        if not self._waiting[node_id]:
            heapq.heappush(self._ready, (self._rank(node_id), self._age[node_id], node_id))

    def _rank(self, node_id: str) -> int:
        """0 for outputs and asynchronous nodes, 1 directly before an output, 2 two before, else 3.

        Outputs first, so that a person sees results early.
        """
        if self._is_output(node_id) or self._is_async(node_id):
            return 0
        near = self._blocking.get(node_id, ())
        if any(map(self._is_output, near)):
            return 1
        return 2 if any(self._is_output(far) for mid in near for far in self._blocking.get(mid, ())) else 3

    def _is_output(self, node_id: str) -> bool:
        return self.definitions[self.prompt[node_id]["class_type"]].output_node

    def _is_async(self, node_id: str) -> bool:
        node_class = self.node_classes[self.prompt[node_id]["class_type"]]
        return inspect.iscoroutinefunction(getattr(node_class, getattr(node_class, "FUNCTION", ""), None))

    def _lazy_inputs(self, node_id: str) -> set[str]:
        definition = self.definitions[self.prompt[node_id]["class_type"]]
        return {spec.name for spec in definition.inputs if spec.options.get("lazy")}
