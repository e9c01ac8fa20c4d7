"""What a server's validation says, as problems of ours: one line each, sorted by node.

Not here: our own validation (`graph.validation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..graph import Problem
from ..graph.places import node_place, node_sort_key
from .untrusted import as_mapping, one_line, without_end

__all__ = ["read_problems"]

MOST_PROBLEMS = 1000  # lines that a person could read
WHOLE = "prompt_outputs_failed_validation"  # says only that the nodes below have errors


def read_problems(answer: object, prompt: Mapping[str, Any]) -> list[Problem]:
    """The problems in an answer to ``/prompt``, refused or not.

    Args:
        answer: `error` of the prompt as a whole and `node_errors`, in any shape.
        prompt: what was sent, for titles.
    """
    reply = as_mapping(answer)
    nodes = as_mapping(reply.get("node_errors"))
    found = [
        problem
        for node_id in sorted(map(str, nodes), key=node_sort_key)
        for problem in _node_problems(node_id, as_mapping(nodes.get(node_id)), prompt)
    ]
    error = reply.get("error")
    if error and (not found or as_mapping(error).get("type") != WHOLE):
        found.insert(0, _prompt_problem(error))
    return found[:MOST_PROBLEMS]


def _node_problems(node_id: str, record: Mapping[str, Any], prompt: Mapping[str, Any]) -> Iterator[Problem]:
    class_type = one_line(record.get("class_type") or "", 100)
    dependents = record.get("dependent_outputs")
    errors = record.get("errors")
    for error in map(as_mapping, errors if isinstance(errors, list) else []):
        name = as_mapping(error.get("extra_info")).get("input_name")
        input_name = one_line(name, 100) if isinstance(name, str) else ""
        place = node_place(one_line(node_id, 100), class_type, input_name)
        yield Problem(
            node_id=node_id,
            class_type=class_type,
            title=_title(prompt.get(node_id)),
            input_name=input_name,
            type=one_line(error.get("type") or "", 100),
            message=f"{place}: {_sentence(error, input_name)}",
            dependent_outputs=tuple(map(str, dependents)) if isinstance(dependents, list) else (),
        )


def _prompt_problem(error: object) -> Problem:
    record = error if isinstance(error, Mapping) else {"message": error}
    named = re.fullmatch(r"Node ID '#(.+)'", str(record.get("details") or ""))
    node_id = as_mapping(record.get("extra_info")).get("node_id") or (named and named[1]) or ""
    place = node_place(one_line(node_id, 100)) if node_id else "prompt"
    sentence = _sentence({**record, "details": ""} if named else record, "")
    return Problem(one_line(node_id, 100), "", "", "", one_line(record.get("type") or "", 100), f"{place}: {sentence}")


def _sentence(error: Mapping[str, Any], input_name: str) -> str:
    """The server's message, and its details where they say more than the name of the input."""
    message = without_end(error.get("message") or error.get("type") or "refused without a reason")
    message = message[:1].lower() + message[1:] if message[1:2].islower() else message
    details = without_end(error.get("details") or "")
    return f"{message}." if details in ("", input_name, message) else f"{message}; {details}."


def _title(node: object) -> str:
    return str(as_mapping(as_mapping(node).get("_meta")).get("title", ""))
