"""Reads a workflow file: UI form, API form, an envelope with one or both, or a picture that carries them.

A file from somebody else may be empty, huge, deeply nested or damaged; each case is one clear error. Where a
file holds both forms and only one is damaged, the other is used, with a warning.
Not here: JSON (`json_text`), what files look like inside (`carriers`), conversion (`editor`), classes and
values (`validation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ...errors import InputError, LLMSegError, WorkflowError
from ..places import printable
from ..shapes import editor_faults, prompt_faults
from .byte_reader import ByteReader
from .carriers import find_texts
from .envelopes import Forms, find_forms
from .json_text import MAX_BYTES, decode_json, parse_json
from .texts import WHOLE, Text

__all__ = ["Prefer", "Workflow", "parse_workflow", "read_stream", "read_workflow"]

Prefer = Literal["", "prompt", "workflow"]

MAX_FAULTS = 100  # beyond this a file is no workflow, and nobody reads on
NAMES = {"prompt": "API prompt", "workflow": "UI workflow"}
REMEDY = "Programs and web sites that pass pictures on often strip it; ask for the file as ComfyUI saved it."


@dataclass(frozen=True)
class Workflow:
    """What one file holds.

    Args:
        source: the file's name, for messages.
        editor: the UI form, None if the file has none.
        prompt: the API form without stale ``is_changed`` values; None if the file has none, or if the
            UI form is to be run. If there is one, it is what runs.
        warnings: what is damaged and was left out, one line each.
        targets: ids of the only outputs that the file asks for, None for all.
    """

    source: str
    editor: dict[str, Any] | None
    prompt: dict[str, Any] | None
    warnings: tuple[str, ...] = ()
    targets: tuple[str, ...] | None = None


def read_workflow(path: Path, prefer: Prefer = "") -> Workflow:
    """Read the workflow file at `path`: JSON, or a picture that carries it; its content decides, not its name.

    Args:
        path: the file.
        prefer: the form to run; empty for the API form if the file has it, else the UI form.

    Raises:
        InputError: the file cannot be read, is too large, is no workflow, or has not the form that `prefer` names.
        WorkflowError: it is one, but nodes or links have a wrong shape.
    """
    try:
        with path.open("rb") as file:
            return read_stream(file, printable(path.name), prefer)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise _unreadable(error, printable(str(path))) from error


def read_stream(stream: BinaryIO, source: str, prefer: Prefer = "") -> Workflow:
    """Read a workflow from an open binary stream, such as standard input; otherwise like `read_workflow`."""
    reader = ByteReader(stream)
    try:
        found = find_texts(reader)
        content = reader.read(MAX_BYTES + 1) if found is None else b""
    except OSError as error:
        raise _unreadable(error, source) from error
    except InputError as error:
        error.place = source
        raise
    if found is not None:
        return _read_texts(*found, source, prefer)
    if len(content) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES} bytes; expected a workflow file.", place=source)
    return parse_workflow(decode_json(content, source), source, prefer)


def parse_workflow(text: str, source: str, prefer: Prefer = "") -> Workflow:
    """Read a workflow from JSON text.

    Args:
        text: the JSON; bare ``NaN`` and ``Infinity`` are accepted, as Python writers emit them.
        source: how messages call it.
        prefer: as in `read_workflow`.

    Raises:
        InputError: not JSON, too deep, no workflow, or without the form that `prefer` names.
        WorkflowError: nodes or links have a wrong shape.
    """
    return _choose(find_forms(parse_json(text, source), source), {}, source, prefer)


def _unreadable(error: Exception, place: str) -> InputError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"cannot be read ({reason}); expected a workflow file.", place=place)


def _read_texts(carrier: str, texts: Mapping[str, Text], source: str, prefer: Prefer) -> Workflow:
    """The workflow in the texts of a picture; a damaged text does not spoil the other."""
    forms, damaged = Forms(), dict[str, LLMSegError]()
    for key in ("prompt", "workflow", WHOLE):
        if key not in texts:
            continue
        place = f"{source}, {key or 'metadata'}"
        try:
            text = texts[key].decode()
            # Servers write null or {} where there is nothing to say.
            if text.strip() not in ("", "null", "{}"):
                forms = forms.completed(find_forms(parse_json(text, place), place))
        except InputError as error:
            error.place = place
            damaged[key or "workflow"] = error
    if forms == Forms() and not damaged:
        if "parameters" in texts:
            problem = f"{carrier} with A1111 'parameters' only; expected a ComfyUI workflow."
            raise InputError(f"{problem} Such settings are no graph and cannot be run.", place=source)
        raise InputError(f"{carrier} without a workflow; expected one that ComfyUI saved. {REMEDY}", place=source)
    return _choose(forms, damaged, source, prefer)


def _choose(forms: Forms, damaged: dict[str, LLMSegError], source: str, prefer: Prefer) -> Workflow:
    """The record of what is there and sound; an error if that is not enough to run what `prefer` asks for."""
    editor, prompt = forms.editor, forms.prompt
    if editor is not None and (faults := editor_faults(editor)):
        damaged["workflow"], editor = _faulty(faults, source), None
    if prompt is not None and (faults := prompt_faults(prompt)):
        damaged["prompt"], prompt = _faulty(faults, source), None
    if prefer and {"prompt": prompt, "workflow": editor}[prefer] is None:
        if prefer in damaged:
            raise damaged[prefer]
        other = next(name for key, name in NAMES.items() if key != prefer)
        problem = f"holds no {NAMES[prefer]}; expected one, as asked for."
        raise InputError(f"{problem} Leave the choice out to run its {other}.", place=source)
    if editor is None and prompt is None:
        raise _joined(list(damaged.values()))
    if prompt is not None:
        prompt = None if prefer == "workflow" else _without_is_changed(prompt)
    warnings = [f"the {NAMES[key]} is damaged and left out: {_first_line(error)}" for key, error in damaged.items()]
    return Workflow(source, editor, prompt, tuple(warnings), forms.targets)


def _faulty(faults: list[str], source: str) -> WorkflowError:
    lines = [printable(fault) for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        lines.append(f"and {len(faults) - MAX_FAULTS} more problems.")
    return WorkflowError(lines, place=source)


def _joined(errors: list[LLMSegError]) -> LLMSegError:
    """One error that says everything that `errors` say."""
    return (
        errors[0] if len(errors) == 1 else WorkflowError([line for error in errors for line in str(error).splitlines()])
    )


def _first_line(error: LLMSegError) -> str:
    return error.problem.split("\n", 1)[0]


def _without_is_changed(prompt: dict[str, Any]) -> dict[str, Any]:
    """A copy with ``inputs`` everywhere; a stored ``is_changed`` would be trusted and hide a changed file.

    Other fields stay, as ``_meta`` does: nothing that runs looks at them, and saved pictures keep them.
    """
    return {
        node_id: {
            **{key: value for key, value in node.items() if key != "is_changed"},
            "inputs": dict(node.get("inputs", {})),
        }
        for node_id, node in prompt.items()
    }
