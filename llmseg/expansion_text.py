"""Text -> phrases by class name, in every form that people and language models write.

    dog: poodle, beagle          a class a line; anything behind a hash is a remark
    person, person in shirt      no colon anywhere: SCLIP's lists, the name first
    {"dog": ["poodle"]}          JSON, or a saved expansion
    Sure! ```json {"items": ...  a reply of a language model, fences and prose around it

Not here: whose classes these are (`expansion`), which phrases are good (`cleaning`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .errors import InputError, ReplyError
from .library import expansion_from_json
from .llm.replies import parse_json
from .names import clean_phrase
from .options import SENTENCES
from .types import Expansion, Phrase

__all__ = ["format_expansion", "parse_expansion_json", "read_phrases"]

Phrases = dict[str, list[Phrase]]

NAME_KEYS = ("name", "class", "class_name", "id")
LIST_KEYS: Mapping[str, str] = MappingProxyType(  # where models write phrases -> the kind they are
    {"subclasses": "subclasses", "phrases": "subclasses", "synonyms": "synonyms", "descriptions": "descriptions",
     "definition": "definitions", "definitions": "definitions"}
)  # fmt: skip


def read_phrases(text: str) -> tuple[Phrases, str]:
    """Phrases by class name as written, and what kind of source this is: text, lists, file or reply.

    Phrases of a reply are proposals, to be cleaned; those typed in lines are a person's.

    Raises:
        InputError: not readable; the message names the line or the entry.
    """
    lines = [(number, line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if any("{" in line or line.startswith("[") for _, line in lines):
        return _from_any_json(text)
    if any(":" in line for _, line in lines):
        return _from_lines(lines), "text"
    return _from_lists(lines), "lists"


def parse_expansion_json(text: str, place: str) -> Any:
    """Any JSON value.

    Raises:
        InputError: not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON ({error}); expected an expansion.", place=place) from error


def format_expansion(expansion: Expansion, remarks: Sequence[str] = ()) -> str:
    """One line per class that a person can read, after remarks; `read_phrases` reads it back.

    Unless a wording holds one of its own marks: `:`, `,` or `#`.

    >>> from llmseg.types import ClassExpansion, ClassName
    >>> dog = ClassExpansion(ClassName("dog"), (Phrase("poodle"), Phrase("cat", "dropped", "other_class")))
    >>> print(format_expansion(Expansion((dog, ClassExpansion(ClassName("sky"))))))
    dog: poodle  # dropped: cat (other_class)
    sky:
    """
    lines = [f"# {remark}" for remark in remarks]
    for entry in expansion.classes:
        dropped = [f"{item.text} ({item.reason})" for item in entry.subclasses if not item.kept]
        notes = [f"read as {entry.class_name.english}"] if entry.class_name.english else []
        notes += [f"fallback: {entry.reason}"] if entry.status == "fallback" else []
        notes += [f"dropped: {', '.join(dropped)}"] if dropped else []
        behind = f"  # {'; '.join(notes)}" if notes else ""
        lines.append(f"{entry.class_name.name}: {', '.join(entry.kept)}".rstrip() + behind)
    # One line stays one line, and steers no terminal: part of it was written by a model.
    return "\n".join("".join(letter if letter.isprintable() else " " for letter in line) for line in lines)


def _from_lines(lines: Sequence[tuple[int, str]]) -> Phrases:
    listed: Phrases = {}
    for number, line in lines:
        name, colon, rest = line.partition(":")
        if not colon or not name.strip():
            raise InputError(f"line {number}, {line[:40]!r}; expected 'class: subclass, subclass'.", place="subclasses")
        listed.setdefault(clean_phrase(name), []).extend(_typed(rest))
    return listed


def _from_lists(lines: Sequence[tuple[int, str]]) -> Phrases:
    """SCLIP's form: the first phrase of a line is the class, or the class by another name."""
    listed: Phrases = {}
    for number, line in lines:
        names = _typed(line)
        if not names:
            raise InputError(f"line {number}, {line[:40]!r}; expected 'class, phrase, phrase'.", place="subclasses")
        listed.setdefault(names[0].text, []).extend(names[1:])
    return listed


def _typed(text: str) -> list[Phrase]:
    texts = [clean_phrase(part) for part in text.split(",")]
    return [Phrase(item, "user", source="text") for item in texts if item]


def _from_any_json(text: str) -> tuple[Phrases, str]:
    """Our own form, written strictly; or a reply, in whatever form and with whatever around it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            return _from_reply(parse_json(text)), "reply"
        except ReplyError as damage:
            if text.lstrip().startswith(("{", "[")):
                raise InputError(f"not valid JSON ({error}); expected an expansion.", place="subclasses") from None
            raise InputError(
                f"{damage.problem} Give lines 'class: subclass, subclass', or JSON.", place="subclasses"
            ) from None
    items = _items(value)
    own = isinstance(value, dict) and "classes" in value and all("name" in item for item in items)
    return (_from_reply(value), "reply") if items and not own else (_from_json(value), "file")


def _from_json(value: Any) -> Phrases:
    if isinstance(value, dict) and "classes" not in value:
        value = {"classes": [{"name": name, "subclasses": items} for name, items in value.items()]}
    expansion = expansion_from_json(value, place="subclasses")
    return {entry.class_name.name: list(entry.subclasses) for entry in expansion.classes}


def _from_reply(value: Any) -> Phrases:
    """A language model's JSON: items under any of the usual keys, or lists by class."""
    listed: Phrases = {}
    items = _items(value) or ([value] if _is_item(value) else [])
    if not items and isinstance(value, dict):
        items = [{"name": name, "subclasses": phrases} for name, phrases in value.items()]
    for number, item in enumerate(items, start=1):
        name = next((item[key] for key in NAME_KEYS if isinstance(item.get(key), str)), "")
        if not clean_phrase(name) or clean_phrase(name).isdigit():
            raise InputError(f"item {number} of the reply names no class; expected a 'name'.", place="subclasses")
        for key, kind in LIST_KEYS.items():
            phrases = [Phrase(text, source="reply", kind=kind) for text in _texts(item.get(key), kind)]
            listed.setdefault(clean_phrase(name), []).extend(phrases)
    return listed


def _items(value: Any) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else None
    if isinstance(value, dict):
        found = next((value[key] for key in ("items", "classes") if isinstance(value.get(key), list)), None)
    return [item for item in found or [] if isinstance(item, dict)]


def _is_item(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(value.get(key), str) for key in NAME_KEYS)


def _texts(value: Any, kind: str) -> list[str]:
    """The phrases of a list, or of a text with commas; what is no text is left out."""
    if isinstance(value, str):
        value = [value] if kind in SENTENCES else value.split(",")
    found = [item.get("text") if isinstance(item, dict) else item for item in value] if isinstance(value, list) else []
    return [text for text in (clean_phrase(text) for text in found if isinstance(text, str)) if text]
