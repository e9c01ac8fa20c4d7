"""`Expansion` -> the same with bad subclasses dropped, by words only: no encoder, no network.

`clean_expansion` is for lists that somebody else wrote (a language model, a source file);
`judge_expansion` applies single rules, as when known lists meet new class names. Each dropped phrase
stays, with its reason. Phrases typed by a person (status "user") obey only `EXACT_RULES`.
Cleaning twice changes nothing, and order never changes.

Not here: the rules and their reasons (`cleaning_rules`), the words they look for (`unwanted`),
parsing of replies.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace

from .cleaning_rules import EXACT_RULES, RULES, CleaningLimits, Item, Names, is_not_visible
from .folding import fold_words, plain_ascii
from .types import Expansion, Phrase

__all__ = ["CLEANER_VERSION", "clean_expansion", "judge_expansion", "normalise_phrase", "report_cleaning"]

CLEANER_VERSION = "1"  # goes up when the same list would come out differently

LONGEST_WORTH_TIDYING = 400  # characters; what is longer is no phrase, and is dropped for its length

_LOOKALIKES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u2010": "-", "\u2011": "-", "_": " "})
_NUMBERING = re.compile(r"^(?:\(?\d{1,3}[.):]|[a-z][.)]|[-*+>#\u2022\u00b7\u2013\u2014]+)\s+")
_ARTICLE = re.compile(r"^(?:an?|the)\s+")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|[(\[].*$")
_ENDS = " \t\"'`*.,;:!?\u201c\u201d"


def clean_expansion(expansion: Expansion, limits: CleaningLimits | None = None) -> Expansion:
    """Tidy every phrase and drop those that break a rule.

    Phrases dropped before stay dropped, with their reason.

    >>> from llmseg.types import ClassExpansion, ClassName
    >>> bus = ClassExpansion(ClassName("bus"), (Phrase("1. City bus"), Phrase("buses"), Phrase("a school bus.")))
    >>> clean_expansion(Expansion((bus,))).classes[0].kept
    ('city bus', 'school bus')
    """
    classes = tuple(
        replace(entry, subclasses=tuple(_tidy(phrase) for phrase in entry.subclasses)) for entry in expansion.classes
    )
    return judge_expansion(replace(expansion, classes=classes), RULES, limits)


def judge_expansion(expansion: Expansion, rules: Iterable[str], limits: CleaningLimits | None = None) -> Expansion:
    """Drop the phrases that break one of some rules; texts stay as they are.

    Args:
        expansion: classes and what was proposed for them.
        rules: names in `RULES`, in the order in which they are applied.
        limits: the numbers that the rules need.
    """
    limits = limits or CleaningLimits()
    names = Names([entry.class_name for entry in expansion.classes])
    items = list(_items(expansion))
    reasons: dict[tuple[int, int], str] = {}
    for reason in rules:
        for item in RULES[reason](items, names, limits):
            if not item.typed or reason in EXACT_RULES:
                reasons[item.owner, item.position] = reason
        items = [item for item in items if (item.owner, item.position) not in reasons]
    if not reasons:
        return expansion
    classes = []
    for owner, entry in enumerate(expansion.classes):
        phrases = enumerate(entry.subclasses)
        judged = tuple(_drop(phrase, reasons.get((owner, position), "")) for position, phrase in phrases)
        classes.append(replace(entry, subclasses=judged))
    return replace(expansion, classes=tuple(classes))


def report_cleaning(expansion: Expansion) -> list[tuple[str, str, str]]:
    """Class, phrase and reason of all that was dropped, and of what is kept although `not_visible` names it."""
    names = Names([entry.class_name for entry in expansion.classes])
    doubtful = {
        (item.owner, item.position) for item in _items(expansion) if not item.typed and is_not_visible(item, names)
    }
    return [
        (entry.class_name.name, phrase.text, phrase.reason if not phrase.kept else "not_visible")
        for owner, entry in enumerate(expansion.classes)
        for position, phrase in enumerate(entry.subclasses)
        if not phrase.kept or (owner, position) in doubtful
    ]


def normalise_phrase(text: str) -> str:
    """One phrase as it should have been written: lower case, no numbering, article, quotes or brackets.

    >>> [normalise_phrase(text) for text in ("1. An SUV (Sport Utility Vehicle).", "Commercial_Jetliner ")]
    ['suv', 'commercial jetliner']
    """
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode())  # JSON can hold lone surrogates
    text = " ".join(text.translate(_LOOKALIKES).casefold().split())
    if len(text) > LONGEST_WORTH_TIDYING:
        return text
    before = None
    while text != before:  # "1. - the dog" sheds one layer at a time
        before = text
        text = _NUMBERING.sub("", text.lstrip())
        text = _BRACKETS.sub(" ", text).strip(_ENDS)
        text = " ".join(_ARTICLE.sub("", plain_ascii(text)).split())
    return text


def _tidy(phrase: Phrase) -> Phrase:
    return replace(phrase, text=normalise_phrase(phrase.text)) if phrase.status == "ok" else phrase


def _drop(phrase: Phrase, reason: str) -> Phrase:
    return replace(phrase, status="dropped", reason=reason) if reason else phrase


def _items(expansion: Expansion) -> Iterator[Item]:
    for owner, entry in enumerate(expansion.classes):
        for position, phrase in enumerate(entry.subclasses):
            if phrase.kept:
                words = fold_words(phrase.text[:LONGEST_WORTH_TIDYING])
                yield Item(owner, position, phrase.text, words, "".join(words), phrase.status == "user")
