"""Results between nodes: kept for as long as somebody will read them, found again in the caches.

Not here: which node runs when (`schedule`), the run (`running`).

Source: the ComfyUI server (``execution.py``, ``comfy_execution/caching.py``), restated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..definitions import NodeDefinition
from ..dynamic import live_inputs
from ..shapes import is_link
from .cache import Signer, StoredResult
from .calls import constant
from .live import LivePrompt
from .schedule import links_of
from .setup import Setup

__all__ = ["Results"]


class Results:
    """What the nodes of one run produced.

    Args:
        live: the running prompt.
        definitions: of every class that is needed so far.
        setup: the registry, results that were computed elsewhere, and those of this and former runs to reuse.
    """

    def __init__(self, live: LivePrompt, definitions: Mapping[str, NodeDefinition], setup: Setup) -> None:
        self.live = live
        self.definitions = definitions
        self.setup, self.cache = setup, setup.cache
        self._signer = Signer(live, definitions, setup.node_classes, setup.known)
        self._readers: Counter[str] = Counter()  # links that will still be followed, by the node they come from
        self._values: dict[str, list[list[Any]]] = {}
        self._done: set[str] = set()

    def expect_readers(self, sources: Iterable[str]) -> None:
        """Note one more reader for each of `sources`."""
        self._readers.update(sources)

    def is_at_hand(self, node_id: str) -> bool:
        """Whether nobody needs to run the node now: its result is kept, or nobody will read it any more."""
        return node_id in self._values or (node_id in self._done and not self._readers[node_id])

    def find_cached(self, node_id: str) -> StoredResult | None:
        """The result that is known, or that of an equal node; it is kept from now on."""
        stored = self.setup.known.get(node_id)
        if stored is None and self.cache is not None:
            stored = self.cache.get(self._signer.sign(node_id))
        if stored is not None:
            self._hold(node_id, stored)
        return stored

    def keep(self, node_id: str, stored: StoredResult) -> None:
        """Keep a new result."""
        self._hold(node_id, stored)
        if self.cache is not None:
            self.cache.put(self._signer.sign(node_id), stored)

    def is_done(self, node_id: str) -> bool:
        """Whether the node has had a result in this run."""
        return node_id in self._done

    def result_of(self, node_id: str) -> StoredResult | None:
        """The result of a node for which readers are left, without what it shows."""
        outputs = self._values.get(node_id)
        return None if outputs is None else StoredResult(outputs, {})

    def items_of(self, node_id: str, output: int) -> list[Any]:
        """The items of one output; None in a list where there is no such result, or not yet."""
        outputs = self._values.get(node_id, [])
        return outputs[output] if 0 <= output < len(outputs) else [None]

    def arguments(self, node_id: str) -> tuple[dict[str, list[Any]], set[str]]:
        """Every argument of a node as a list of items, and the linked inputs that have no value yet.

        Links are passed on even if the class does not declare them, constants only if it does, hidden ones included.
        """
        node = self.live[node_id]
        inputs = node["inputs"]
        definition = self.definitions[node["class_type"]]
        specs = {spec.name: spec for spec in live_inputs(definition, inputs)}
        arguments: dict[str, list[Any]] = {}
        missing: set[str] = set()
        for name, value in inputs.items():
            if is_link(value) and not (name in specs and specs[name].options.get("rawLink")):
                arguments[name] = self.items_of(value[0], value[1])
                if value[0] not in self._values:
                    missing.add(name)
            elif name in specs or name in definition.hidden:
                arguments[name] = [constant(value)]
        return arguments, missing

    def release(self, sources: Iterable[str]) -> None:
        """Take back one reader of each of `sources`, and let go of what nobody will read."""
        for source in sources:
            self._readers[source] -= 1
            if not self._readers[source]:
                self._values.pop(source, None)

    def release_sources(self, node_id: str) -> None:
        """The same for everything that a node read."""
        self.release(source for _, source, _ in links_of(self.live[node_id]["inputs"]))

    def forget_unused(self) -> None:
        """Drop cached results of nodes that this prompt does not have, and of those that are to run again."""
        if self.cache is not None:
            repeated = self.setup.repeat_outputs
            signed = self._signer.signatures.items()
            self.cache.keep_only([one for node_id, one in signed if not (repeated and self._is_output(node_id))])

    def _is_output(self, node_id: str) -> bool:
        return self.definitions[self.live[node_id]["class_type"]].output_node

    def _hold(self, node_id: str, stored: StoredResult) -> None:
        self._done.add(node_id)
        if self._readers[node_id]:
            self._values[node_id] = stored.outputs
