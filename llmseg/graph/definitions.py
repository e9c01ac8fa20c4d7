"""What a node class declares: its inputs, the widgets these own, and its outputs.

A definition comes from a V1 class or a record of a server's ``/object_info``; nothing later knows which.
Not here: values (`widgets`), rules about values (`validation`).

Sources: the ComfyUI server (``nodes.py``, ``/object_info``) and its frontend's widget rules, restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import InputError
from .places import shown

__all__ = ["ANY", "MATCH", "InputSpec", "NodeDefinition", "WidgetSlot", "define_nodes", "type_name"]

ANY = "*"
MATCH = "COMFY_MATCHTYPE_V3"  # a socket that takes the type of what is linked to it
AUTOGROW = "COMFY_AUTOGROW_V3"
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
DYNAMIC_GROUP = "COMFY_DYNAMICGROUP_V3"

# Types for which the editor draws a widget; every other type is a pure socket.
WIDGET_TYPES = frozenset(
    [
        *("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "MARKDOWN", "TEXTAREA", "CURVE", "RANGE"),
        *("BOUNDING_BOX", "WEBCAM", "LOAD_3D", "AUDIO_RECORD", "AUDIO_UI", "IMAGECOMPARE", "CHART"),
        *("GALLERIA", DYNAMIC_COMBO, DYNAMIC_GROUP),
    ]
)
UPLOAD_FLAGS = ("image_upload", "animated_image_upload", "video_upload")
SEED_NAMES = ("seed", "noise_seed")  # an INT of this name has a control slot unless it says otherwise
MIRROR_SLOTS = 4  # BOUNDING_BOX: x, y, width and height are saved once more, one slot each

SlotKind = Literal["value", "control", "filter", "mirror", "upload"]


@dataclass(frozen=True)
class WidgetSlot:
    """One entry that `widgets_values` is expected to hold."""

    name: str
    kind: SlotKind = "value"


@dataclass(frozen=True)
class InputSpec:
    """One declared input.

    Args:
        name: its name; children of a dynamic combo are called ``parent.child``.
        declared: the type as the class wrote it: a string, or the list or tuple of a combo's choices.
        required: whether the class lists it under ``required``.
        options: the option dictionary, empty if there is none.
    """

    name: str
    declared: Any
    required: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The socket type; ``COMBO`` for a list of choices."""
        return type_name(self.declared)

    @property
    def choices(self) -> list[Any] | None:
        """The choices of a combo, None for any other type."""
        if isinstance(self.declared, (list, tuple)):
            return list(self.declared)
        return list(self.options.get("options") or []) if self.type == "COMBO" else None

    @property
    def owns_widget(self) -> bool:
        """Whether the editor draws a widget for it, linked or not."""
        if self.options.get("forceInput"):
            return False
        return str(self.options.get("widgetType") or self.type) in WIDGET_TYPES

    @property
    def default(self) -> Any:
        """What a fresh widget shows."""
        if "default" in self.options:
            return self.options["default"]
        if self.type == DYNAMIC_COMBO:
            keys = [option.get("key") for option in self.options.get("options") or []]
            return keys[0] if keys else None
        if self.choices is not None:
            return self.choices[0] if self.choices else None
        return {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}.get(self.type, "")

    def slots(self) -> list[WidgetSlot]:
        """The slots that this input's widget fills, its own first."""
        slots = [WidgetSlot(self.name)]
        flag = self.options.get("control_after_generate")
        if self.type == "COMBO":
            if flag:
                slots.append(WidgetSlot(self.name, "control"))
                if not self.options.get("multi_select"):
                    slots.append(WidgetSlot(self.name, "filter"))
        elif self.type == "BOUNDING_BOX":
            slots += [WidgetSlot(self.name, "mirror")] * MIRROR_SLOTS
        elif self.type in ("INT", "FLOAT"):
            implicit = flag is None and self.type == "INT" and self.name in SEED_NAMES
            if flag or implicit:
                slots.append(WidgetSlot(self.name, "control"))
        return slots

    def children(self, selected: object) -> list[InputSpec]:
        """The inputs that a dynamic combo shows while `selected` is its value; none for other types."""
        if self.type != DYNAMIC_COMBO:
            return []
        for option in self.options.get("options") or []:
            if option.get("key") == selected:
                groups = option.get("inputs") or {}
                return list(_read_groups(groups, {}, prefix=self.name + ".", place=self.name))
        return []


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
            inputs=tuple(_read_groups(groups, {}, place=place)),
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
            inputs=tuple(_read_groups(groups, order, place=place)),
            hidden=_read_hidden(groups, place),
            output_types=tuple(record.get("output") or ()),
            display_name=str(record.get("display_name") or class_type),
            output_node=record.get("output_node") is True,
        )

    def shown_inputs(self, values: Mapping[str, object]) -> list[InputSpec]:
        """All inputs while the widgets hold `values`: dynamic combos add the children of their choice."""
        pending, found = list(reversed(self.inputs)), []
        while pending:
            spec = pending.pop()
            found.append(spec)
            if spec.type == DYNAMIC_COMBO:
                pending += reversed(spec.children(values.get(spec.name, spec.default)))
        return found

    def find_input(self, name: str, values: Mapping[str, object]) -> InputSpec | None:
        """The input called `name` while the widgets hold `values`, None if there is none."""
        return next((spec for spec in self.shown_inputs(values) if spec.name == name), None)

    @property
    def upload_slot(self) -> WidgetSlot | None:
        """The button slot that upload classes save behind everything else."""
        for spec in self.inputs:
            if spec.required and spec.choices is not None and any(map(spec.options.get, UPLOAD_FLAGS)):
                return WidgetSlot("upload", "upload")
        return None


