"""`ClassList` -> `Expansion`: which phrases stand for each class.

Sources: a shipped library, an expansion saved as JSON, or plain text with one class a line

    dog: poodle, beagle
    car: taxi, van        # anything behind a hash is a remark

`format_expansion` prints that same text, so what a person reads can be pasted back.

Class names are found whatever their case, number, hyphens or spelling. Lists of a library were written
for other neighbours than the user's, so they are judged again among the user's classes.

Not here: asking a language model; the rules (`cleaning_rules`); dropping words that an encoder does not
know (`text_bank`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .cleaning import judge_expansion
from .cleaning_rules import COLLISION_RULES, EXACT_RULES
from .errors import InputError, UnknownNameError
from .folding import fold
from .library import SCHEMA, choose_library, expansion_from_json, library_index, load_library
from .names import clean_phrase
from .options import LIBRARY
from .store import read_text, write_json
from .types import ClassExpansion, ClassList, Expansion, Phrase

__all__ = [
    "expand_from_library",
    "expand_from_text",
    "expand_names",
    "expand_with",
    "expansion_to_json",
    "format_expansion",
    "load_expansion",
    "save_expansion",
]


def expand_names(classes: ClassList, source: str = "auto", own_library: str = "") -> Expansion:
    """Expand class names from whatever `source` is.

    Args:
        classes: what the user asked for.
        source: "auto", "off", the name of a shipped library, or text as in `expand_from_text`.
        own_library: what "auto" means for the model in use (`Encoder.library`); see `choose_library`.

    Raises:
        UnknownNameError: a single word that names no library.
        InputError: text that cannot be read.
    """
    if source == "off":
        return expand_from_library(classes, source)
    if ":" in source or "{" in source or "\n" in source:
        return expand_from_text(classes, source)
    return expand_from_library(classes, source, own_library)


def expand_with(classes: ClassList, library: str, subclasses: str = "", own_library: str = "") -> Expansion:
    """Own subclasses where any are given, as in `expand_from_text`; else the library.

    Raises:
        UnknownNameError: no library of that name.
        InputError: subclasses that cannot be read.
    """
    if subclasses.strip():
        return expand_from_text(classes, subclasses)
    return expand_from_library(classes, library, own_library)


def expand_from_library(classes: ClassList, library: str = "auto", own_library: str = "") -> Expansion:
    """Take each class's subclasses from a shipped library; unknown names keep themselves alone.

    Subclasses that collide with another of the classes are dropped by `COLLISION_RULES`.

    Args:
        classes: what the user asked for.
        library: a name in `LIBRARY`.
        own_library: as in `expand_names`.

    Raises:
        UnknownNameError: no library of that name.
    """
    if library not in LIBRARY.names:
        raise UnknownNameError(library, LIBRARY.names, place="library")
    if library == "off":
        return _collect(classes, {}, EXACT_RULES, source="off")
    if library == "auto":
        library = choose_library(classes, own_library)
    entries, index = load_library(library).classes, library_index(library)
    known: dict[str, Sequence[Phrase]] = {}
    for entry in classes.classes:
        keys = (fold(wording) for wording in (entry.name, *entry.aliases))
        position = next((index[key] for key in keys if key in index), None)
        known[entry.name] = () if position is None else entries[position].subclasses
    return _collect(classes, known, COLLISION_RULES, source=f"library {library}")


def expand_from_text(classes: ClassList, text: str) -> Expansion:
    """Read subclasses from JSON or from lines `class: subclass, subclass`.

    JSON is either a saved expansion or `{"dog": ["poodle", "beagle"]}`.

    Raises:
        InputError: not readable, or a line for a class that was not asked for.
    """
    if text.lstrip().startswith(("{", "[")):
        listed = _phrases_from_json(text)
        source = "file"
    else:
        listed = _phrases_from_lines(text)
        source = "text"
    wordings = [(w, entry.name) for entry in classes.classes for w in (entry.name, *entry.aliases)]
    # As typed goes first, for people who ask for both "hot dog" and "hotdog".
    owners = {fold(wording): name for wording, name in reversed(wordings)}
    exact = {wording.casefold(): name for wording, name in wordings}
    known: dict[str, list[Phrase]] = {}
    for name, phrases in listed.items():
        owner = exact.get(name.casefold()) or owners.get(fold(name))
        if owner is None:
            raise UnknownNameError(name, classes.names, place="subclasses")
        known.setdefault(owner, []).extend(phrases)
    return _collect(classes, known, EXACT_RULES, source=source)


def load_expansion(path: Path) -> Expansion:
    """Read an expansion saved by `save_expansion`, or edited since: it is judged as any other source.

    Raises:
        InputError: missing, not JSON, not an expansion, or one without classes.
    """
    expansion = expansion_from_json(_parse_json(read_text(path, place="expansion"), path.name), place=path.name)
    if not expansion.classes:
        raise InputError("no class in 'classes'; expected one or more.", place=path.name)
    known = {entry.class_name.name: entry.subclasses for entry in expansion.classes}
    judged = _collect(expansion.class_list, known, EXACT_RULES, source=path.name)
    return replace(judged, provenance=expansion.provenance)


def save_expansion(expansion: Expansion, path: Path) -> None:
    """Write an expansion as JSON that can be read, edited by hand and loaded again."""
    write_json(path, expansion_to_json(expansion))


def expansion_to_json(expansion: Expansion) -> dict[str, object]:
    """The expansion as plain lists and dicts; `library.expansion_from_json` reads it back."""
    return {
        "schema": SCHEMA,
        "language": "en",
        "classes": [_class_to_json(entry) for entry in expansion.classes],
        "provenance": dict(expansion.provenance),
    }


def format_expansion(expansion: Expansion) -> str:
    """One line per class that a person can read.

    `expand_from_text` reads it back, unless a wording holds one of its own marks: `:`, `,` or `#`.

    >>> from llmseg.names import parse_names
    >>> print(format_expansion(expand_from_text(parse_names("dog, sky"), "dog: poodle, beagle")))
    dog: poodle, beagle
    sky:
    """
    lines = []
    for entry in expansion.classes:
        dropped = [f"{item.text} ({item.reason})" for item in entry.subclasses if not item.kept]
        remark = f"  # dropped: {', '.join(dropped)}" if dropped else ""
        lines.append(f"{entry.class_name.name}: {', '.join(entry.kept)}".rstrip() + remark)
    return "\n".join(lines)


def _class_to_json(entry: ClassExpansion) -> dict[str, object]:
    name = entry.class_name
    return {
        "name": name.name,
        "aliases": list(name.aliases),
        "sense": name.sense,
        "role": name.role,
        "policy": name.policy,
        "subclasses": [
            {"text": item.text, "status": item.status, "reason": item.reason, "source": item.source}
            for item in entry.subclasses
        ],
    }


def _phrases_from_lines(text: str) -> dict[str, list[Phrase]]:
    listed: dict[str, list[Phrase]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, colon, rest = line.partition(":")
        if not colon or not name.strip():
            raise InputError(f"line {number}, {line[:40]!r}; expected 'class: subclass, subclass'.", place="subclasses")
        texts = [clean_phrase(part) for part in rest.split(",")]
        listed.setdefault(clean_phrase(name), []).extend(Phrase(item, "user", source="text") for item in texts if item)
    return listed


def _phrases_from_json(text: str) -> dict[str, list[Phrase]]:
    value = _parse_json(text, "subclasses")
    if isinstance(value, dict) and "classes" not in value:
        value = {"classes": [{"name": name, "subclasses": items} for name, items in value.items()]}
    expansion = expansion_from_json(value, place="subclasses")
    return {entry.class_name.name: list(entry.subclasses) for entry in expansion.classes}


def _parse_json(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON ({error}); expected an expansion.", place=place) from error


def _collect(
    classes: ClassList, known: Mapping[str, Sequence[Phrase]], rules: Iterable[str], *, source: str
) -> Expansion:
    """Give each class that may be split what is known of it by its name, and judge that."""
    expanded = (
        ClassExpansion(entry, tuple(known.get(entry.name, ())) if entry.policy == "expand" else ())
        for entry in classes.classes
    )
    return judge_expansion(Expansion(tuple(expanded), {"source": source}), rules)
