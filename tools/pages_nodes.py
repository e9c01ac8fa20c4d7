"""What a node says of itself, as records that pages and locales are made of.

Not here: how they are written (`pages_format`), other languages (`pages_words`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Input:
    """One input.

    Args:
        kind: type of its socket, or COMBO.
        default: what is offered first; empty for none, or for no text.
        limits: of a number, lowest and highest; else empty.
        lines: of its tooltip, without choices.
        choices: name -> what it is; empty where a tooltip does not list them.
        optional, advanced: as declared.
    """

    name: str
    kind: str
    default: str
    limits: str
    lines: tuple[str, ...]
    choices: Mapping[str, str]
    optional: bool = False
    advanced: bool = False


@dataclass(frozen=True)
class Output:
    """One output; `is_list` where it gives a list of values."""

    name: str
    kind: str
    lines: tuple[str, ...]
    is_list: bool = False


@dataclass(frozen=True)
class Node:
    """A node class as people see it."""

    name: str
    title: str
    category: tuple[str, ...]
    lines: tuple[str, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    @property
    def takes(self) -> set[str]:
        """Types of this pack that it can be given."""
        return {kind for each in self.inputs for kind in each.kind.split(",") if kind.startswith("LLMSEG_")}

    @property
    def gives(self) -> set[str]:
        """Types of this pack that it gives."""
        return {kind for each in self.outputs for kind in each.kind.split(",") if kind.startswith("LLMSEG_")}


def describe_pack(pack: Any) -> dict[str, Node]:
    """All nodes of a pack, in its order."""
    titles = pack.NODE_DISPLAY_NAME_MAPPINGS
    return {name: _describe(name, titles[name], node) for name, node in pack.NODE_CLASS_MAPPINGS.items()}


def _describe(name: str, title: str, node: Any) -> Node:
    declared = node.INPUT_TYPES()
    inputs = [_input(key, *each) for key, each in declared["required"].items()]
    inputs += [_input(key, *each, optional=True) for key, each in declared.get("optional", {}).items()]
    kinds = node.RETURN_TYPES
    names, lists = getattr(node, "RETURN_NAMES", kinds), getattr(node, "OUTPUT_IS_LIST", (False,) * len(kinds))
    tooltips = getattr(node, "OUTPUT_TOOLTIPS", ())
    outputs = [
        Output(key, kind, tuple(tip.split("\n")), many)
        for key, kind, tip, many in zip(names, kinds, tooltips, lists, strict=True)
    ]
    lines = tuple(node.DESCRIPTION.split("\n"))
    parts = tuple(node.CATEGORY.split("/"))
    return Node(name, title, parts, lines, tuple(inputs), tuple(outputs))


def _input(name: str, kind: Any, options: Mapping[str, Any], *, optional: bool = False) -> Input:
    first, *rest = options["tooltip"].split("\n")
    choices: dict[str, str] = {}
    if isinstance(kind, list):  # what else may be chosen, such as files, differs from machine to machine
        kind = "COMBO"
        choices = dict(line.split(": ", 1) for line in rest if ": " in line)
        rest = [line for line in rest if ": " not in line]
    limits = f"{options['min']:g} … {options['max']:g}" if "max" in options else ""
    default = options.get("default")
    shown = "" if default in ("", None) else f"{default:g}" if isinstance(default, float) else str(default)
    advanced = bool(options.get("advanced"))
    return Input(name, kind, shown, limits, (first, *rest), choices, optional, advanced)
