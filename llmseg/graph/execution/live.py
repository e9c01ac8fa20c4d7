"""The prompt while it runs: the nodes of the file, and those that nodes expand into.

Not here: running them (`executor`), what an expansion must look like (`expansion`).

Source: the ComfyUI server (``comfy_execution.graph.DynamicPrompt``), restated; nodes that ask for DYNPROMPT call
the accessors by its names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LivePrompt"]


class LivePrompt:
    """The nodes of a run by id.

    Args:
        original: the validated prompt; it is not changed.
    """

    def __init__(self, original: Mapping[str, Any]) -> None:
        self._original = original
        self._added: dict[str, Mapping[str, Any]] = {}
        self._parents: dict[str, str] = {}
        self._real: dict[str, str] = {}
        self._displayed: dict[str, str] = {}

    def __getitem__(self, node_id: str) -> Any:
        node = self._added.get(node_id)
        return self._original[node_id] if node is None else node

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._added or node_id in self._original

    def add(self, node_id: str, node: Mapping[str, Any], parent: str) -> None:
        """Take in a node that `parent` expanded into; it may say on whose behalf it is displayed."""
        shown = node.get("override_display_id", parent)
        self._added[node_id] = node
        self._parents[node_id] = parent
        self._real[node_id] = self.get_real_node_id(parent)
        self._displayed[node_id] = self.get_display_node_id(shown)

    @property
    def added(self) -> Mapping[str, Mapping[str, Any]]:
        """The nodes that came from expansions."""
        return self._added

    def get_node(self, node_id: str) -> Any:
        """The node with this id."""
        return self[node_id]

    def has_node(self, node_id: str) -> bool:
        """Whether there is such a node, now."""
        return node_id in self

    def all_node_ids(self) -> set[str]:
        """The ids of the file and of all expansions so far."""
        return {*self._original, *self._added}

    def get_original_prompt(self) -> Mapping[str, Any]:
        """The prompt without expansions."""
        return self._original

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that expanded into this one, None for a node of the file."""
        return self._parents.get(node_id)

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the file behind a node."""
        return self._real.get(node_id, node_id)

    def get_display_node_id(self, node_id: str) -> str:
        """The node that a person sees for a node."""
        return self._displayed.get(node_id, node_id)
