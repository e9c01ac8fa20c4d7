"""The inputs of a column: which values a person may give each, and columns changed by them.

Not here: columns as they are typed (`grid`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from .. import options as tables
from ..errors import InputError, located, lookup
from ..options import AUTO, AUTO_NUMBER, Choice, Number
from ..pipeline import SegmentOptions
from .columns import Column

__all__ = ["ALL", "INPUTS", "change_column", "read_input"]

ALL = "all"  # of a list's phrases
TEXT = None  # an input that may be any text

INPUTS: Mapping[str, Choice | Number | None] = MappingProxyType(
    {
        "expansion": TEXT,
        "count": Number(20, 0, 20, 1, "Phrases of each class that are kept, the first ones; or all."),
        "seed": Number(0, 0, 1_000_000, 1, "Of what placebo and shuffled draw."),
        "templates": tables.TEMPLATES,
        "include_names": tables.INCLUDE_NAMES,
        "custom_templates": TEXT,
        "background": tables.BACKGROUND,
        "negatives": TEXT,
        "attention": tables.ATTENTION,
        "window": tables.WINDOW,
        "stride": tables.STRIDE,
        "resize": tables.RESIZE,
        "scales": tables.SCALES,
        "layout": tables.LAYOUT,
        "scoring": tables.SCORING,
        "mode": tables.MODE,
        "gate": tables.GATE,
        "temperature": tables.TEMPERATURE,
        "name_weight": tables.NAME_WEIGHT,
        "refiner": tables.REFINER,
        "threshold": tables.THRESHOLD,
        "min_area": tables.MIN_AREA,
        "flips": tables.FLIPS,
    }
)
OF_COLUMNS = ("expansion", "count", "seed")  # the others are of `SegmentOptions`
WHOLE = {"count", "seed", *(each.name for each in fields(SegmentOptions) if each.type == "int")}


def change_column(base: Column, name: str, given: Mapping[str, str]) -> Column:
    """A column of another name with some inputs as they were typed.

    Raises:
        InputError: no such input, or a value that it does not take.
    """
    values = {key: read_input(key, text) for key, text in given.items()}
    own = {key: values.pop(key) for key in OF_COLUMNS if key in values}
    return replace(base, name=name, options=replace(base.options, **values), **own)


def read_input(name: str, text: str) -> Any:
    """What was typed for an input, as the value that it takes.

    Raises:
        InputError: no such input, or a value that it does not take.
    """
    table = lookup(INPUTS, name, place="input")
    if table is None:
        return text
    if name == "count" and text == ALL:
        return None
    with located(name):
        if isinstance(table, Choice):
            lookup(dict.fromkeys(table.choices), text, place="")
            return text
        return _read_number(table, text, whole=name in WHOLE)


def _read_number(limits: Number, text: str, whole: bool) -> float:
    automatic = limits.minimum == AUTO_NUMBER
    kind = "a whole number" if whole else "a number"
    expected = f"expected {kind} from {max(0, limits.minimum):g} to {limits.maximum:g}" + ", or auto" * automatic
    if automatic and text in (AUTO, str(AUTO_NUMBER)):
        return AUTO_NUMBER
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not max(0, limits.minimum) <= value <= limits.maximum:  # written so that NaN fails too
        raise InputError(f"{text!r}; {expected}.")
    return value
