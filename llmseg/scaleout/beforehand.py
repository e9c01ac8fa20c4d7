"""What no image changes is computed once, before the workers start: a language model is asked once, not by each.

Only results that are texts, numbers and phrases travel; encoders and what they give are made by each worker.

Not here: how a result that is known takes the place of a run (`graph.execution`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..graph import NodeDefinition, StoredResult
from ..graph.execution.cache import Signer
from ..graph.execution.live import LivePrompt
from ..graph.execution.schedule import links_of
from ..llm import LanguageModel
from ..types import ClassList, Expansion

__all__ = ["find_shared", "is_plain", "nodes_behind"]

PLAIN_TYPES = {"STRING", "INT", "FLOAT", "BOOLEAN", "LLMSEG_CLASS_NAMES", "LLMSEG_EXPANSION", "LLMSEG_LLM"}
PLAIN_VALUES = (str, int, float, bool, type(None), ClassList, Expansion, LanguageModel)


def find_shared(
    prompt: Mapping[str, Any],
    slot_node: str,
    outputs: Sequence[str],
    definitions: Mapping[str, NodeDefinition],
    classes: Mapping[str, type],
) -> list[str]:
    """The nodes whose results are handed to the workers.

    They are read by others that the outputs surely need, do not depend on the image, give nothing but plain
    values, save and show nothing, and would not run anew for every image anyway.

    Args:
        prompt: a validated prompt.
        slot_node: the node that brings the image.
        outputs: ids of the outputs that can run.
        definitions: of every class in the prompt.
        classes: the registry.
    """
    graph = _Graph(prompt, slot_node, definitions)
    signers = [Signer(LivePrompt(prompt), definitions, classes) for _ in range(2)]
    found: dict[str, None] = {}
    pending, seen = list(outputs), set(outputs)
    while pending:
        for source in graph.needs(pending.pop()):
            if source in seen:
                continue
            seen.add(source)
            # Two signatures of a node that changes at every look differ.
            if graph.is_plain(source) and len({signer.sign(source) for signer in signers}) == 1:
                found[source] = None
            else:
                pending.append(source)
    return list(found)


def nodes_behind(prompt: Mapping[str, Any], node_ids: Sequence[str]) -> set[str]:
    """The nodes themselves and all that they need."""
    pending, seen = list(node_ids), set(node_ids)
    while pending:
        for _, source, _ in links_of(prompt[pending.pop()]["inputs"]):
            if source not in seen:
                seen.add(source)
                pending.append(source)
    return seen


def is_plain(result: StoredResult) -> bool:
    """Whether a result is of values that travel; what a node of other people gives may be anything."""
    return not result.ui and all(_is_plain(item) for items in result.outputs for item in items)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN_VALUES)


@dataclass
class _Graph:
    """Who reads whom in a validated prompt, which has no cycles."""

    prompt: Mapping[str, Any]
    slot_node: str
    definitions: Mapping[str, NodeDefinition]

    def __post_init__(self) -> None:
        self._noisy = {node_id for node_id in self.prompt if node_id == self.slot_node or self._is_output(node_id)}
        readers: dict[str, list[str]] = {}
        for node_id in self.prompt:
            for _, source, _ in links_of(self.prompt[node_id]["inputs"]):
                readers.setdefault(source, []).append(node_id)
        pending = list(self._noisy)  # whatever stands behind the image or behind an output
        while pending:
            for reader in readers.get(pending.pop(), ()):
                if reader not in self._noisy:
                    self._noisy.add(reader)
                    pending.append(reader)

    def needs(self, node_id: str) -> Iterator[str]:
        """What a node surely reads: lazy inputs may never be asked for."""
        lazy = {spec.name for spec in self._definition(node_id).inputs if spec.options.get("lazy")}
        return (source for name, source, _ in links_of(self.prompt[node_id]["inputs"]) if name not in lazy)

    def is_plain(self, node_id: str) -> bool:
        """Whether a node depends on no image and gives texts, numbers and phrases only, as far as it tells.

        One that passes anything on, as a switch does, gives what it reads.
        """
        pending, seen = [node_id], {node_id}
        while pending:
            current = pending.pop()
            types = set(self._definition(current).output_types)
            if current in self._noisy or not types or not types <= PLAIN_TYPES | {"*"}:
                return False
            if "*" in types:
                sources = {source for _, source, _ in links_of(self.prompt[current]["inputs"])} - seen
                seen |= sources
                pending += sources
        return True

    def _is_output(self, node_id: str) -> bool:
        definition = self.definitions.get(self.prompt[node_id]["class_type"])
        return definition is None or definition.output_node  # an unknown class, which no output needs

    def _definition(self, node_id: str) -> NodeDefinition:
        return self.definitions[self.prompt[node_id]["class_type"]]
