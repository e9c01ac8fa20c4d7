"""The shipped expansion libraries: list, load, and choose the one that knows the names.

A library is the same JSON as any saved expansion and lies in `data/expansions/`. Its classes may have
an `id`, the word that a data set writes for them ("wall-brick"): people may type it, no rule reads it.

Not here: reading expansion files of other origin (`expansion`), making the shipped ones
(`tools.expansions.build`).
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from .errors import InputError, UnknownNameError
from .folding import fold
from .names import check_classes, clean_phrase
from .options import KIND, LIBRARY
from .types import ClassExpansion, ClassList, ClassName, Expansion, Phrase

__all__ = [
    "EVERYDAY",
    "choose_library",
    "expansion_from_json",
    "library_classes",
    "library_ids",
    "library_index",
    "library_names",
    "load_library",
]

SCHEMA = 1
ROLES = ("thing", "stuff", "background", "residual")
POLICIES = ("expand", "keep", "off")
STATUSES = ("ok", "user", "dropped")
EVERYDAY = "everyday"  # serves lists that no vocabulary holds as a whole


def library_names() -> tuple[str, ...]:
    """Names of the shipped libraries, without the choices that are none (`auto`, `off`)."""
    return tuple(name for name in LIBRARY.names if name not in ("auto", "off"))


@cache
def load_library(name: str) -> Expansion:
    """Read a shipped library.

    Raises:
        UnknownNameError: no library of that name.
    """
    return expansion_from_json(_read_library(name), place=f"library {name}")


@cache
def library_index(name: str) -> Mapping[str, int]:
    """Position of every class of a library by what people may write for it, folded: name, alias or id.

    Raises:
        UnknownNameError: no library of that name.
    """
    index: dict[str, int] = {}
    for position, entry in enumerate(load_library(name).classes):
        for wording in (entry.class_name.name, *entry.class_name.aliases):
            index.setdefault(fold(wording), position)
    for position, entry in enumerate(_read_library(name)["classes"]):
        index.setdefault(fold(entry.get("id", entry["name"])), position)  # an id gives way to any name
    return index


def library_classes(name: str) -> ClassList:
    """The classes of a shipped library, for use as a ready list of class names."""
    return load_library(name).class_list


def library_ids(name: str) -> tuple[str, ...]:
    """What the data set behind a shipped library writes for its classes, in their order: the id, else the name.

    Raises:
        UnknownNameError: no library of that name.
    """
    return tuple(entry.get("id", entry["name"]) for entry in _read_library(name)["classes"])


def choose_library(classes: ClassList, own: str = "") -> str:
    """The library to use where nobody names one.

    A vocabulary that holds all the classes was written with all of them in mind, so it goes before
    the everyday one, of which each class takes what it finds.

    Args:
        classes: what the user asked for; those that are never split need not be known.
        own: the library made for the model in use, if there is one.

    Returns:
        The model's own; else the first in the order of `library_names` that knows every class; else `EVERYDAY`.
    """
    if own in library_names():
        return own
    wanted = [
        {fold(wording) for wording in (entry.name, *entry.aliases)}
        for entry in classes.classes
        if entry.policy == "expand"
    ]
    for name in library_names():
        index = library_index(name)
        if not any(wordings.isdisjoint(index) for wordings in wanted):
            return name
    return EVERYDAY


def expansion_from_json(value: object, *, place: str) -> Expansion:
    """Check and read an expansion in the JSON form that `expansion.expansion_to_json` writes.

    Raises:
        InputError: not that form, or a class twice; the message names the entry.
    """
    if not isinstance(value, dict) or not isinstance(value.get("classes"), list):
        raise InputError("not an expansion; expected an object with a list 'classes'.", place=place)
    if value.get("schema", SCHEMA) != SCHEMA:
        raise InputError(f"schema {reprlib.repr(value['schema'])}; expected {SCHEMA}.", place=place)
    classes = tuple(
        _read_class(entry, place=f"{place}, class {number}") for number, entry in enumerate(value["classes"], start=1)
    )
    check_classes([entry.class_name for entry in classes], place=place)
    provenance = value.get("provenance", {})
    if not isinstance(provenance, dict):
        raise InputError(f"provenance {reprlib.repr(provenance)}; expected an object.", place=place)
    return Expansion(
        classes, {key: _check_text(text, f"provenance {key!r}", place) for key, text in provenance.items()}
    )


@cache
def _read_library(name: str) -> Any:
    if name not in library_names():
        raise UnknownNameError(name, library_names(), place="library")
    folder = resources.files(__package__).joinpath("data").joinpath("expansions")
    return json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8"))


def _read_class(entry: object, *, place: str) -> ClassExpansion:
    if not isinstance(entry, dict):
        raise InputError(f"{reprlib.repr(entry)}; expected an object with a 'name'.", place=place)
    class_name = ClassName(
        name=_wording(entry.get("name"), "name", place),
        aliases=tuple(_wording(alias, "aliases", place) for alias in _list(entry, "aliases", place)),
        sense=_text(entry, "sense", place, default=""),
        role=_one_of(entry, "role", ROLES, place),
        policy=_one_of(entry, "policy", POLICIES, place),
        english=_text(entry, "english", place, default=""),
    )
    subclasses = tuple(_read_phrase(item, place) for item in _list(entry, "subclasses", place))
    status, reason = _one_of(entry, "status", ("ok", "fallback"), place), _text(entry, "reason", place, default="")
    return ClassExpansion(class_name, subclasses, status, reason)


def _read_phrase(item: object, place: str) -> Phrase:
    if isinstance(item, str):
        return Phrase(_wording(item, "subclass", place), source="file")
    if not isinstance(item, dict):
        raise InputError(f"subclass {reprlib.repr(item)}; expected text or an object with a 'text'.", place=place)
    return Phrase(
        text=_wording(item.get("text"), "text", place),
        status=_one_of(item, "status", STATUSES, place),
        reason=_text(item, "reason", place, default=""),
        source=_text(item, "source", place, default="file"),
        kind=_one_of(item, "kind", tuple(KIND.names), place),
        encoded=_text(item, "encoded", place, default=""),
    )


def _list(entry: Mapping[str, Any], key: str, place: str) -> list[object]:
    value = entry.get(key, [])
    if not isinstance(value, list):
        raise InputError(f"{key} {reprlib.repr(value)}; expected a list.", place=place)
    return value


def _wording(value: object, key: str, place: str) -> str:
    """A name or a phrase, cleaned as if it had been typed."""
    return _check_text(clean_phrase(_check_text(value, key, place)), key, place)


def _text(entry: Mapping[str, Any], key: str, place: str, default: str) -> str:
    value = entry.get(key, default)
    return default if value == default else _check_text(value, key, place)


def _check_text(value: object, key: str, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key} {reprlib.repr(value)}; expected text.", place=place)
    return value


def _one_of(entry: Mapping[str, Any], key: str, choices: tuple[str, ...], place: str) -> str:
    value = entry.get(key, choices[0])
    if value not in choices:
        raise InputError(f"{key} {reprlib.repr(value)}; expected one of {', '.join(choices)}.", place=place)
    return str(value)
