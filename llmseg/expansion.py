"""`ClassList` -> `Expansion`: which phrases stand for each class.

Sources: a shipped library, an expansion saved as JSON, or text in any form that `expansion_text` reads.

Class names are found whatever their case, number, hyphens or spelling. Lists of a library were written
for other neighbours than the user's, so they are judged again among the user's classes.

Not here: asking a language model (`llm_expansion`); forms of text (`expansion_text`); the rules
(`cleaning_rules`); dropping words that an encoder does not know (`text_bank`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .cleaning import clean_expansion, judge_expansion
from .cleaning_rules import COLLISION_RULES, EXACT_RULES, CleaningLimits
from .errors import InputError, UnknownNameError
from .expansion_text import parse_expansion_json, read_phrases
from .folding import fold, plain_ascii
from .library import SCHEMA, choose_library, expansion_from_json, library_index, load_library
from .options import KIND, LIBRARY
from .store import read_text, write_json
from .types import ClassExpansion, ClassList, ClassName, Expansion, Phrase

__all__ = [
    "expand_from_library",
    "expand_from_text",
    "expand_names",
    "expand_with",
    "expansion_to_json",
    "foreign_names",
    "load_expansion",
    "save_expansion",
]

logger = logging.getLogger("llmseg")


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


def expand_with(
    classes: ClassList,
    library: str,
    subclasses: str = "",
    own_library: str = "",
    limits: CleaningLimits | None = None,
) -> Expansion:
    """Own subclasses where any are given, as in `expand_from_text`; else the library.

    Raises:
        UnknownNameError: no library of that name.
        InputError: subclasses that cannot be read.
    """
    if subclasses.strip():
        return expand_from_text(classes, subclasses, limits)
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
    if foreign := foreign_names(classes):
        logger.warning(
            "class names in another script: %s; encoders read English. Write the English names, or ask a language "
            "model, which translates.",
            ", ".join(map(repr, foreign[:5])),
        )
    if library == "off":
        return _collect(classes, {}, EXACT_RULES, source="off")
    if library == "auto":
        library = choose_library(classes, own_library)
    entries, index = load_library(library).classes, library_index(library)
    known: dict[str, Sequence[Phrase]] = {}
    for entry in classes.classes:
        keys = (fold(wording) for wording in _wordings(entry))
        position = next((index[key] for key in keys if key in index), None)
        known[entry.name] = () if position is None else entries[position].subclasses
    return _collect(classes, known, COLLISION_RULES, source=f"library {library}")


def expand_from_text(classes: ClassList, text: str, limits: CleaningLimits | None = None) -> Expansion:
    """Read subclasses from JSON or from lines `class: subclass, subclass`.

    Any form that `expansion_text.read_phrases` knows; a language model's reply is cleaned by all rules
    and `limits`.

    Raises:
        InputError: not readable, or a line for a class that was not asked for.
    """
    listed, source = read_phrases(text)
    wordings = [(w, entry.name) for entry in classes.classes for w in _wordings(entry)]
    # As typed goes first, for people who ask for both "hot dog" and "hotdog".
    owners = {fold(wording): name for wording, name in reversed(wordings)}
    exact = {wording.casefold(): name for wording, name in wordings}
    found = {name: exact.get(name.casefold()) or owners.get(fold(name)) for name in listed}
    if source == "lists" and len(listed) == len(classes.names):
        # SCLIP's lists have a line for each class, which need not begin with its name.
        by_position = {name: own for name, own in zip(listed, classes.names, strict=True) if own not in found.values()}
    else:
        by_position = {}
    known: dict[str, list[Phrase]] = {}
    for name, phrases in listed.items():
        owner = found[name] or by_position.get(name)
        if owner is None:
            raise _unknown_class(name, classes, source)
        first = [] if found[name] else [Phrase(name, "user", source="text")]
        known.setdefault(owner, []).extend([*first, *phrases])
    expansion = _collect(classes, known, EXACT_RULES, source=source)
    return clean_expansion(expansion, limits) if source == "reply" else expansion


def _unknown_class(name: str, classes: ClassList, source: str) -> InputError:
    if source != "lists":
        return UnknownNameError(name, classes.names, place="subclasses")
    return InputError(
        f"no class is called {name!r}; expected lines 'class: subclass, subclass', or one list for each of the "
        f"{len(classes.names)} classes.",
        place="subclasses",
    )


def foreign_names(classes: ClassList) -> tuple[str, ...]:
    """Names that no encoder reads: letters of another script, and no English wording given."""
    return tuple(entry.name for entry in classes.classes if not plain_ascii(entry.wording).isascii())


def load_expansion(path: Path) -> Expansion:
    """Read an expansion saved by `save_expansion`, or edited since: it is judged as any other source.

    Raises:
        InputError: missing, not JSON, not an expansion, or one without classes.
    """
    value = parse_expansion_json(read_text(path, place="expansion"), path.name)
    expansion = expansion_from_json(value, place=path.name)
    if not expansion.classes:
        raise InputError("no class in 'classes'; expected one or more.", place=path.name)
    known = {entry.class_name.name: entry.subclasses for entry in expansion.classes}
    judged = _collect(expansion.class_list, known, EXACT_RULES, source=path.name)
    classes = tuple(
        replace(entry, status=read.status, reason=read.reason)
        for entry, read in zip(judged.classes, expansion.classes, strict=True)
    )
    return Expansion(classes, expansion.provenance)


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


def _class_to_json(entry: ClassExpansion) -> dict[str, object]:
    name = entry.class_name
    listed: dict[str, object] = {
        "name": name.name,
        "aliases": list(name.aliases),
        "sense": name.sense,
        "role": name.role,
        "policy": name.policy,
    }
    # What is said of few classes is written for those only: people read these files.
    rare = {"english": name.english, "status": entry.status.removeprefix("ok"), "reason": entry.reason}
    listed |= {key: text for key, text in rare.items() if text}
    return {**listed, "subclasses": [_phrase_to_json(phrase) for phrase in entry.subclasses]}


def _phrase_to_json(phrase: Phrase) -> dict[str, str]:
    listed = {"text": phrase.text, "status": phrase.status, "reason": phrase.reason, "source": phrase.source}
    listed |= {} if phrase.kind == KIND.default else {"kind": phrase.kind}
    return {**listed, **({"encoded": phrase.encoded} if phrase.encoded else {})}


def _wordings(entry: ClassName) -> tuple[str, ...]:
    return (entry.name, *([entry.english] if entry.english else ()), *entry.aliases)


def _collect(
    classes: ClassList, known: Mapping[str, Sequence[Phrase]], rules: Iterable[str], *, source: str
) -> Expansion:
    """Give each class that may be split what is known of it by its name, and judge that."""
    expanded = (
        ClassExpansion(entry, tuple(known.get(entry.name, ())) if entry.policy == "expand" else ())
        for entry in classes.classes
    )
    return judge_expansion(Expansion(tuple(expanded), {"source": source}), rules)
