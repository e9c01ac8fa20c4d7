"""Whether the inputs of one node fit what its class declares, and the values that it will really get.

Not here: which nodes are checked, and what a faulty node means for others (`validation`).

Sources: the ComfyUI server (``execution.py``, ``comfy_execution/validation.py``), restated.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UnknownNameError
from .definitions import NodeDefinition
from .dynamic import live_inputs
from .execution.calls import call_mapped, constant, is_blocker, static_arguments
from .inputs import ANY, MATCH, InputSpec, type_name
from .places import shown
from .shapes import is_link

__all__ = ["Fault", "NodeChecker", "types_fit"]

COERCIONS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one input; `text` is the message without its place."""

    input_name: str
    type: str
    text: str


class NodeChecker:
    """Checks nodes of one prompt.

    Args:
        prompt: all nodes.
        definitions: of every usable class in the prompt.
        node_classes: the classes themselves, for their own checks.
    """

    def __init__(
        self,
        prompt: Mapping[str, Any],
        definitions: Mapping[str, NodeDefinition],
        node_classes: Mapping[str, type],
    ) -> None:
        self.prompt = prompt
        self.definitions = definitions
        self.node_classes = node_classes

    def check(self, node_id: str) -> tuple[dict[str, Any], list[Fault]]:
        """The inputs of a node with its constants coerced, and every fault."""
        node = self.prompt[node_id]
        definition = self.definitions[node["class_type"]]
        inputs, faults = dict(node["inputs"]), []
        asked = _validator_inputs(self.node_classes[node["class_type"]])
        received: dict[str, Any] = {}
        specs = live_inputs(definition, inputs)
        for spec in specs:
            if spec.name not in inputs:
                if spec.required:
                    text = f"missing; expected {_declared_name(spec)}."
                    faults.append(Fault(spec.name, "required_input_missing", text))
            elif isinstance(inputs[spec.name], list):
                faults += self._check_link(node_id, spec, inputs[spec.name], received, asked)
            else:
                exempt = asked is not None and (spec.name in asked or ANY in asked)
                faults += _check_constant(spec, inputs, exempt)
        declared = {spec.name for spec in specs}
        for name, value in inputs.items():
            if is_link(value) and value[0] not in self.prompt and name not in declared:
                faults.append(self._lost_source(node_id, name, value[0]))
        if asked is not None and not any(fault.input_name in asked or ANY in asked for fault in faults):
            faults += self._ask_class(node_id, definition, inputs, received, asked)
        return inputs, faults

    def _check_link(
        self, node_id: str, spec: InputSpec, link: list[Any], received: dict[str, Any], asked: set[str] | None
    ) -> Iterator[Fault]:
        if not is_link(link):
            text = f"{shown(link)} is no link; expected [node id, output number]."
            yield Fault(spec.name, "bad_linked_input", text + ' Wrap a list value: {"__value__": [...]}.')
            return
        source_id, slot = link
        source = self.prompt.get(source_id)
        if source is None:
            yield self._lost_source(node_id, spec.name, source_id)
            return
        definition = self.definitions.get(source["class_type"])
        if definition is None:
            return  # reported once, at the source
        types = definition.output_types
        if not 0 <= slot < len(types):
            outputs = f"an output from 0 to {len(types) - 1}" if types else "a node with outputs"
            text = f"linked to output {slot} of node {source_id} ({source['class_type']}); expected {outputs}."
            yield Fault(spec.name, self._exception_type(node_id), text)
            return
        received[spec.name] = types[slot]
        if not (asked and "input_types" in asked) and not types_fit(types[slot], spec.declared):
            text = f"linked to {type_name(types[slot])} of node {source_id}; expected {spec.type}."
            yield Fault(spec.name, "return_type_mismatch", text)

    def _lost_source(self, node_id: str, name: str, source_id: str) -> Fault:
        text = f"linked to node {source_id!r}, which does not exist; expected a node of this prompt."
        return Fault(name, self._exception_type(node_id), text)

    def _exception_type(self, node_id: str) -> str:
        """The server meets these as exceptions, and names them after where it was at the time."""
        is_output = self.definitions[self.prompt[node_id]["class_type"]].output_node
        return "exception_during_validation" if is_output else "exception_during_inner_validation"

    def _ask_class(
        self,
        node_id: str,
        definition: NodeDefinition,
        inputs: Mapping[str, Any],
        received: Any,
        asked: set[str],
    ) -> Iterator[Fault]:
        """What the class itself says in `VALIDATE_INPUTS`, given only what it names; links are None."""
        arguments = static_arguments(definition, node_id, inputs)
        if ANY not in asked:
            arguments = {name: items for name, items in arguments.items() if name in asked}
        names = list(arguments)
        if "input_types" in asked:
            arguments["input_types"] = [dict(received)]
        node_class: Any = self.node_classes[definition.class_type]
        try:
            verdicts, _ = call_mapped(
                node_class.VALIDATE_INPUTS, arguments, as_lists=getattr(node_class, "INPUT_IS_LIST", False)
            )
        except Exception as error:
            text = f"VALIDATE_INPUTS failed with {error!r}; expected True or a message."
            yield Fault("", self._exception_type(node_id), text)
            return
        for verdict in verdicts:
            if verdict is not True and not is_blocker(verdict):
                text = verdict if isinstance(verdict, str) else "refused by its class; expected another value."
                yield from (Fault(name, "custom_validation_failed", text) for name in names or [""])


