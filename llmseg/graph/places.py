"""How the graph package names a node, an input or a value in a message.

Not here: the messages themselves, which stand where the problem is found.
"""

from __future__ import annotations

__all__ = ["node_place", "node_sort_key", "printable", "shown"]

LONGEST_VALUE = 80  # characters of a value that a one-line message can carry


def shown(value: object) -> str:
    """The `repr` of `value`, cut to what a one-line message can carry."""
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        value = value[:LONGEST_VALUE] + "..."
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE + 5 else text[:LONGEST_VALUE] + "..."


def printable(text: str) -> str:
    """`text` with every character that could move a terminal's cursor or forge a line spelled out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def node_place(node_id: str, class_type: str = "", input_name: str = "") -> str:
    """The place of a problem, as in ``node 7 (LLMSegScore), input 'bank'``."""
    place = printable(f"node {node_id} ({class_type})" if class_type else f"node {node_id}")
    return f"{place}, input {input_name!r}" if input_name else place


def node_sort_key(node_id: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts node 9 before node 10, and inner nodes (12:5) behind their instance (12)."""
    # isdecimal alone would let superscripts through to int(), which refuses them.
    return tuple(
        (0, int(part), "") if part.isascii() and part.isdecimal() and len(part) < 20 else (1, 0, part)
        for part in node_id.split(":")
    )
