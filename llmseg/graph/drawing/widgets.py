"""From the positional `widgets_values` of a saved node to values by input name.

The list also holds entries that are nobody's input: what to do with a seed after a run, a filter text, an
upload button.
Not here: which inputs own a widget (`definitions`), values promoted to a subgraph (`subgraphs`).

Sources: the ComfyUI frontend (``litegraphService``, ``migrateWidgetsValues``), restated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..definitions import NodeDefinition
from ..inputs import DYNAMIC_COMBO, InputSpec, WidgetSlot
from ..places import shown

__all__ = ["read_widgets"]

CONTROL_WORDS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
SAMPLERS = ("KSampler", "KSamplerAdvanced")  # very old files wrote their samplers as sample_euler


def read_widgets(
    definition: NodeDefinition,
    saved: Sequence[Any] | Mapping[str, Any] | None,
    named: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], str]:
    """Give every widget of a node its value.

    Args:
        definition: the node's class.
        saved: `widgets_values` of the file; packs of their own may save an object.
        named: `widgets_values_named` of the file, used where the list does not fit the class.

    Returns:
        Value by input name in the order of the widgets, and a warning, empty if all is well.
    """
    if isinstance(saved, Mapping):
        return _finish(definition, _by_name(definition, saved)), ""
    row = list(saved or ())
    slots = _expected_slots(definition, row)
    if len(row) != len(slots):
        undummied = _without_dummies(definition, row)
        twice = _expected_slots(definition, row, saved_again=True)
        if undummied is not None:
            row, slots = undummied, _expected_slots(definition, undummied)
        elif len(row) == len(twice):
            slots = twice
        elif isinstance(named, Mapping):
            return _finish(definition, _by_name(definition, named)), ""
    values, lost = _by_position(slots, row)
    warning = ""
    if lost is not None:
        warning = f"widgets_values hold {shown(lost)} where a control word was expected; read as saved without it"
        slots = _expected_slots(definition, _in_slots(slots, row))
        values, _ = _by_position(slots, row)
    return _finish(definition, values), warning


def _expected_slots(definition: NodeDefinition, row: Sequence[Any], *, saved_again: bool = False) -> list[WidgetSlot]:
    """The slots of the class; `row` says which children a dynamic combo shows.

    A file that the editor has loaded and saved again holds the control slots of a dynamic combo's first option once
    more, behind the children of the option that is chosen.
    """
    slots: list[WidgetSlot] = []
    pending: list[InputSpec | WidgetSlot] = list(reversed(definition.inputs))
    while pending:
        spec = pending.pop()
        if isinstance(spec, WidgetSlot):
            slots.append(spec)
            continue
        value = row[len(slots)] if len(slots) < len(row) else spec.default
        if saved_again and spec.type == DYNAMIC_COMBO:
            first = spec.children(spec.choices[0] if spec.choices else None)
            pending += [slot for child in first for slot in child.slots() if slot.kind == "control"]
        pending += reversed(spec.children(value))
        if spec.owns_widget:
            slots += spec.slots()
    if definition.upload_slot:
        slots.append(definition.upload_slot)
    return slots


def _by_position(slots: Sequence[WidgetSlot], row: Sequence[Any]) -> tuple[dict[str, Any], Any]:
    """Values by name, and the first value that stood where a control word should (None if all fit).

    A row of the right length is never questioned: a control slot may hold anything in old files.
    """
    values: dict[str, Any] = {}
    cursor, lost, absent = 0, None, False
    for slot in slots:
        if cursor >= len(row):
            break
        if slot.kind == "control" and len(row) != len(slots):
            absent = not (isinstance(row[cursor], bool) or row[cursor] in CONTROL_WORDS)
            if absent:
                lost = row[cursor] if lost is None else lost
                continue
        if slot.kind == "filter" and absent:
            continue
        if slot.kind == "value":
            values[slot.name] = row[cursor]
        cursor += 1
    return values, lost


def _in_slots(slots: Sequence[WidgetSlot], row: Sequence[Any]) -> list[Any]:
    """`row` with the absent control slots put back, so that dynamic combos are read at the right place."""
    values, _ = _by_position(slots, row)
    return [values.get(slot.name) if slot.kind == "value" else "fixed" for slot in slots]


def _without_dummies(definition: NodeDefinition, row: list[Any]) -> list[Any] | None:
    """The row without the dummies that files before frontend 1.16 hold for `forceInput` inputs.

    None if the row is not from such a file.
    """
    dummies: list[bool] = []
    for spec in definition.inputs:
        forced = spec.has("forceInput")
        controlled = spec.has("control_after_generate") if forced else len(spec.slots()) > 1
        if forced or spec.owns_widget:
            dummies += [forced, False] if controlled else [forced]
    if not any(dummies) or len(dummies) != len(row):
        return None
    return [value for value, dummy in zip(row, dummies, strict=True) if not dummy]


def _by_name(definition: NodeDefinition, named: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that the class knows; names of control slots are unreliable and never read."""
    return {spec.name: named[spec.name] for spec in definition.shown_inputs(named) if spec.name in named}


def _finish(definition: NodeDefinition, values: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults for what is missing, and the two repairs that the editor makes on load."""
    finished = {}
    for spec in definition.shown_inputs(values):
        if spec.owns_widget:
            finished[spec.name] = _repaired(definition, spec, values.get(spec.name, spec.default))
    return finished


def _repaired(definition: NodeDefinition, spec: InputSpec, value: Any) -> Any:
    if value is None and spec.choices:
        return spec.choices[0]
    if definition.class_type in SAMPLERS and spec.name == "sampler_name" and isinstance(value, str):
        return value.removeprefix("sample_")
    return value
