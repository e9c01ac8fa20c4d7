"""Checks a whole prompt before anything runs: every problem at once, sorted, and what can still run.

Only nodes that an output needs are checked. Nothing recurses, so a chain of any length is fine.
Not here: the rules for one input (`checks`), exit codes.

Sources: the ComfyUI server (``execution.py``), restated; cycles and unknown classes are reported as problems.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, nearest
from .checks import Fault, NodeChecker
from .definitions import NodeDefinition
from .links import Links
from .places import node_place, node_sort_key, printable, shown
from .shapes import is_link, prompt_faults

__all__ = ["Problem", "Validation", "validate_prompt"]


@dataclass(frozen=True)
class Problem:
    """One reason why an output cannot run.

    Args:
        node_id: the node at fault, empty if the prompt as a whole is.
        type: the server's name for this kind of error.
        message: one complete line.
        dependent_outputs: the outputs that cannot run because of it.
    """

    node_id: str
    class_type: str
    title: str
    input_name: str
    type: str
    message: str
    dependent_outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Validation:
    """The verdict.

    Args:
        prompt: a copy with coerced constants, the one to run.
        outputs: the output nodes that can run, in the order of the prompt.
        problems: sorted by node; empty if all is well.
        warnings: lines about nodes that no output needs.
    """

    prompt: dict[str, Any]
    outputs: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...] = ()


def validate_prompt(
    prompt: Mapping[str, Any],
    node_classes: Mapping[str, type],
    *,
    targets: Collection[str] | None = None,
    strict: bool = False,
    known: Container[str] = (),
) -> Validation:
    """Check everything that the outputs of `prompt` need.

    Args:
        prompt: the API form; it is not changed.
        node_classes: the registry.
        targets: ids of the outputs wanted; all of them if None.
        strict: an unknown class anywhere is a problem and nothing can run, as in the server.
        known: ids of nodes that will not run, for their results were computed elsewhere; they were checked there.
    """
    faults = prompt_faults(prompt)
    if faults:
        return Validation(dict(prompt), (), tuple(Problem("", "", "", "", "invalid_prompt", line) for line in faults))
    return _Validator(prompt, node_classes, known).validate(targets, strict)


class _Validator:
    def __init__(self, prompt: Mapping[str, Any], node_classes: Mapping[str, type], known: Container[str]) -> None:
        self.known = known
        self.prompt = {key: {**node, "inputs": dict(node.get("inputs", {}))} for key, node in prompt.items()}
        self.node_classes = node_classes
        self.definitions: dict[str, NodeDefinition] = {}
        self.broken: dict[str, str] = {}
        for class_type in dict.fromkeys(node["class_type"] for node in self.prompt.values()):
            if class_type in node_classes:
                try:
                    self.definitions[class_type] = NodeDefinition.from_class(class_type, node_classes[class_type])
                except InputError as error:
                    self.broken[class_type] = str(error)

    def validate(self, targets: Collection[str] | None, strict: bool) -> Validation:
        outputs = [
            node_id
            for node_id, node in self.prompt.items()
            if self._is_output(node["class_type"]) and (targets is None or node_id in targets)
        ]
        graph = self._ancestors(outputs)
        unknown = {node_id for node_id, node in self.prompt.items() if node["class_type"] not in self.definitions}
        found = {
            node_id: [self._unusable(node_id)]
            for node_id in unknown
            if node_id in graph.sources or not outputs or strict
        }
        components = graph.components()
        needed_by = self._outputs_by_node(graph, components, outputs)
        checker = NodeChecker(self.prompt, self.definitions, self.node_classes)
        bad: set[str] = set()
        for component in reversed(components):
            for node_id in component:
                if node_id not in unknown and node_id not in self.known:
                    self.prompt[node_id]["inputs"], faults = checker.check(node_id)
                    if faults:
                        found.setdefault(node_id, []).extend(faults)
            cycle = graph.cycle_through(component)
            if cycle:
                found.setdefault(cycle[0], []).append(_cycle_fault(cycle))
            upstream = {source for node_id in component for source in graph.sources[node_id]}
            if cycle or not bad.isdisjoint(upstream) or any(node_id in found for node_id in component):
                bad |= component
        problems = [*self._missing_outputs(outputs), *self._problems(found, needed_by, outputs)]
        idle = sorted(unknown - set(found), key=node_sort_key)
        warnings = tuple(
            f"{node_place(node_id)}: {self._unusable(node_id).text} No output needs it." for node_id in idle
        )
        refused = strict and bool(unknown)
        runnable = () if refused else tuple(node_id for node_id in outputs if node_id not in bad)
        return Validation(self.prompt, runnable, tuple(problems), warnings)

    def _is_output(self, class_type: str) -> bool:
        definition = self.definitions.get(class_type)
        return definition is not None and definition.output_node

    def _ancestors(self, outputs: list[str]) -> Links:
        """Every node that the outputs need."""
        graph = Links()
        pending = list(reversed(outputs))
        for node_id in outputs:
            graph.add(node_id)
        while pending:
            node_id = pending.pop()
            if node_id in self.known:
                continue
            for value in self.prompt[node_id]["inputs"].values():
                if is_link(value) and value[0] in self.prompt:
                    if value[0] not in graph.sources:
                        graph.add(value[0])
                        pending.append(value[0])
                    graph.link(value[0], node_id)
        return graph

    def _outputs_by_node(self, graph: Links, components: list[set[str]], outputs: list[str]) -> dict[str, int]:
        """For each node a bit mask of the outputs that need it: sets of names would grow quadratically."""
        bits = {node_id: 1 << number for number, node_id in enumerate(outputs)}
        masks: dict[str, int] = {}
        for component in components:
            mask = 0
            for node_id in component:
                mask |= bits.get(node_id, 0)
                for consumer in graph.consumers[node_id]:
                    mask |= masks.get(consumer, 0)
            masks.update(dict.fromkeys(component, mask))
        return masks

    def _unusable(self, node_id: str) -> Fault:
        class_type = self.prompt[node_id]["class_type"]
        if class_type in self.broken:
            return Fault("", "exception_during_validation", self.broken[class_type])
        pack = _pack_of(self.prompt[node_id])
        close = nearest(class_type, self.node_classes)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        if pack:
            hint = " Load the pack's folder with --nodes."
        text = f"unknown class {shown(class_type)}{pack}; expected a registered node.{hint}"
        return Fault("", "missing_node_type", text)

    def _missing_outputs(self, outputs: list[str]) -> Iterator[Problem]:
        if not outputs:
            text = "prompt: no output node; expected at least one node that saves or shows something."
            yield Problem("", "", "", "", "prompt_no_outputs", text)

    def _problems(
        self, found: Mapping[str, list[Fault]], needed_by: Mapping[str, int], outputs: list[str]
    ) -> Iterator[Problem]:
        for node_id in sorted(found, key=node_sort_key):
            node = self.prompt[node_id]
            known = node["class_type"] in self.definitions
            mask = needed_by.get(node_id, 0)
            dependents = tuple(output for number, output in enumerate(outputs) if mask >> number & 1)
            meta = node.get("_meta")
            title = str(meta.get("title", "")) if isinstance(meta, Mapping) else ""
            for fault in found[node_id]:
                place = node_place(node_id, node["class_type"] if known else "", fault.input_name)
                if not known and title and title != node["class_type"]:
                    place += f" {shown(title)}"
                yield Problem(
                    node_id=node_id,
                    class_type=node["class_type"],
                    title=title,
                    input_name=fault.input_name,
                    type=fault.type,
                    message=f"{place}: {fault.text}",
                    dependent_outputs=dependents,
                )


def _pack_of(node: Mapping[str, Any]) -> str:
    """Where the file says that a class comes from, as in `` of the pack 'x' 1.2``; empty if it does not."""
    meta = node.get("_meta") or {}
    name = meta.get("cnr_id") or meta.get("aux_id")
    if not isinstance(name, str) or name == "comfy-core":
        return ""
    version = f" {printable(meta['ver'])[:20]}" if isinstance(meta.get("ver"), str) else ""
    return f" of the pack {shown(name)}{version}"


def _cycle_fault(cycle: list[str]) -> Fault:
    ids = [*cycle, cycle[0]]
    route = " -> ".join(ids if len(ids) <= 12 else [*ids[:10], "...", ids[-1]])
    text = f"the links form a cycle, {route}; expected links in one direction. Remove one of them."
    return Fault("", "dependency_cycle", text)
