"""Reads what a server says about its node classes: a stored answer of ``/object_info``, plain or gzip.

Not here: what a record means (`definitions`). Source: ComfyUI's ``/object_info`` route, restated.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import InputError
from ..inputs import DYNAMIC_COMBO
from ..places import printable, shown
from .json_text import GZIP, decode_json, parse_json

__all__ = ["read_object_info"]

MAX_INFO = 256 * 1024 * 1024  # of the unpacked text; a server with hundreds of packs says some 20 MiB
EXPECTED = "a server's /object_info"
GROUPS = ("required", "optional", "hidden")


def read_object_info(path: Path) -> dict[str, Any]:
    """The record of every class, by class; shaped so that `NodeDefinition.from_object_info` can read it.

    Raises:
        InputError: the file cannot be read, is too large, or is no such answer.
    """
    source = printable(path.name)
    try:
        with path.open("rb") as file:
            content = _read_unpacked(file)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"cannot be read ({reason}); expected {EXPECTED}.", place=printable(str(path))) from error
    if len(content) > MAX_INFO:
        raise InputError(f"larger than {MAX_INFO} bytes; expected {EXPECTED}.", place=source)
    records = parse_json(decode_json(content, source), source, EXPECTED)
    if not isinstance(records, dict) or not records:
        raise InputError(f"{shown(records)[:80]}; expected {EXPECTED}, an object of node classes.", place=source)
    faults = {class_type: fault for class_type, record in records.items() if (fault := _record_fault(record))}
    if faults:
        class_type, fault = next(iter(faults.items()))
        if len(faults) == len(records):
            raise InputError(f"{fault}.", place=f"{source}, class {shown(class_type)}")
        # One sloppy pack among hundreds must not spoil the rest; a workflow that needs it is told so later.
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        logging.getLogger("llmseg").warning("%s, class %s%s left out: %s.", source, shown(class_type), more, fault)
    return {class_type: record for class_type, record in records.items() if class_type not in faults}


def _read_unpacked(file: BinaryIO) -> bytes:
    packed = file.read(len(GZIP)) == GZIP
    file.seek(0)
    if not packed:
        return file.read(MAX_INFO + 1)
    with gzip.GzipFile(fileobj=file) as stream:
        return stream.read(MAX_INFO + 1)


def _record_fault(record: object) -> str:
    """The first thing that would keep a record from being read as a definition; empty if nothing does."""
    if not isinstance(record, dict) or "input" not in record:
        return f"{shown(record)}; expected an object with 'input'"
    groups, order = record["input"] or {}, record.get("input_order") or {}
    if not isinstance(groups, dict) or not all(isinstance(groups.get(name) or {}, dict) for name in GROUPS):
        return f"'input' is {shown(groups)}; expected an object of groups"
    if not isinstance(order, dict) or not all(map(_is_names, order.values())):
        return f"'input_order' is {shown(order)}; expected lists of names"
    if not isinstance(record.get("output") or [], list):
        return f"'output' is {shown(record['output'])}; expected a list of types"
    for group in GROUPS:
        for name, spec in (groups.get(group) or {}).items():
            bare = group == "hidden" and isinstance(spec, str)
            if not bare and not _is_spec(spec):
                return f"input {shown(name)} is {shown(spec)}; expected [type] or [type, options]"
    return ""


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_spec(value: object) -> bool:
    """Whether it is ``[type]`` or ``[type, options]``; choices, where options hold them, are a list."""
    if not isinstance(value, list) or not value or not isinstance(value[0], (str, list)):
        return False
    options = value[1] if len(value) > 1 and isinstance(value[1], dict) else {}
    choices = options.get("options") or []
    if not isinstance(choices, list):
        return False
    return value[0] != DYNAMIC_COMBO or all(map(_is_option, choices))


def _is_option(value: object) -> bool:
    """Whether it is one choice of a dynamic combo: an object with the inputs that it shows."""
    groups = value.get("inputs") or {} if isinstance(value, dict) else None
    if not isinstance(groups, dict) or not all(isinstance(group or {}, dict) for group in groups.values()):
        return False
    return all(_is_spec(spec) for group in groups.values() for spec in (group or {}).values())