def type_name(declared: object) -> str:
    """The socket type as text; a list or tuple of choices is ``COMBO``."""
    return "COMBO" if isinstance(declared, (list, tuple)) else str(declared)


def define_nodes(
    node_classes: Mapping[str, type], display_names: Mapping[str, str] | None = None
) -> dict[str, NodeDefinition]:
    """The definition of every class of a registry; a class without a display name shows its own."""
    names = display_names or {}
    return {
        name: replace(NodeDefinition.from_class(name, node_class), display_name=names.get(name, name))
        for name, node_class in node_classes.items()
    }


def _read_groups(
    groups: object, order: Mapping[str, Sequence[str]], *, place: str, prefix: str = ""
) -> Iterator[InputSpec]:
    """The specs of ``required``, then of ``optional``; names that `order` leaves out come last."""
    if not isinstance(groups, Mapping):
        raise InputError(f"inputs are {shown(groups)}; expected a dictionary of groups.", place=place)
    for group in ("required", "optional"):
        specs = groups.get(group) or {}
        if not isinstance(specs, Mapping):
            raise InputError(f"{group!r} is {shown(specs)}; expected a dictionary of inputs.", place=place)
        listed = [name for name in order.get(group) or () if name in specs]
        for name in dict.fromkeys([*listed, *specs]):
            yield _read_spec(prefix + str(name), specs[name], group == "required", place)


def _read_spec(name: str, spec: object, required: bool, place: str) -> InputSpec:
    if not isinstance(spec, (list, tuple)) or not spec:
        problem = f"{shown(spec)}; expected (type,) or (type, options)."
        raise InputError(problem, place=f"{place}, input {name!r}")
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    return InputSpec(name, spec[0], required, options)


def _read_hidden(groups: Mapping[str, Any], place: str) -> dict[str, str]:
    hidden = groups.get("hidden") or {}
    if not isinstance(hidden, Mapping):
        raise InputError(f"'hidden' is {shown(hidden)}; expected a dictionary.", place=place)
    return {name: str(asks[0]) if isinstance(asks, (list, tuple)) else str(asks) for name, asks in hidden.items()}
