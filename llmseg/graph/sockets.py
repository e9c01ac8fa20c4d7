"""The input sockets of a node in the order in which the editor of today would build them.

The saved list is only a hint: names and links come from the file, order and types from the class.
Not here: which socket a bypassed node passes on (`resolution`).

Sources: the ComfyUI frontend (``litegraphService``), restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .definitions import ANY, AUTOGROW, MATCH, InputSpec, NodeDefinition, type_name

__all__ = ["Socket", "class_sockets", "read_rows"]


@dataclass
class Socket:
    """One input slot.

    Args:
        link: id of the link that feeds it, None if unlinked.
        widget: whether a widget stands behind it.
    """

    name: str
    type: str
    link: str | None = None
    widget: bool = False


def read_rows(rows: Sequence[Mapping[str, Any]] | None) -> list[Socket]:
    """The sockets as the file lists them."""
    return [
        Socket(
            name=row.get("name", ""),
            type=type_name(row.get("type", "")),
            link=None if row.get("link") is None else str(row["link"]),
            widget=bool(row.get("widget")),
        )
        for row in rows or ()
    ]


def class_sockets(definition: NodeDefinition, values: Mapping[str, object], rows: Sequence[Socket]) -> list[Socket]:
    """The sockets of a class while its widgets hold `values`, linked as the file's `rows` say.

    Pure sockets first, then one socket for each widget; children of a dynamic combo follow their parent.
    Rows that the class does not know follow with their links, unless they belonged to a widget: that is gone.
    """
    sockets: list[Socket] = []
    for spec in definition.inputs:
        if spec.type == AUTOGROW:
            sockets += _members(spec, rows)
        elif not spec.owns_widget:
            sockets.append(_declared(spec))
    for spec in definition.inputs:
        if spec.owns_widget:
            sockets += _with_children(spec, values)
    if definition.upload_slot:
        sockets.append(Socket("upload", "IMAGEUPLOAD", widget=True))
    by_name = {row.name: row for row in reversed(rows)}
    for socket in sockets:
        row = by_name.pop(socket.name, None)
        if row is not None:
            socket.link = row.link
        if socket.type == MATCH:
            socket.type = row.type if row is not None else ANY
    return sockets + [row for row in by_name.values() if not row.widget][::-1]


def _with_children(spec: InputSpec, values: Mapping[str, object]) -> Iterator[Socket]:
    if not spec.options.get("socketless"):
        yield _declared(spec)
    for child in spec.children(values.get(spec.name, spec.default)):
        yield from _with_children(child, values)


def _declared(spec: InputSpec) -> Socket:
    return Socket(spec.name, spec.type, widget=spec.owns_widget)


def _members(spec: InputSpec, rows: Sequence[Socket]) -> Iterator[Socket]:
    """The members of a growing input: up to the last linked one, and one spare."""
    template: Mapping[str, Any] = spec.options.get("template") or {}
    groups = template.get("input") or {}
    member = next((entry[0] for group in groups.values() for entry in group.values()), ANY)
    least = int(template.get("min") or 0)
    names = template.get("names") or [
        f"{template.get('prefix', '')}{number}" for number in range(int(template.get("max") or least))
    ]
    names = [f"{spec.name}.{name}" for name in names]
    linked = {row.name for row in rows if row.link is not None}
    last = max((number for number, name in enumerate(names) if name in linked), default=-1)
    for name in names[: max(least, last + 2)]:
        yield Socket(name, type_name(member))
