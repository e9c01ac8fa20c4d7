"""The input sockets of a node in the order in which the editor of today would build them.

The saved list is only a hint: names and links come from the file, order and types from the class.
Not here: which socket a bypassed node passes on (`resolution`).

Sources: the ComfyUI frontend (``litegraphService``), restated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..definitions import NodeDefinition
from ..inputs import ANY, AUTOGROW, DYNAMIC_COMBO, MATCH, InputSpec, type_name

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
    Rows that the class does not know follow with their links, unless they belonged to a widget or to an option that
    is not chosen: those are gone.
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
    # A widget without a socket of its own still takes the link that an old file gave it.
    shown = {spec.name: spec for spec in definition.shown_inputs(values)}
    lost = tuple(f"{name}." for name, spec in shown.items() if spec.type == DYNAMIC_COMBO)
    kept = [row for row in by_name.values() if not row.name.startswith(lost) and (not row.widget or row.name in shown)]
    return sockets + kept[::-1]


def _with_children(spec: InputSpec, values: Mapping[str, object]) -> Iterator[Socket]:
    if not spec.has("socketless"):
        yield _declared(spec)
    for child in spec.children(values.get(spec.name, spec.default)):
        yield from _with_children(child, values)


def _declared(spec: InputSpec) -> Socket:
    return Socket(spec.name, spec.type, widget=spec.owns_widget)


def _members(spec: InputSpec, rows: Sequence[Socket]) -> Iterator[Socket]:
    """The members of a growing input: up to the last linked one, and one spare."""
    members = spec.members()
    least = sum(member.required for member in members)
    linked = {row.name for row in rows if row.link is not None}
    last = max((number for number, member in enumerate(members) if member.name in linked), default=-1)
    for member in members[: max(least, last + 2)]:
        yield Socket(member.name, member.type, widget=member.owns_widget)
