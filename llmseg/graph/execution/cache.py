"""Signatures of nodes, and the store of their results.

Equal signatures promise equal results: class, own fingerprint, constants, links, and all ancestors, each
folded into a digest of fixed length, so that the work is linear however the graph is shaped.
Not here: when a result may be reused (`executor`), results on disk.

Sources: the ComfyUI server (``comfy_execution/caching.py``), restated.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from ..definitions import NodeDefinition
from ..shapes import is_link
from .calls import Arguments, call_mapped, constant, static_arguments
from .live import LivePrompt

__all__ = ["ResultCache", "ResultStore", "Signer", "StoredResult"]

LOGGER = logging.getLogger("llmseg")
_UNIQUE = count()  # what equals nothing, not even itself in the next run, gets the next number


@dataclass(frozen=True)
class StoredResult:
    """What one node produced.

    Args:
        outputs: for each output the list of its items.
        ui: what the node shows.
    """

    outputs: list[list[Any]]
    ui: dict[str, list[Any]]


class ResultStore(Protocol):
    """Results that outlive the process; which nodes have some, and in what form, is the store's affair."""

    def key(self, node: Any, arguments: Arguments) -> str | None:
        """What a result is found by, from the class and the values of all arguments; None if it is not stored."""

    def get(self, key: str) -> StoredResult | None:
        """The result, None if there is none."""

    def put(self, key: str, result: StoredResult) -> None:
        """Keep a result."""


class ResultCache:
    """Results by signature; holds what the last prompt needed and nothing else."""

    def __init__(self) -> None:
        self._results: dict[str, StoredResult] = {}

    def __len__(self) -> int:
        return len(self._results)

    def get(self, signature: str) -> StoredResult | None:
        """The result of a node with this signature, None if there is none."""
        return self._results.get(signature)

    def put(self, signature: str, result: StoredResult) -> None:
        """Remember a result."""
        self._results[signature] = result

    def keep_only(self, signatures: Collection[str]) -> None:
        """Forget every result whose signature is not among `signatures`."""
        kept = set(signatures)
        self._results = {key: value for key, value in self._results.items() if key in kept}


class Signer:
    """Computes the signatures of the nodes of one prompt, each once.

    Args:
        prompt: the running prompt; it may grow.
        definitions: of every class that is needed; they may grow with it.
        node_classes: for `IS_CHANGED` and the flags of the classes.
        known: ids of nodes whose results were computed elsewhere, of which nothing is asked.
    """

    def __init__(
        self,
        prompt: LivePrompt,
        definitions: Mapping[str, NodeDefinition],
        node_classes: Mapping[str, type],
        known: Container[str] = (),
    ) -> None:
        self.prompt = prompt
        self.definitions = definitions
        self.node_classes = node_classes
        self.known = known
        self.signatures: dict[str, str] = {}

    def sign(self, node_id: str) -> str:
        """The signature of a node; its ancestors are signed on the way, without recursion."""
        pending, path = [node_id], set()
        while pending:
            current = pending[-1]
            if current in self.signatures:
                pending.pop()
                continue
            path.add(current)
            # What is on the path already closes a circle, which an expansion can do; it equals nothing.
            missing = [source for source in self._sources(current) if not (source in self.signatures or source in path)]
            if missing:
                pending += missing
            else:
                self.signatures[current] = self._digest(current)
                path.discard(pending.pop())
        return self.signatures[node_id]

    def _sources(self, node_id: str) -> Iterator[str]:
        if node_id not in self.known:
            yield from (value[0] for value in self.prompt[node_id]["inputs"].values() if is_link(value))

    def _digest(self, node_id: str) -> str:
        node = self.prompt[node_id]
        if node_id in self.known:
            return f"known {node_id}"
        node_class = self.node_classes[node["class_type"]]
        definition = self.definitions[node["class_type"]]
        # What a node expands into belongs to it: rounds of a loop that look alike run each for itself.
        parent = self.prompt.get_parent_node_id(node_id) or ""
        parts = [parent, node["class_type"], node_class.__module__, node_class.__qualname__]
        if getattr(node_class, "NOT_IDEMPOTENT", False) or "UNIQUE_ID" in definition.hidden.values():
            parts.append(f"id {node_id}")
        if hasattr(node_class, "IS_CHANGED"):
            parts.append("changed " + encode(self._fingerprint(node_id, definition, node_class)))
        for name, value in sorted(node["inputs"].items()):
            if is_link(value):
                signature = self.signatures.get(value[0]) or f"unique {next(_UNIQUE)}"
                parts.append(f"link {name!r} {value[1]} {signature}")
            else:
                parts.append(f"value {name!r} {encode(constant(value))}")
        # Lengths keep neighbours apart whatever the parts contain.
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def _fingerprint(self, node_id: str, definition: NodeDefinition, node_class: Any) -> Any:
        """What `IS_CHANGED` says; a failure counts as always changed, and the node itself will say why."""
        arguments = static_arguments(definition, node_id, self.prompt[node_id]["inputs"])
        try:
            as_lists = getattr(node_class, "INPUT_IS_LIST", False)
            return call_mapped(node_class.IS_CHANGED, arguments, as_lists=as_lists)[0]
        except Exception as error:
            LOGGER.warning("node %s (%s): IS_CHANGED failed with %r", node_id, definition.class_type, error)
            return math.nan


def encode(value: Any) -> str:
    """A text that is equal for equal values only; NaN and objects of unknown kinds equal nothing."""
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return repr(value)
    if isinstance(value, float):
        return f"unique {next(_UNIQUE)}" if math.isnan(value) else repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(encode, value)) + "]"
    if isinstance(value, Mapping):
        items = sorted(((encode(key), encode(item)) for key, item in value.items()))
        return "{" + ",".join(f"{key}:{item}" for key, item in items) + "}"
    return f"unique {next(_UNIQUE)}"
