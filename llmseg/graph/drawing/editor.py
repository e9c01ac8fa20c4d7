"""From the drawn graph (UI form) to the prompt (API form) that the editor would queue.

The pieces do the work: `records` reads, `subgraphs` places, `resolution` follows links; this module writes.
Not here: validation, and everything that the editor does to seeds after queueing.

Sources: the ComfyUI frontend (``executionUtil``), restated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...errors import InputError, WorkflowError, located
from ..definitions import NodeDefinition
from ..inputs import DYNAMIC_GROUP
from ..places import node_place
from ..shapes import editor_faults, is_link
from .dynamic_prompts import Picker, pick_at_random
from .group_nodes import expand_group_nodes
from .reading import read_drawing
from .records import BYPASSED, MUTED, PLAIN_TYPES, Drawing, EditorGraph, EditorNode
from .resolution import Source, resolve
from .subgraphs import Scope, cut_promoted_links, place_instances
from .tokens import Tokens

__all__ = ["Conversion", "to_prompt"]

PACK_PROPERTIES = ("cnr_id", "aux_id", "ver")  # where the class came from, for who lacks it
VIRTUAL_TYPES = (*PLAIN_TYPES, "SetNode", "GetNode")
# Classes whose scripts rewire the graph while it is queued: what they would do cannot be known here.
REWIRING = re.compile(r"Anything Everywhere|(Seed|Prompts) Everywhere|Simple String Everywhere")


@dataclass(frozen=True)
class Conversion:
    """The prompt, and one line for everything that was odd but not fatal."""

    prompt: dict[str, Any]
    warnings: tuple[str, ...]


def to_prompt(
    editor: Mapping[str, Any],
    definitions: Mapping[str, NodeDefinition],
    *,
    now: datetime | None = None,
    pick: Picker | None = pick_at_random,
    strict: bool = False,
) -> Conversion:
    """Convert a UI workflow into an API prompt.

    Nodes of unknown classes are kept if an output node needs them, for `validation` to report; elsewhere
    they may be mere decoration and are left out with a warning, unless `strict`.

    Args:
        editor: the UI form; it is not changed.
        definitions: of every class that can be converted.
        now: the time for ``%date:...%``; the present if not given.
        pick: chooses among the alternatives of dynamic prompts; None leaves them as they are.
        strict: keep every node of an unknown class, as the editor does.

    Raises:
        WorkflowError: the workflow has a wrong shape or uses what is not supported.
    """
    drawing, scopes = _read(editor, definitions)
    tokens = Tokens((node for scope in scopes for node in scope.graph.nodes.values()), now, pick)
    prompt: dict[str, Any] = {}
    problems: list[str] = []
    for scope, node in _in_order(scopes[0]):
        try:
            with located(node_place(scope.path + node.id, node.type)):
                _refuse_unsupported(node)
                prompt[scope.path + node.id] = _write_node(scope, node, tokens)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise WorkflowError(problems)
    warnings = [*drawing.warnings, *([] if strict else _drop_unknown(prompt, definitions))]
    _drop_dangling(prompt)
    return Conversion(prompt, tuple(warnings))


def _read(editor: Mapping[str, Any], definitions: Mapping[str, NodeDefinition]) -> tuple[Drawing, list[Scope]]:
    """The drawing and every place in it, the root first."""
    faults = editor_faults(editor)
    if faults:
        raise WorkflowError(faults)
    try:
        drawing = read_drawing(expand_group_nodes(editor, definitions), definitions)
        cut_promoted_links(drawing)
        return drawing, place_instances(drawing)
    except InputError as error:
        raise WorkflowError([str(error)]) from error


def wrap(value: Any) -> Any:
    """A list that is a value, not a link, travels in a wrapper."""
    return {"__value__": value} if isinstance(value, list) else value


def _write_node(scope: Scope, node: EditorNode, tokens: Tokens) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    specs = {spec.name: spec for spec in node.definition.shown_inputs(node.values)} if node.definition else {}
    for name in node.values:
        if name in specs and specs[name].type == DYNAMIC_GROUP:  # the number of rows; the rows speak for themselves
            continue
        value = scope.value_of(node, name)
        inputs[name] = wrap(tokens.fill(node, specs.get(name), name, value))
    for socket in node.sockets:
        found = resolve(scope, socket) if socket.link is not None else None
        if isinstance(found, Source):
            inputs[socket.name] = [found.node_id, found.slot]
        elif found is not None:
            value = found.value
            if found.primitive is not None:
                value = tokens.fill_primitive(found.primitive, value)
                value = tokens.fill(node, specs.get(socket.name), socket.name, value)
            inputs[socket.name] = wrap(value)
    packs = {key: node.properties[key] for key in PACK_PROPERTIES if isinstance(node.properties.get(key), str)}
    return {"class_type": node.type, "inputs": inputs, "_meta": {"title": node.title, **packs}}


def _refuse_unsupported(node: EditorNode) -> None:
    if node.definition is not None:
        return
    if REWIRING.search(node.type):
        remedy = "Export the workflow in API form from ComfyUI."
        raise InputError(f"its links exist only inside the editor; expected a node with links. {remedy}")


def _in_order(root: Scope) -> Iterator[tuple[Scope, EditorNode]]:
    """Every node that runs, in the order in which the editor's prompt would list them.

    The order breaks ties in scheduling: all-digit ids first and ascending, then the others instance by
    instance, instances in topological order of the root graph.
    """
    root_nodes = topological(root.graph)
    digits = [node for node in root_nodes if _runs(root, node) and _is_index(node.id)]
    for node in sorted(digits, key=lambda node: int(node.id)):
        yield root, node
    pending: list[tuple[Scope, EditorNode]] = [(root, node) for node in reversed(root_nodes)]
    while pending:
        scope, node = pending.pop()
        inner = scope.children.get(node.id)
        if inner is not None and node.mode not in (MUTED, BYPASSED):
            pending += [(inner, inner_node) for inner_node in reversed(inner.graph.nodes.values())]
        elif _runs(scope, node) and not (scope is root and _is_index(node.id)):
            yield scope, node


def _runs(scope: Scope, node: EditorNode) -> bool:
    return node.mode not in (MUTED, BYPASSED) and node.type not in VIRTUAL_TYPES and node.id not in scope.children


def _is_index(node_id: str) -> bool:
    return node_id.isascii() and node_id.isdecimal() and str(int(node_id[:20])) == node_id


def topological(graph: EditorGraph) -> list[EditorNode]:
    """The nodes as the editor queues them: unlinked ones in file order, others behind their last input."""
    missing = {node.id: sum(s.link is not None for s in node.sockets) for node in graph.nodes.values()}
    queue = [node for node in graph.nodes.values() if not missing[node.id]]
    for node in queue:  # grows while it is read
        for link_id in (link_id for links in node.output_links for link_id in links):
            link = graph.links.get(link_id)
            if link is None or link.target not in missing:
                continue
            missing[link.target] -= 1
            if missing[link.target] == 0:
                queue.append(graph.nodes[link.target])
    placed = {node.id for node in queue}
    return queue + [node for node in graph.nodes.values() if node.id not in placed]


def _drop_unknown(prompt: dict[str, Any], definitions: Mapping[str, NodeDefinition]) -> Iterator[str]:
    """Remove nodes without a class that no output node needs; one warning each."""
    needed: set[str] = set()
    pending = [
        node_id
        for node_id, node in prompt.items()
        if node["class_type"] in definitions and definitions[node["class_type"]].output_node
    ]
    while pending:
        node_id = pending.pop()
        if node_id not in needed and node_id in prompt:
            needed.add(node_id)
            pending += [value[0] for value in prompt[node_id]["inputs"].values() if is_link(value)]
    for node_id, node in list(prompt.items()):
        if node["class_type"] not in definitions and node_id not in needed:
            del prompt[node_id]
            yield f"{node_place(node_id)}: unknown class {node['class_type']!r}; no output needs it, left out"


def _drop_dangling(prompt: dict[str, Any]) -> None:
    for node in prompt.values():
        inputs = node["inputs"]
        node["inputs"] = {k: v for k, v in inputs.items() if not is_link(v) or v[0] in prompt}
