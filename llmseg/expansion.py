"""`ClassList` -> `Expansion`: which phrases stand for each class.

Sources: a shipped library, an expansion saved as JSON, or plain text with one class a line

    dog: poodle, beagle
    car: taxi, van        # anything behind a hash is a remark

`format_expansion` prints that same text, so what a person reads can be pasted back.

Not here: asking a language model; dropping words that an encoder does not know (`text_bank`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .errors import InputError, UnknownNameError
from .library import SCHEMA, choose_library, expansion_from_json, load_library
from .names import clean_phrase
from .options import LIBRARY
from .store import read_text, write_json
from .types import ClassExpansion, ClassList, ClassName, Expansion, Phrase

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


def expand_names(classes: ClassList, source: str = "auto") -> Expansion:
    """Expand class names from whatever `source` is.

    Args:
        classes: what the user asked for.
        source: "auto", "off", the name of a shipped library, or text as in `expand_from_text`.

    Raises:
        UnknownNameError: a single word that names no library.
        InputError: text that cannot be read.
    """
    if source == "off":
        return _collect(classes, {}, source="off")
    if ":" in source or "{" in source or "\n" in source:
        return expand_from_text(classes, source)
    return expand_from_library(classes, source)


def expand_with(classes: ClassList, library: str, subclasses: str = "") -> Expansion:
    """Own subclasses where any are given, as in `expand_from_text`; else the library.

    Raises:
        UnknownNameError: no library of that name.
        InputError: subclasses that cannot be read.
    """
    return expand_from_text(classes, subclasses) if subclasses.strip() else expand_from_library(classes, library)


def expand_from_library(classes: ClassList, library: str = "auto") -> Expansion:
    """Take each class's subclasses from a shipped library; unknown names keep themselves alone.

    Raises:
        UnknownNameError: no library of that name.
    """
    if library not in LIBRARY.names:
        raise UnknownNameError(library, LIBRARY.names, place="library")
    if library == "off":
        return _collect(classes, {}, source="off")
    if library == "auto":
        library = choose_library(classes.names)
    known: dict[str, Sequence[Phrase]] = {}
    for entry in load_library(library).classes:
        for wording in (entry.class_name.name, *entry.class_name.aliases):
            known[wording.casefold()] = entry.subclasses
    return _collect(classes, known, source=f"library {library}")


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
    owners = {wording.casefold(): entry for entry in classes.classes for wording in (entry.name, *entry.aliases)}
    known: dict[str, list[Phrase]] = {}
    for name, phrases in listed.items():
        if name.casefold() not in owners:
            raise UnknownNameError(name, classes.names, place="subclasses")
        known.setdefault(owners[name.casefold()].name.casefold(), []).extend(phrases)
    return _collect(classes, known, source=source)


def load_expansion(path: Path) -> Expansion:
    """Read an expansion saved by `save_expansion`, or edited since: it is judged as any other source.

    Raises:
        InputError: missing, not JSON, not an expansion, or one without classes.
    """
    expansion = expansion_from_json(_parse_json(read_text(path, place="expansion"), path.name), place=path.name)
    if not expansion.classes:
        raise InputError("no class in 'classes'; expected one or more.", place=path.name)
    known = {entry.class_name.name.casefold(): entry.subclasses for entry in expansion.classes}
    return replace(_collect(expansion.class_list, known, source=path.name), provenance=expansion.provenance)


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


def _collect(classes: ClassList, known: Mapping[str, Sequence[Phrase]], *, source: str) -> Expansion:
    taken = {wording.casefold(): entry.name for entry in classes.classes for wording in (entry.name, *entry.aliases)}
    expanded = []
    for entry in classes.classes:
        phrases: Sequence[Phrase] = ()
        if entry.policy == "expand":
            wordings = (entry.name, *entry.aliases)
            phrases = next((known[w.casefold()] for w in wordings if w.casefold() in known), ())
        expanded.append(ClassExpansion(entry, tuple(_judge(entry, phrases, taken))))
    return Expansion(tuple(expanded), {"source": source})


def _judge(entry: ClassName, phrases: Sequence[Phrase], taken: Mapping[str, str]) -> list[Phrase]:
    # A subclass that is another class's name would claim that class's pixels.
    seen: set[str] = set()
    judged = []
    for phrase in phrases:
        folded = phrase.text.casefold()
        owner = taken.get(folded)
        if not phrase.kept:
            judged.append(phrase)
        elif owner is not None:
            reason = "class_name" if owner == entry.name else "other_class"
            judged.append(replace(phrase, status="dropped", reason=reason))
        elif folded in seen:
            judged.append(replace(phrase, status="dropped", reason="duplicate"))
        else:
            judged.append(phrase)
        seen.add(folded)
    return judged