def types_fit(received: Any, declared: Any) -> bool:
    """The server's rule for links: any, equal, or a common member of a union, in the same case."""
    # `not !=` and not `==`: packs define text types whose != always answers False, to accept anything.
    same = not received != declared  # noqa: SIM202
    if same or ANY in (str(received), str(declared)) or MATCH in (received, declared):
        return True
    if isinstance(received, (list, tuple)):
        return bool(declared == "COMBO")
    if not isinstance(received, str) or not isinstance(declared, str):
        return False
    members = [{part.strip() for part in types.split(",")} for types in (received, declared)]
    return not members[0].isdisjoint(members[1])


def _check_constant(spec: InputSpec, inputs: dict[str, Any], exempt: bool) -> Iterator[Fault]:
    """Coerce one constant in place; limits and choices are left to the class if `exempt`."""
    value = constant(inputs[spec.name])
    coerce = COERCIONS.get(spec.type)
    if coerce is not None:
        try:
            value = coerce(value)
        except (TypeError, ValueError, OverflowError):
            yield Fault(spec.name, "invalid_input_type", f"{shown(value)}; expected {spec.type}.")
            return
    # A list stays in its wrapper, so that nothing takes it for a link later.
    inputs[spec.name] = {"__value__": value} if isinstance(value, list) else value
    if exempt:
        # A class that judges for itself is shown None for a link too, and cannot tell a null of the file from it.
        if value is None and spec.choices is not None and None not in spec.choices:
            yield Fault(spec.name, "value_not_in_list", "null; expected one of its choices.")
        return
    if isinstance(value, (int, float)):
        least, most = spec.options.get("min"), spec.options.get("max")
        if value != value and (least, most) != (None, None):  # NaN passes every comparison with a limit
            yield Fault(spec.name, "invalid_input_type", f"{shown(value)}; expected a number.")
        if least is not None and value < least:
            yield Fault(spec.name, "value_smaller_than_min", f"{shown(value)}; expected at least {least}.")
        if most is not None and value > most:
            yield Fault(spec.name, "value_bigger_than_max", f"{shown(value)}; expected at most {most}.")
    yield from _check_choice(spec, value)


def _check_choice(spec: InputSpec, value: Any) -> Iterator[Fault]:
    choices = spec.choices
    # Choices declared as a tuple are never enforced; remote ones are known to the editor only.
    if choices is None or isinstance(spec.declared, tuple) or spec.options.get("remote"):
        return
    several = spec.options.get("multiselect") or spec.options.get("multi_select")
    for item in value if several and isinstance(value, list) else [value]:
        if item not in choices:
            error = UnknownNameError(item, map(str, choices), place="")
            yield Fault(spec.name, "value_not_in_list", error.problem)


def _declared_name(spec: InputSpec) -> str:
    return "one of its choices" if spec.choices is not None else spec.type


def _validator_inputs(node_class: type) -> set[str] | None:
    """The names that `VALIDATE_INPUTS` takes, `*` among them if it takes all; None without the method."""
    validator = getattr(node_class, "VALIDATE_INPUTS", None)
    if validator is None:
        return None
    parameters = inspect.signature(validator).parameters.values()
    names = {
        ANY if one.kind is one.VAR_KEYWORD else one.name for one in parameters if one.kind is not one.VAR_POSITIONAL
    }
    return names or None
