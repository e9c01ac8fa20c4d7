"""`Expansion` -> the same with what a person decided: entries of a lock file, edits by hand.

Not here: where the phrases came from (`expansion`, `llm_expansion`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from .cleaning import judge_expansion
from .cleaning_rules import EXACT_RULES, LOCK_RULES
from .expansion import expand_from_text
from .folding import fold
from .types import ClassExpansion, ClassList, ClassName, Expansion, Phrase

__all__ = ["edit_expansion", "hold_lock", "locked_entries"]

logger = logging.getLogger("llmseg")


def locked_entries(classes: ClassList, lock: Expansion | None) -> dict[str, ClassExpansion]:
    """What a lock file says of the classes, by the name that the user gives them.

    A class that fell back to its name when the file was written is not locked: it may be asked again.
    """
    entries = [entry for entry in (lock.classes if lock else ()) if entry.status == "ok"]
    exact = {entry.class_name.name.casefold(): entry for entry in entries}
    found = {asked: exact.get(asked.name.casefold()) for asked in classes.classes}
    taken = {id(held) for held in found.values()}
    # By a rougher reading, or an alias, an entry serves one class only.
    folded = {fold(entry.class_name.name): entry for entry in reversed(entries) if id(entry) not in taken}
    for asked in [asked for asked, held in found.items() if held is None]:
        keys = (fold(wording) for wording in (asked.name, *asked.aliases))
        found[asked] = next((folded.pop(key) for key in keys if key in folded), None)
    return {asked.name: _take_over(asked, held) for asked, held in found.items() if held is not None}


def _take_over(asked: ClassName, held: ClassExpansion) -> ClassExpansion:
    """What is held of a class, under the name that is asked for."""
    name = held.class_name
    named = replace(asked, sense=asked.sense or name.sense, english=asked.english or name.english)
    # What fell only beside other classes than today's is judged again.
    again = (
        replace(item, status="ok", reason="") if not item.kept and item.reason in LOCK_RULES else item
        for item in held.subclasses
    )
    return replace(held, class_name=named, subclasses=tuple(again))


def hold_lock(expansion: Expansion, lock: Expansion | None) -> Expansion:
    """Put what a lock file says in place of what was found for those classes."""
    locked = locked_entries(expansion.class_list, lock)
    if not locked:
        return expansion
    classes = tuple(locked.get(entry.class_name.name, entry) for entry in expansion.classes)
    return judge_expansion(replace(expansion, classes=classes), LOCK_RULES)


def edit_expansion(expansion: Expansion, text: str) -> Expansion:
    """Change an expansion by hand: `dog: poodle, beagle` is a new list, `dog: +husky, -poodle` a change of the old.

    Raises:
        InputError: text that cannot be read, or a class that is not there.
    """
    edits = expand_from_text(expansion.class_list, text) if text.strip() else Expansion(())
    wanted = {entry.class_name.name: entry.subclasses for entry in edits.classes if entry.subclasses}
    classes = tuple(_edit(entry, wanted.get(entry.class_name.name, ())) for entry in expansion.classes)
    return judge_expansion(replace(expansion, classes=classes), EXACT_RULES)


def _edit(entry: ClassExpansion, edits: Sequence[Phrase]) -> ClassExpansion:
    signs = {sign: [item.text[1:].strip() for item in edits if item.text.startswith(sign)] for sign in "+-"}
    whole = tuple(item for item in edits if item.text[:1] not in signs)
    removed = {fold(text) for text in signs["-"]}
    kept = tuple(
        replace(item, status="dropped", reason="edited") if fold(item.text) in removed and item.kept else item
        for item in (whole or entry.subclasses)
    )
    added = tuple(Phrase(text, "user", source="text") for text in signs["+"] if text)
    if unknown := removed - {fold(item.text) for item in kept}:
        logger.warning("%r has no phrase that reads like %s; nothing removed.", entry.class_name.name, sorted(unknown))
    # What a person decided is no fallback any more.
    status, reason = ("ok", "") if edits else (entry.status, entry.reason)
    return ClassExpansion(entry.class_name, (*kept, *added), status, reason)
