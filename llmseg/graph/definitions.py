"""What a node class declares: its inputs and its outputs.

A definition comes from a V1 class or a record of a server's ``/object_info``; nothing later knows which.
Not here: one input (`inputs`), values (`widgets`), rules about values (`validation`).

Sources: the ComfyUI server (``nodes.py``, ``/object_info``), restated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..errors import InputError
from .inputs import (
    ANY,
    DYNAMIC_TYPES,
    MATCH,
    UPLOAD_FLAGS,
    InputSpec,
    WidgetSlot,
    read_groups,
    type_name,
)
from .places import shown

__all__ = ["ANY", "MATCH", "InputSpec", "NodeDefinition", "WidgetSlot", "define_nodes", "type_name"]


@dataclass(frozen=True)
class NodeDefinition:
    """One node class as the graph sees it.

    Args:
        class_type: the name under which the class is registered.
        inputs: required, then optional inputs, in the order of the class.
        hidden: name of each hidden input and what it asks for, such as ``UNIQUE_ID``.
        output_types: type of each output as declared: a string, or a combo's list.
        display_name: what the editor shows as the default title.
        output_node: whether running this node is a purpose in itself.
    """

    class_type: str
    inputs: tuple[InputSpec, ...] = ()
    hidden: Mapping[str, str] = field(default_factory=dict)
    output_types: tuple[Any, ...] = ()
    display_name: str = ""
    output_node: bool = False

    @classmethod
    def from_class(cls, class_type: str, node_class: type) -> NodeDefinition:
        """Read a V1 node class.

        Raises:
            InputError: the class does not follow the V1 protocol.
        """
        place = f"class {class_type!r}"
        try:
            groups = node_class.INPUT_TYPES()  # type: ignore[attr-defined]
        except Exception as error:
            raise InputError(f"INPUT_TYPES failed with {error!r}; expected a dictionary.", place=place) from error
        return cls(
            class_type=class_type,
            inputs=tuple(read_groups(groups, {}, place=place)),
            hidden=_read_hidden(groups, place),
            output_types=tuple(getattr(node_class, "RETURN_TYPES", ())),
            display_name=class_type,
            output_node=getattr(node_class, "OUTPUT_NODE", False) is True,
        )

    @classmethod
    def from_object_info(cls, class_type: str, record: Mapping[str, Any]) -> NodeDefinition:
        """Read one record of a server's ``/object_info``.

        Raises:
            InputError: the record has another shape.
        """
        place = f"object_info, class {class_type!r}"
        if not isinstance(record, Mapping):
            raise InputError(f"{shown(record)}; expected an object.", place=place)
        groups, order = record.get("input") or {}, record.get("input_order") or {}
        return cls(
            class_type=class_type,
            inputs=tuple(read_groups(groups, order, place=place)),
            hidden=_read_hidden(groups, place),
            output_types=tuple(record.get("output") or ()),
            display_name=str(record.get("display_name") or class_type),
            output_node=record.get("output_node") is True,
        )

    @cached_property
    def is_dynamic(self) -> bool:
        """Whether some inputs only exist while others hold certain values or links."""
        return any(spec.type in DYNAMIC_TYPES for spec in self.inputs)

    def shown_inputs(self, values: Mapping[str, object]) -> list[InputSpec]:
        """All inputs while the widgets hold `values`, the children of dynamic ones behind their parent."""
        if not self.is_dynamic:
            return list(self.inputs)
        pending, found = list(reversed(self.inputs)), []
        while pending:
            spec = pending.pop()
            found.append(spec)
            pending += reversed(spec.children(values.get(spec.name, spec.default)))
        return found

    def find_input(self, name: str, values: Mapping[str, object]) -> InputSpec | None:
        """The input called `name` while the widgets hold `values`, None if there is none."""
        return next((spec for spec in self.shown_inputs(values) if spec.name == name), None)

    @property
    def upload_slot(self) -> WidgetSlot | None:
        """The button slot that upload classes save behind everything else."""
        for spec in self.inputs:
            if spec.required and spec.choices is not None and any(map(spec.has, UPLOAD_FLAGS)):
                return WidgetSlot("upload", "upload")
        return None


def define_nodes(
    node_classes: Mapping[str, type], display_names: Mapping[str, str] | None = None
) -> dict[str, NodeDefinition]:
    """The definition of every class of a registry; a class without a display name shows its own."""
    names = display_names or {}
    return {
        name: replace(NodeDefinition.from_class(name, node_class), display_name=names.get(name, name))
        for name, node_class in node_classes.items()
    }


def _read_hidden(groups: Mapping[str, Any], place: str) -> dict[str, str]:
    hidden = groups.get("hidden") or {}
    if not isinstance(hidden, Mapping):
        raise InputError(f"'hidden' is {shown(hidden)}; expected a dictionary.", place=place)
    return {name: str(asks[0]) if isinstance(asks, (list, tuple)) else str(asks) for name, asks in hidden.items()}
