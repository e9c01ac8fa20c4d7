"""Dynamic inputs at run time: which ones a node has, and the nested form in which its function takes them.

A prompt names them flat: ``images.image0``, ``resize_type.width``. The function gets ``images={"image0": ...}``
and ``resize_type={"resize_type": "scale dimensions", "width": ...}``.
Not here: what they look like in the editor (`inputs`, `widgets`, `sockets`).

Source: ComfyUI 0.8 ``comfy_api.latest._io``, restated; a growing input without any member, and a combo without its
key, are told as missing, where the server lets the node fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .definitions import NodeDefinition
from .inputs import AUTOGROW, DYNAMIC_COMBO, DYNAMIC_GROUP, InputSpec

__all__ = ["live_inputs", "nested"]


def live_inputs(definition: NodeDefinition, inputs: Mapping[str, Any]) -> list[InputSpec]:
    """The inputs that a node with these `inputs` declares, dynamic ones replaced by what they stand for."""
    if not definition.is_dynamic:
        return list(definition.inputs)
    pending, found = list(reversed(definition.inputs)), []
    while pending:
        spec = pending.pop()
        if spec.type == AUTOGROW:
            pending += reversed(_members(spec, inputs))
        elif spec.type == DYNAMIC_GROUP:
            pending += reversed(spec.children(_row_count(spec, inputs)))
        else:
            found.append(spec)
            pending += reversed(spec.children(inputs.get(spec.name)))
    return found


def nested(function: Callable[..., Any], definition: NodeDefinition) -> Callable[..., Any]:
    """`function` for arguments with flat names; the function itself if no input of the class is dynamic."""
    if not definition.is_dynamic:
        return function

    def call(**arguments: Any) -> Any:
        return function(**nest_arguments(definition, arguments))

    return call


def nest_arguments(definition: NodeDefinition, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of one call, dotted names put into a dictionary for each part, rows into lists."""
    result = dict(arguments)
    for spec in live_inputs(definition, arguments):
        if "." not in spec.name and spec.type != DYNAMIC_COMBO:
            continue
        value = result.pop(spec.name, None)
        if spec.name not in arguments:
            continue
        path = spec.name.split(".")
        if spec.type == DYNAMIC_COMBO:  # its own key stands beside its children, under its own name
            path.append(path[-1])
        inner = result
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    for spec in definition.inputs:
        if spec.type == DYNAMIC_GROUP:
            rows = result.get(spec.name)
            result[spec.name] = [rows[key] for key in sorted(rows, key=int)] if isinstance(rows, dict) else []
    return result


def _members(spec: InputSpec, inputs: Mapping[str, Any]) -> list[InputSpec]:
    members = spec.members()
    present = [member for member in members if member.name in inputs]
    return present or [member for member in members if member.required][:1]


def _row_count(spec: InputSpec, inputs: Mapping[str, Any]) -> int:
    """One more than the highest row of which a field is there."""
    start = f"{spec.name}."
    numbers = [name[len(start) :].partition(".")[0] for name in inputs if name.startswith(start)]
    return 1 + max((int(number) for number in numbers if number.isascii() and number.isdecimal()), default=-1)
