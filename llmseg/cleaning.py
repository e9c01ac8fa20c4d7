"""`Expansion` -> the same with bad subclasses dropped, by words only: no encoder, no network.

`clean_expansion` is for lists that somebody else wrote (a language model, a source file);
`judge_expansion` applies single rules, as when known lists meet new class names. Each dropped phrase
stays, with its reason. Phrases typed by a person (status "user") obey only `EXACT_RULES`.
Cleaning twice changes nothing, and order never changes.

Not here: the rules (`cleaning_rules`), the words they look for and the reasons in words (`unwanted`),
judging by an encoder (`affinity`), parsing of replies.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from .cleaning_rules import EXACT_RULES, RULES, CleaningLimits, Item, Names, is_not_visible
from .folding import fold, fold_words, plain_ascii
from .options import SENTENCES
from .types import ClassExpansion, Expansion, Phrase
from .unwanted import FORMS

__all__ = [
    "CLEANER_VERSION", "clean_expansion", "judge_expansion", "known_nouns", "normalise_phrase", "report_cleaning",
    "spare_classes",
]  # fmt: skip

CLEANER_VERSION = "2"  # goes up when the same list would come out differently

CACHED_LISTS = 16  # a script that labels one picture after another cleans the same lists each time
CACHED_PHRASES = 20_000  # stored answers are cleaned again whenever the other classes change
LONGEST_WORTH_TIDYING = 400  # characters; what is longer is no phrase, and is dropped for its length

SUFFIXED_WORDS, SUFFIXED_CHARACTERS = 5, 60  # a phrase and its class name may be this long

_LOOKALIKES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u2010": "-", "\u2011": "-", "_": " "})
_TYPOGRAPHY = _LOOKALIKES | str.maketrans({"\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "_": "_"})
_NUMBERING = re.compile(r"^(?:\(?\d{1,3}[.):]|[a-z][.)]|[-*+>#\u2022\u00b7\u2013\u2014]+)\s+")
_ARTICLE = re.compile(r"^(?:an?|the)\s+")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|[(\[].*$")
_OUTER_QUOTES = re.compile(r"""^(?:"([^"]*)"|`([^`]*)`|'((?:[^']|(?<=\w)'(?=\w))*)')$""")
_ENDS = " \t\"'`*.,;:!?\u201c\u201d"


def clean_expansion(expansion: Expansion, limits: CleaningLimits | None = None) -> Expansion:
    """Tidy every phrase and drop those that break a rule; with `limits.suffix`, say what encoders read.

    Phrases dropped before stay dropped, with their reason.

    >>> from llmseg.types import ClassExpansion, ClassName
    >>> bus = ClassExpansion(ClassName("bus"), (Phrase("1. City bus"), Phrase("buses"), Phrase("a school bus.")))
    >>> clean_expansion(Expansion((bus,))).classes[0].kept
    ('city bus', 'school bus')
    """
    classes = tuple(
        replace(entry, subclasses=tuple(_tidy(phrase) for phrase in entry.subclasses)) for entry in expansion.classes
    )
    judged = judge_expansion(replace(expansion, classes=classes), RULES, limits)
    return _add_suffixes(judged, limits.known) if limits and limits.suffix else judged


def judge_expansion(expansion: Expansion, rules: Iterable[str], limits: CleaningLimits | None = None) -> Expansion:
    """Drop the phrases that break one of some rules; texts stay as they are.

    Args:
        expansion: classes and what was proposed for them.
        rules: names in `RULES`, in the order in which they are applied.
        limits: the numbers that the rules need.
    """
    classes = _judge_classes(expansion.classes, tuple(rules), limits or CleaningLimits())
    return expansion if classes is expansion.classes else replace(expansion, classes=classes)


@lru_cache(maxsize=CACHED_LISTS)
def _judge_classes(
    listed: tuple[ClassExpansion, ...], rules: tuple[str, ...], limits: CleaningLimits
) -> tuple[ClassExpansion, ...]:
    """The classes with what was dropped; the very same where nothing was."""
    names = Names([entry.class_name for entry in listed])
    items = list(_items(listed))
    kinds = {item.kind for item in items}
    reasons: dict[tuple[int, int], str] = {}
    for reason in rules:
        exempt = {kind for kind in kinds if reason in FORMS[kind].exempt}
        judged = [item for item in items if item.kind not in exempt] if exempt else items
        broken = {
            (item.owner, item.position): reason
            for item in RULES[reason](judged, names, limits)
            if not item.typed or reason in EXACT_RULES
        }
        if broken:
            reasons |= broken
            items = [item for item in items if (item.owner, item.position) not in broken]
    if not reasons:
        return listed
    classes = []
    for owner, entry in enumerate(listed):
        phrases = enumerate(entry.subclasses)
        left = tuple(_drop(phrase, reasons.get((owner, position), "")) for position, phrase in phrases)
        classes.append(replace(entry, subclasses=left))
    return tuple(classes)


def spare_classes(judged: Expansion, before: Expansion, names: Collection[str]) -> Expansion:
    """The judged expansion, but for the classes of some names, which stay as they were."""
    pairs = zip(judged.classes, before.classes, strict=True)
    return replace(judged, classes=tuple(old if old.class_name.name in names else new for new, old in pairs))


