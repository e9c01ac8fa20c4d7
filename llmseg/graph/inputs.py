"""The declared inputs of a node class: their types, the widgets they own, and the inputs inside dynamic ones.

A dynamic input is a rule that makes inputs: one for each link (growing), those of the chosen option (dynamic
combo), or rows of fields (dynamic group). Their names are dotted: ``parent.child``.
Not here: a whole class (`definitions`), values (`widgets`), rules about values (`checks`).

Sources: the ComfyUI server (``comfy_api.latest._io``) and its frontend's widget rules, restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import InputError
from .places import shown

__all__ = [
    "ANY",
    "AUTOGROW",
    "DYNAMIC_COMBO",
    "DYNAMIC_GROUP",
    "DYNAMIC_TYPES",
    "MATCH",
    "InputSpec",
    "WidgetSlot",
    "read_groups",
    "type_name",
]

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
DYNAMIC_TYPES = (AUTOGROW, DYNAMIC_COMBO, DYNAMIC_GROUP)
MOST_MEMBERS = 1000  # of one growing input or group; the server's own limits are 100 and 20

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

    def has(self, option: str) -> bool:
        """Whether an option is set, as the editor's language sees it: an empty list or object counts as set."""
        value = self.options.get(option)
        return not (value is None or value is False or value == 0 or value == "" or value != value)

    @property
    def choices(self) -> list[Any] | None:
        """The choices of a combo or the keys of a dynamic combo, None for any other type."""
        if isinstance(self.declared, (list, tuple)):
            return list(self.declared)
        if self.type == DYNAMIC_COMBO:
            return [option.get("key") for option in self._listed("options")]
        if self.type != "COMBO":
            return None
        options = self.options.get("options")
        return list(options) if isinstance(options, (list, tuple)) else []

    @property
    def owns_widget(self) -> bool:
        """Whether the editor draws a widget for it, linked or not."""
        if self.has("forceInput"):
            return False
        return str(self.options.get("widgetType") or self.type) in WIDGET_TYPES

    @property
    def default(self) -> Any:
        """What a fresh widget shows."""
        if "default" in self.options:
            return self.options["default"]
        if self.choices is not None:
            return self.choices[0] if self.choices else None
        if self.type == DYNAMIC_GROUP:
            return self._template.get("min", self.options.get("min")) or 0
        return {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}.get(self.type, "")

    def slots(self) -> list[WidgetSlot]:
        """The slots that this input's widget fills, its own first."""
        slots = [WidgetSlot(self.name)]
        controlled = self.has("control_after_generate")
        if self.type == "COMBO" and controlled:
            slots.append(WidgetSlot(self.name, "control"))
            if not self.has("multi_select"):
                slots.append(WidgetSlot(self.name, "filter"))
        elif self.type == "BOUNDING_BOX":
            slots += [WidgetSlot(self.name, "mirror")] * MIRROR_SLOTS
        elif self.type in ("INT", "FLOAT"):
            silent = self.options.get("control_after_generate") is None
            if controlled or (silent and self.type == "INT" and self.name in SEED_NAMES):
                slots.append(WidgetSlot(self.name, "control"))
        return slots

    def children(self, selected: object) -> list[InputSpec]:
        """What a dynamic combo shows while `selected` is its value, or a dynamic group of that many rows.

        A growing input shows its least number of members and a spare one; only those with widgets are told here.
        """
        if self.type == DYNAMIC_COMBO:
            for option in self._listed("options"):
                if option.get("key") == selected:
                    return list(read_groups(option.get("inputs") or {}, {}, place=self.name, prefix=f"{self.name}."))
        if self.type == AUTOGROW:
            members = self.members()
            return [one for one in members[: sum(one.required for one in members) + 1] if one.owns_widget]
        if self.type == DYNAMIC_GROUP and isinstance(selected, int):
            return [spec for row in range(min(selected, MOST_MEMBERS)) for spec in self.row(row)]
        return []

    def row(self, number: int) -> list[InputSpec]:
        """The fields of one row of a dynamic group, called ``group.<row>.<field>``."""
        return list(read_groups(self._template, {}, place=self.name, prefix=f"{self.name}.{number}."))

    def members(self) -> list[InputSpec]:
        """Every input that a growing input can have, as many of them required as its least number says."""
        template = self._template
        groups = template.get("input")
        kinds = groups.values() if isinstance(groups, Mapping) else ()
        specs = [spec for kind in kinds if isinstance(kind, Mapping) for spec in kind.values()]
        least, most = _count(template.get("min"), 0), _count(template.get("max"), MOST_MEMBERS)
        names = template.get("names")
        if not isinstance(names, (list, tuple)):
            names = [f"{template.get('prefix', '')}{number}" for number in range(most)]
        member = _read_spec(self.name, specs[0] if specs else (ANY,), True, self.name)
        return [
            InputSpec(f"{self.name}.{name}", member.declared, number < least, member.options)
            for number, name in enumerate(names[:MOST_MEMBERS])
        ]

    @property
    def _template(self) -> Mapping[str, Any]:
        template = self.options.get("template")
        return template if isinstance(template, Mapping) else {}

    def _listed(self, option: str) -> list[Mapping[str, Any]]:
        found = self.options.get(option)
        return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, (list, tuple)) else []


def _count(value: object, fallback: int) -> int:
    return max(0, min(value, MOST_MEMBERS)) if isinstance(value, int) else fallback


def type_name(declared: object) -> str:
    """The socket type as text; a list or tuple of choices is ``COMBO``."""
    return "COMBO" if isinstance(declared, (list, tuple)) else str(declared)


def read_groups(
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
