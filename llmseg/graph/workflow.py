"""Reads a workflow file: UI form, API form, or one of the envelopes that servers and clients write.

A file from somebody else may be empty, huge, deeply nested or not JSON at all; each case is one clear error.
Not here: pictures that carry a workflow, conversion (`editor`), classes and values (`validation`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError, WorkflowError
from .places import shown
from .shapes import editor_faults, prompt_faults

__all__ = ["Workflow", "parse_workflow", "read_workflow"]

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 200  # far above any real file, far below every Python's recursion limit
MAX_DIGITS = 400  # of one number; Python's own limit came only with later patch releases
PICTURES = (".png", ".webp", ".avif", ".mp4", ".webm", ".flac", ".svg", ".glb")

# A string (closed or not, so that scanning stays linear) or one bracket.
TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True)
class Workflow:
    """What one file holds.

    Args:
        source: the file's name, for messages.
        editor: the UI form, None if the file has none.
        prompt: the API form without stale ``is_changed`` values, None if the file has none.
    """

    source: str
    editor: dict[str, Any] | None
    prompt: dict[str, Any] | None


def read_workflow(path: Path) -> Workflow:
    """Read the workflow file at `path`.

    Raises:
        InputError: the file cannot be read, is too large, or is no workflow.
        WorkflowError: it is one, but nodes or links have a wrong shape.
    """
    source = path.name
    if path.suffix.lower() in PICTURES:
        problem = f"workflows inside {path.suffix.lower()} files are not supported yet; expected a JSON file."
        raise InputError(f"{problem} Export the workflow from ComfyUI.", place=source)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"cannot be read ({reason}); expected a workflow file.", place=str(path)) from error
    return decode_workflow(content, source)


def read_stream(stream: BinaryIO, source: str) -> Workflow:
    """Read a workflow from an open binary stream, such as standard input.

    Raises:
        InputError: too large, or no workflow.
        WorkflowError: it is one, but nodes or links have a wrong shape.
    """
    return decode_workflow(stream.read(MAX_BYTES + 1), source)


def decode_workflow(content: bytes, source: str) -> Workflow:
    """Read a workflow from the bytes of a JSON file; errors as in `read_stream`."""
    if len(content) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES} bytes; expected a workflow file.", place=source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8; expected a JSON text file."
        raise InputError(problem, place=source) from error
    return parse_workflow(text, source)


def parse_workflow(text: str, source: str) -> Workflow:
    """Read a workflow from JSON text.

    Args:
        text: the JSON; bare ``NaN`` and ``Infinity`` are accepted, as Python writers emit them.
        source: how messages call it.

    Raises:
        InputError: not JSON, too deep, or no workflow.
        WorkflowError: nodes or links have a wrong shape.
    """
    editor, prompt = _tell_apart(_parse_json(text.removeprefix("\ufeff"), source), source)
    faults = editor_faults(editor) if editor is not None else []
    faults += prompt_faults(prompt) if prompt is not None else []
    if faults:
        raise WorkflowError(faults, place=source)
    return Workflow(source, editor, _without_is_changed(prompt) if prompt is not None else None)


def _parse_json(text: str, source: str) -> Any:
    if not text.strip():
        raise InputError("empty file; expected a workflow as JSON.", place=source)
    depth = 0
    for token in TOKENS.finditer(text):
        if token.group() in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError(f"nested more than {MAX_DEPTH} levels deep; expected a workflow.", place=source)
        elif token.group() in "]}":
            depth -= 1
    try:
        return json.loads(text, parse_int=_parse_int)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"not JSON ({error.msg}, {where}); expected a workflow.", place=source) from error
    except ValueError as error:
        raise InputError(f"{error}; expected a workflow as JSON.", place=source) from error


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _tell_apart(data: Any, source: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The UI form and the API form in `data`; the order of the questions is the order of precedence."""
    if isinstance(data, list) and 4 <= len(data) <= 6 and isinstance(data[2], dict):
        data = data[2]  # an entry of a server's history: [number, id, prompt, ...]
    if isinstance(data, dict):
        if isinstance(data.get("nodes"), list):
            return data, None
        if isinstance(data.get("templates"), list):
            raise InputError("a file of node templates; expected a workflow.", place=source)
        if _is_prompt(data):
            return None, data
        envelope = _open_envelope(data)
        if envelope != (None, None):
            return envelope
    problem = f"neither a UI workflow nor an API prompt ({shown(data)})"
    raise InputError(f"{problem}; expected an object with 'nodes', or nodes with 'class_type'.", place=source)


def _open_envelope(data: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What a ``/prompt`` body, a history record or an export with both forms holds."""
    prompt = next((data[key] for key in ("prompt", "output") if isinstance(data.get(key), dict)), None)
    extra: Any = data
    for key in ("extra_data", "extra_pnginfo"):
        extra = extra.get(key) if isinstance(extra, dict) else None
    editors = [data.get("workflow"), extra.get("workflow") if isinstance(extra, dict) else None]
    editor = next((item for item in editors if isinstance(item, dict) and "nodes" in item), None)
    if editor is None and isinstance(data.get("workflow"), dict) and _is_prompt(data["workflow"]):
        prompt = prompt or data["workflow"]
    return editor, prompt or None


def _is_prompt(data: Mapping[str, Any]) -> bool:
    """The frontend's own test: every value is an object with a class."""
    return bool(data) and all(isinstance(node, dict) and node.get("class_type") for node in data.values())


def _without_is_changed(prompt: dict[str, Any]) -> dict[str, Any]:
    """A copy with ``inputs`` everywhere; a stored ``is_changed`` would be trusted and hide a changed file."""
    return {
        node_id: {
            **{key: value for key, value in node.items() if key != "is_changed"},
            "inputs": dict(node.get("inputs", {})),
        }
        for node_id, node in prompt.items()
    }
