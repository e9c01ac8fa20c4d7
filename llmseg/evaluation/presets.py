"""Columns that are compared often.

Not here: columns that a person writes out (`grid`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ..options import AUTO, CUSTOM, MODE, TEMPLATES
from .columns import Column
from .inputs import change_column

__all__ = ["PRESETS", "compare_expansions"]

PAPER_COUNTS = (0, 1, 2, 3, 5, 7, 10, 15, 20)


def _paper(base: Column) -> list[Column]:
    """The ablations of arXiv:2404.00701 and the controls that it has none of."""
    given = {
        "superclass only": {"expansion": "off"},
        "subclasses only": {"include_names": "no"},
        "both": {"include_names": "yes"},
        "placebo": {"expansion": _control("placebo", base), "include_names": "yes"},
        "shuffled": {"expansion": _control("shuffled", base), "include_names": "yes"},
        **{f"number of subclasses {count}": {"count": str(count)} for count in PAPER_COUNTS},
    }
    for templates in TEMPLATES.names:
        if templates != CUSTOM:
            given[f"templates {templates}, superclass only"] = {"templates": templates, "expansion": "off"}
            given[f"templates {templates}"] = {"templates": templates}
    given |= {f"mode {mode}": {"mode": mode} for mode in MODE.names}
    return [change_column(base, name, values) for name, values in given.items()]


def _expansion(base: Column) -> list[Column]:
    """Class names alone, the list, and what it must beat."""
    return compare_expansions(base, ("off", base.expansion, _control("placebo", base), _control("shuffled", base)))


def compare_expansions(base: Column, expansions: Sequence[str]) -> list[Column]:
    """A column of each expansion, and called so."""
    return [change_column(base, name, {"expansion": name}) for name in dict.fromkeys(expansions)]


def _control(name: str, base: Column) -> str:
    """A control of the list that the base uses."""
    return name if base.expansion == AUTO else f"{name}:{base.expansion}"


PRESETS: Mapping[str, Callable[[Column], list[Column]]] = MappingProxyType({"paper": _paper, "expansion": _expansion})
