"""Finds the UI form and the API form in parsed JSON, whatever a server or a client wrapped around them.

    [number, id, PROMPT, extra, outputs]         an entry of a queue or of a history
    {"nodes": [...], ...}                        the UI form
    {ID: {"class_type": ..., ...}, ...}          the API form
    {"prompt": PROMPT, "extra_data": {...}}      the body of a request to run it
    {"workflow": ..., "output": ...}             an export with both, or a job as a server lists it
    {ID: {"prompt": [...], "outputs": ...}}      a history

The order of the questions is the order of precedence. Not here: whether the forms are sound (`shapes`).
Sources: ComfyUI's server routes and its page's own test for the API form, restated.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...errors import InputError

__all__ = ["Forms", "find_forms"]

HISTORY_PROMPT, HISTORY_EXTRA = 2, 3  # positions in an entry of a history


@dataclass(frozen=True)
class Forms:
    """The two forms of one workflow as they were found, unchecked; None for what is not there.

    Args:
        editor: the UI form.
        prompt: the API form.
        targets: ids of the only outputs that a request asks for, None for all.
    """

    editor: dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    targets: tuple[str, ...] | None = None

    def completed(self, other: Forms) -> Forms:
        """These forms, and those of `other` where one is missing."""
        editor = other.editor if self.editor is None else self.editor
        targets = other.targets if self.targets is None else self.targets
        return Forms(editor, other.prompt if self.prompt is None else self.prompt, targets)


def find_forms(data: Any, source: str) -> Forms:
    """The forms in `data`, at least one.

    Raises:
        InputError: neither is in there, or several workflows are.
    """
    try:
        forms = _recognise(data)
    except InputError as error:
        error.place = source
        raise
    if forms == Forms() and isinstance(data, dict) and any(map(_is_node, data.values())):
        forms = Forms(prompt=data)  # nearly a prompt; whoever checks it names the nodes that spoil it
    if forms == Forms():
        problem = f"neither a UI workflow nor an API prompt ({reprlib.repr(data)})"
        raise InputError(f"{problem}; expected an object with 'nodes', or nodes with 'class_type'.", place=source)
    return forms


def _recognise(data: Any) -> Forms:
    if isinstance(data, list):
        if len(data) == 1:
            return _recognise(data[0])
        return _read_entry(data) if _is_entry(data) else Forms()
    if not isinstance(data, dict) or not data:
        return Forms()
    if isinstance(data.get("nodes"), list):
        return Forms(editor=data)
    if isinstance(data.get("templates"), list):
        raise InputError("a file of node templates; expected a workflow.")
    if all(map(_is_node, data.values())):
        return Forms(prompt=data)
    forms = _open_envelope(data)
    return _open_history(data) if forms == Forms() else forms


def _open_envelope(data: dict[str, Any]) -> Forms:
    """What the body of a request, a record of a history, or an export with both forms holds."""
    forms = Forms()
    for key in ("workflow", "prompt", "output"):
        inner = data.get(key)
        found = _recognise(inner)
        if key == "prompt" and found == Forms() and isinstance(inner, dict) and inner:
            found = Forms(prompt=inner)  # nothing else can be meant; whoever checks it names what is wrong
        forms = forms.completed(found)
    for extra in (data.get("extra_data"), data):
        forms = forms.completed(Forms(editor=_editor_in(extra)))
    targets = data.get("partial_execution_targets")
    if forms != Forms() and isinstance(targets, list) and all(isinstance(one, str) for one in targets):
        return replace(forms, targets=tuple(targets))
    return forms


def _open_history(data: dict[str, Any]) -> Forms:
    """The only record of a history."""
    records = [record for record in data.values() if isinstance(record, dict) and _is_entry(record.get("prompt"))]
    if len(records) != len(data):
        return Forms()
    if len(records) > 1:
        remedy = "Keep one record, or ask the server for /history/ID."
        raise InputError(f"a history of {len(records)} prompts; expected one. {remedy}")
    return _recognise(records[0])


def _read_entry(entry: list[Any]) -> Forms:
    return Forms(_editor_in(entry[HISTORY_EXTRA]), entry[HISTORY_PROMPT])


def _is_entry(data: object) -> bool:
    """Whether it is ``[number, id, prompt, extra, ...]`` rather than a list of records."""
    if not isinstance(data, list) or not 4 <= len(data) <= 6:
        return False
    return isinstance(data[HISTORY_PROMPT], dict) and not isinstance(data[0], (dict, list))


def _editor_in(extra: object) -> dict[str, Any] | None:
    """The UI form that a request carries along, to be written into pictures."""
    for key in ("extra_pnginfo", "workflow"):
        extra = extra.get(key) if isinstance(extra, Mapping) else None
    return extra if isinstance(extra, dict) and "nodes" in extra else None


def _is_node(value: object) -> bool:
    """The page's own test asks for any class; ours for a name, so that an envelope is never taken for a prompt."""
    return isinstance(value, dict) and isinstance(value.get("class_type"), str) and bool(value["class_type"])
