"""The command line's ``NODE.INPUT=VALUE``: find the node a person means, read the value, put it in.

Not here: the option itself (`run`), whether the value is allowed (`validation`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, nearest
from .definitions import InputSpec, NodeDefinition
from .places import node_place, node_sort_key, shown

__all__ = ["apply_overrides", "find_node"]


def apply_overrides(
    prompt: Mapping[str, Any], definitions: Mapping[str, NodeDefinition], assignments: Sequence[str]
) -> dict[str, Any]:
    """A copy of `prompt` in which every assignment holds; later ones win, links give way.

    NODE is an id, a title, or a class that occurs once; the longest match counts, since titles may hold dots.
    VALUE is taken as typed for STRING inputs and read as JSON for others, where a combo also takes a bare
    word. ``@FILE`` reads a UTF-8 file, ``@@`` is a literal ``@``.

    Raises:
        InputError: no such node or input, several such nodes, or a value that cannot be read.
    """
    changed = {node_id: {**node, "inputs": dict(node.get("inputs", {}))} for node_id, node in prompt.items()}
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        place = f"--set {target}"
        if not equals or "." not in target:
            raise InputError(f"{shown(assignment)}; expected NODE.INPUT=VALUE.", place="--set")
        node_id, name = _find_input(changed, target, place)
        node = changed[node_id]
        definition = definitions.get(node["class_type"])
        spec = definition.find_input(name, node["inputs"]) if definition else None
        if spec is None and name not in node["inputs"]:
            raise _unknown_input(node_id, node, definition, name, place)
        value = _read_value(_read_text(text, place), spec, node["inputs"].get(name), place)
        node["inputs"][name] = {"__value__": value} if isinstance(value, list) else value
    return changed


def find_node(prompt: Mapping[str, Any], name: str, place: str) -> str:
    """The id of the node that a person calls `name`.

    Raises:
        InputError: no such node, or several.
    """
    found = _named(prompt, name, place)
    if found is None:
        raise _unknown_node(prompt, name, place)
    return found


def _find_input(prompt: Mapping[str, Any], target: str, place: str) -> tuple[str, str]:
    """The node and the input name that `target` means; longer node names are tried first."""
    for node_name, input_name in _splits(target):
        found = _named(prompt, node_name, place)
        if found is not None:
            return found, input_name
    raise _unknown_node(prompt, target.rpartition(".")[0], place)


def _named(prompt: Mapping[str, Any], name: str, place: str) -> str | None:
    """The one node called `name`, None if there is none."""
    for found in _matches(prompt, name):
        if len(found) > 1:
            ids = ", ".join(sorted(found, key=node_sort_key))
            raise InputError(f"{name!r} means {len(found)} nodes, {ids}; expected one. Use its id.", place=place)
        if found:
            return found[0]
    return None


def _unknown_node(prompt: Mapping[str, Any], name: str, place: str) -> InputError:
    names = {one for key, node in prompt.items() for one in (key, _title(node), node["class_type"]) if one}
    close = nearest(name, sorted(names))
    hint = f" Did you mean {close[0]!r}?" if close else ""
    problem = f"unknown node {name!r}; expected the id, the title or the class of a node.{hint}"
    return InputError(problem, place=place)


def _splits(target: str) -> Iterator[tuple[str, str]]:
    parts = target.split(".")
    for number in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:number]), ".".join(parts[number:])


def _matches(prompt: Mapping[str, Any], name: str) -> Iterator[list[str]]:
    """Nodes called `name`, by ever weaker readings: id, title, class; as written, then in any case."""
    yield [name] if name in prompt else []
    folded = name.casefold()
    yield [key for key, node in prompt.items() if _title(node) == name]
    yield [key for key, node in prompt.items() if node["class_type"] == name]
    yield [key for key, node in prompt.items() if _title(node).casefold() == folded]
    yield [key for key, node in prompt.items() if node["class_type"].casefold() == folded]


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(meta.get("title", "")) if isinstance(meta, Mapping) else ""


def _unknown_input(
    node_id: str, node: Mapping[str, Any], definition: NodeDefinition | None, name: str, place: str
) -> InputError:
    declared = [spec.name for spec in definition.shown_inputs(node["inputs"])] if definition else []
    names = list(dict.fromkeys([*declared, *node["inputs"]]))
    close = nearest(name, names)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    expected = "one of " + ", ".join(names) if names else "a node with inputs"
    owner = node_place(node_id, node["class_type"])
    return InputError(f"unknown input {name!r} of {owner}; expected {expected}.{hint}", place=place)


def _read_text(text: str, place: str) -> str:
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8; expected a text file.", place=place) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason}); expected a text file.", place=place) from error


def _read_value(text: str, spec: InputSpec | None, current: Any, place: str) -> Any:
    if spec.type == "STRING" if spec else isinstance(current, str):
        return text
    choices = spec.choices if spec else None
    if choices is not None and text in choices:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if choices is not None:
            return text
        expected = spec.type if spec else "JSON"
        problem = f"{shown(text)} cannot be read; expected {expected}, written as JSON."
        raise InputError(problem, place=place) from error
    return value