def report_cleaning(expansion: Expansion) -> list[tuple[str, str, str]]:
    """Class, phrase and reason of all that was dropped, and of what is kept although `not_visible` names it."""
    names = Names([entry.class_name for entry in expansion.classes])
    doubtful = {
        (item.owner, item.position)
        for item in _items(expansion.classes)
        if not item.typed and "not_visible" not in FORMS[item.kind].exempt and is_not_visible(item, names)
    }
    return [
        (entry.class_name.name, phrase.text, phrase.reason if not phrase.kept else "not_visible")
        for owner, entry in enumerate(expansion.classes)
        for position, phrase in enumerate(entry.subclasses)
        if not phrase.kept or (owner, position) in doubtful
    ]


def known_nouns(libraries: Iterable[Expansion]) -> frozenset[tuple[str, str]]:
    """Single nouns that need no class name behind them, for `CleaningLimits.known`.

    Args:
        libraries: lists whose subclasses are well known: `library.load_library` of each of `library_names`.

    Returns:
        Folded name or alias of a class, and the one folded word of a subclass listed for it.
    """
    return frozenset(
        (fold(wording), words[0])
        for library in libraries
        for entry in library.classes
        for words in map(fold_words, entry.kept)
        if len(words) == 1
        for wording in (entry.class_name.name, *entry.class_name.aliases)
    )


@lru_cache(maxsize=CACHED_PHRASES)
def normalise_phrase(text: str, kind: str = "subclasses") -> str:
    """One phrase as it should have been written: lower case, no numbering, article, quotes or brackets.

    Sentences (definitions, descriptions) lose only numbering and the quotes around the whole.

    >>> [normalise_phrase(text) for text in ("1. An SUV (Sport Utility Vehicle).", "Commercial_Jetliner ")]
    ['suv', 'commercial jetliner']
    >>> normalise_phrase('2) "A  Dog (a pet)."', "definitions")
    'A Dog (a pet).'
    """
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode())  # JSON can hold lone surrogates
    sentence = kind in SENTENCES
    text = text.translate(_TYPOGRAPHY) if sentence else text.translate(_LOOKALIKES).casefold()
    text = " ".join(text.split())
    before = None
    while text != before and len(text) <= LONGEST_WORTH_TIDYING:  # "1. - the dog" sheds one layer at a time
        before = text
        text = _NUMBERING.sub("", text)
        text = _OUTER_QUOTES.sub(r"\1\2\3", text).strip() if sentence else _bare(text)
    return text


def _bare(text: str) -> str:
    text = _BRACKETS.sub(" ", text).strip(_ENDS)
    return " ".join(_ARTICLE.sub("", plain_ascii(text)).split())


def _add_suffixes(expansion: Expansion, known: frozenset[tuple[str, str]]) -> Expansion:
    """What encoders read for each subclass that does not name its class (C13); CHiLS (arXiv:2302.02551) does so."""
    names = Names([entry.class_name for entry in expansion.classes])
    classes = (
        replace(entry, subclasses=tuple(_add_suffix(phrase, entry, own, known) for phrase in entry.subclasses))
        for entry, own in zip(expansion.classes, names.wordings, strict=True)
    )
    return replace(expansion, classes=tuple(classes))


def _add_suffix(
    phrase: Phrase, entry: ClassExpansion, own: Sequence[tuple[str, ...]], known: frozenset[tuple[str, str]]
) -> Phrase:
    """A phrase with the class name behind it for encoders, unless it says what it is by itself."""
    if phrase.status != "ok" or phrase.kind != "subclasses" or phrase.encoded:
        return phrase
    words = fold_words(phrase.text)
    # The noun is enough: a corn dog says hot dog, an armchair says chair, a computer monitor says tv monitor.
    heads = tuple(wording[-1] for wording in own if wording)
    named = any(word.endswith(heads) for word in words)
    well_known = len(words) == 1 and any(("".join(wording), words[0]) in known for wording in own)
    longer = f"{phrase.text} {entry.class_name.wording}"
    too_long = len(longer.split()) > SUFFIXED_WORDS or len(longer) > SUFFIXED_CHARACTERS
    if named or well_known or too_long or not longer.isascii():
        return phrase
    return replace(phrase, encoded=longer)


def _tidy(phrase: Phrase) -> Phrase:
    text = normalise_phrase(phrase.text, phrase.kind) if phrase.status == "ok" else phrase.text
    return phrase if text == phrase.text else replace(phrase, text=text)


def _drop(phrase: Phrase, reason: str) -> Phrase:
    return replace(phrase, status="dropped", reason=reason) if reason else phrase


def _items(listed: Sequence[ClassExpansion]) -> Iterator[Item]:
    for owner, entry in enumerate(listed):
        for position, phrase in enumerate(entry.subclasses):
            if phrase.kept:
                words = fold_words(phrase.text[:LONGEST_WORTH_TIDYING])
                yield Item(owner, position, phrase.text, words, "".join(words), phrase.status == "user", phrase.kind)
