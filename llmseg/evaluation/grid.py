"""Columns as a person asks for them: a grid of values, columns written out, or a preset.

    --vary mode=max,blend --vary count=0,3,7    every pair of them
    --column "both: expansion=auto include_names=yes"

Every value is checked before anything runs, and all problems are told at once.

Not here: running (`experiments`), the command (`evaluate`).
"""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import InputError, LLMSegError, UnknownNameError, lookup
from ..options import PRESET
from .columns import Column
from .inputs import INPUTS, change_column, read_input
from .presets import PRESETS, compare_expansions

__all__ = ["MOST_COLUMNS", "Asked", "read_columns"]

MOST_COLUMNS = 500  # beyond them nobody reads the table, and a slip of the pen may ask for millions
WITH_BACKBONE, WITH_MASKS = ("proxyclip", "lposs"), ("regions",)


@dataclass(frozen=True)
class Asked:
    """Columns as they were typed.

    Args:
        given: `INPUT=VALUE` each, for all columns.
        varied: `INPUT=VALUE,VALUE` each; the grid is every choice of one value from each.
        written: `NAME: INPUT=VALUE INPUT=VALUE` each; values with spaces stand in quotes.
        presets: names in `PRESETS`.
        has_backbone: whether there is one for columns that need it.
    """

    given: Sequence[str] = ()
    varied: Sequence[str] = ()
    written: Sequence[str] = ()
    presets: Sequence[str] = ()
    has_backbone: bool = False


def read_columns(base: Column, asked: Asked, usual: Sequence[str] = ()) -> tuple[Column, ...]:
    """The columns of a run: those of presets, then the grid, then those written out.

    Args:
        base: what a column is where nothing else is said.
        asked: what was typed.
        usual: expansions that are compared where nobody asks for a column; none for those of the usual preset.

    Raises:
        InputError: every problem, one a line.
    """
    problems: list[str] = []

    def attempt(read: Callable[[Column, str], list[Column]], texts: Sequence[str]) -> list[Column]:
        found: list[Column] = []
        for text in texts:
            try:
                found += read(base, text)
            except LLMSegError as error:
                problems.extend(str(error).splitlines())
        return found

    try:
        base = change_column(base, base.name, _read_pairs(asked.given, "--set"))
    except LLMSegError as error:
        problems.extend(str(error).splitlines())
    columns = attempt(_preset, asked.presets)
    axes = [axis for text in asked.varied if (axis := _read_axis(text, problems))]
    axis_names = [name for name, _ in axes]
    twice = sorted({name for name in axis_names if axis_names.count(name) > 1})
    problems += [f"--vary: {name!r} stands twice; expected every input once, as {name}=A,B." for name in twice]
    if axes and (size := math.prod(len(values) for _, values in axes)) > MOST_COLUMNS:
        problems.append(f"--vary: {size} columns; expected at most {MOST_COLUMNS}.")
    elif axes:
        columns += _multiply(base, axes)
    columns += attempt(_read_column, asked.written)
    if not columns and not problems:
        columns = compare_expansions(base, usual) if usual else PRESETS[PRESET.default](base)
    problems += _clashes(columns, asked.has_backbone)
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return tuple(columns)


def _clashes(columns: Sequence[Column], has_backbone: bool) -> list[str]:
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [f"columns: {name!r} stands twice; expected every name once." for name in twice]
    if len(columns) > MOST_COLUMNS:
        problems.append(f"columns: {len(columns)}; expected at most {MOST_COLUMNS}.")
    for column in columns:
        for name in (column.options.attention, column.options.refiner):
            if name in WITH_BACKBONE and not has_backbone:
                problems.append(f"{column.name}: {name!r} needs a backbone; expected --backbone FILE too.")
            if name in WITH_MASKS:
                problems.append(f"{column.name}: {name!r} needs masks, which no data set has; expected another one.")
    return problems


def _read_axis(text: str, problems: list[str]) -> tuple[str, list[str]] | None:
    """Name and values of `INPUT=A,B`; None where anything is wrong, which is added to the problems."""
    name, equals, listed = text.partition("=")
    values = list(dict.fromkeys(value.strip() for value in listed.split(",")))
    found = len(problems)
    if not equals:
        problems.append(f"--vary: {text!r}; expected INPUT=VALUE,VALUE.")
    elif name not in INPUTS:
        problems.append(str(UnknownNameError(name, INPUTS, place="--vary")))
    else:
        for value in values:
            try:
                read_input(name, value)
            except InputError as error:
                problems.append(str(error))
    return (name, values) if len(problems) == found else None


def _multiply(base: Column, axes: Sequence[tuple[str, list[str]]]) -> list[Column]:
    """One column for every choice of one value from each axis; named by its values."""
    columns = []
    for chosen in itertools.product(*(values for _, values in axes)):
        given = dict(zip((name for name, _ in axes), chosen, strict=True))
        columns.append(change_column(base, " ".join(f"{name}={value}" for name, value in given.items()), given))
    return columns


def _read_column(base: Column, text: str) -> list[Column]:
    """The column of `NAME: INPUT=VALUE ...`.

    Raises:
        InputError: another form, or a value that an input does not take; all of them at once.
    """
    name, colon, rest = text.partition(":")
    name = " ".join(name.split())
    if not colon or not name:
        raise InputError(f"{text!r}; expected 'NAME: INPUT=VALUE ...'.", place="--column")
    lexer = shlex.shlex(rest, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""  # a Windows path has backslashes
    try:
        parts = list(lexer)
    except ValueError as error:
        raise InputError(f"{text!r}: {error}; expected closed quotes.", place="--column") from error
    return [change_column(base, name, _read_pairs(parts, name))]


def _read_pairs(parts: Sequence[str], place: str) -> dict[str, str]:
    """Texts by input of `INPUT=VALUE` each.

    Raises:
        InputError: all that is wrong, one a line.
    """
    given: dict[str, str] = {}
    problems = []
    for part in parts:
        key, equals, value = part.partition("=")
        try:
            if not equals:
                raise InputError(f"{part!r}; expected INPUT=VALUE.")
            read_input(key, value)
            if key in given:
                raise InputError(f"{key!r} stands twice; expected every input once.")
            given[key] = value
        except InputError as error:
            problems.append(f"{place}: {error}")
    if problems:
        raise InputError("\n".join(problems))
    return given


def _preset(base: Column, name: str) -> list[Column]:
    return lookup(PRESETS, name, place="preset")(base)
