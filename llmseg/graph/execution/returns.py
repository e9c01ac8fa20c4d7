"""The forms of a return value: a row of outputs, what to show, a graph to expand, a blocker.

Not here: making the calls (`calls`), running an expanded graph (`expansion`).

Source: the ComfyUI server (``execution.py``), restated; a result that is linked to a list of items stands for all of
them, where the server takes them for further outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from ..places import shown
from ..shapes import is_link
from .calls import is_blocker

__all__ = ["Row", "merge_rows", "read_returns"]


@dataclass(frozen=True)
class Row:
    """What one call gave.

    Args:
        values: one for each output; in an expansion some are links into its graph.
        graph: the nodes to run first, None if there are none.
    """

    values: Sequence[Any]
    graph: Mapping[str, Any] | None = None

    def links(self) -> list[list[Any]]:
        """The values that must be waited for."""
        return [] if self.graph is None else [value for value in self.values if is_link(value)]


def read_returns(returns: Sequence[Any], node_class: type) -> tuple[list[Row], dict[str, list[Any]]]:
    """The row of every call that gave one, and what the node shows.

    Args:
        returns: what each call returned: a tuple, a blocker, or ``{"ui": ..., "result": ..., "expand": ...}``.
        node_class: says how many outputs there are.

    Raises:
        InputError: a form that the protocol does not know.
    """
    count = len(getattr(node_class, "RETURN_TYPES", ()))
    rows: list[Row] = []
    parts: list[Mapping[str, Any]] = []
    for value in returns:
        if not isinstance(value, Mapping):
            rows.append(Row(_as_values(value, count)))
            continue
        if value.get("ui") is not None:
            parts.append(value["ui"])
        graph = value.get("expand")
        if graph is not None and not isinstance(graph, Mapping):
            raise InputError(f"expands to {shown(graph)}; expected a dictionary of nodes.")
        if graph is not None or "result" in value:
            rows.append(Row(_as_values(value.get("result"), count), graph))
    return rows, _merge_shown(parts)


def merge_rows(
    rows: Sequence[Row], is_list: Sequence[bool], items_of: Callable[[str, int], list[Any]]
) -> list[list[Any]]:
    """For each output the list of its items.

    Args:
        rows: in the order of the calls.
        is_list: by output, whether its value is a list to be spliced.
        items_of: the items of an output of a node, for values that are links.
    """
    outputs: list[list[Any]] = []
    for number in range(len(rows[0].values) if rows else 0):
        items: list[Any] = []
        for row in rows:
            value = row.values[number]
            if row.graph is not None and is_link(value):
                items += items_of(value[0], value[1])
            elif number < len(is_list) and is_list[number] and not is_blocker(value):
                items += value
            else:
                items.append(value)
        outputs.append(items)
    return outputs


def _as_values(result: Any, count: int) -> Sequence[Any]:
    if is_blocker(result):
        return (result,) * count
    if result is None and count == 0:
        return ()
    # A bare text or tensor would be taken apart item by item, so the server's leniency is not copied.
    if not isinstance(result, (tuple, list)) or len(result) < count:
        raise InputError(f"returned {shown(result)}; expected a tuple of {count} values.")
    return result


def _merge_shown(parts: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Keys of the first call, the values of all calls behind one another."""
    try:
        return {key: [item for part in parts for item in part[key]] for key in parts[0]} if parts else {}
    except (TypeError, KeyError) as error:
        raise InputError(f"'ui' {shown(parts[0])}; expected the same keys in every call, with lists.") from error
