"""The rules that drop subclasses: one small function and one reason for each; `REASONS` tells them to people.

They run in the order of `RULES`, each on what the earlier ones left, where `FORMS` does not exempt the kind
of a phrase. No rule compares all pairs.

Not here: who calls them, and what becomes of a dropped phrase (`cleaning`); encoders (`affinity`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from .folding import fold_words, plain_ascii
from .types import ClassName
from .unwanted import BOILERPLATE, COLOURS, FORMS, HYPERNYMS, NOT_VISIBLE, PEOPLE, PERSON_WORDS

__all__ = [
    "COLLISION_RULES", "EXACT_RULES", "LOCK_RULES", "RULES", "CleaningLimits", "Item", "Names",
    "is_not_visible",
]  # fmt: skip

EXACT_RULES = ("class_name", "other_class", "duplicate")
LOCK_RULES = ("class_name", "other_class", "other_class_word", "two_classes", "duplicate")
COLLISION_RULES = (*LOCK_RULES, "near_duplicate", "too_few")

CACHED_PHRASES = 20_000

_FILLERS = frozenset(("a", "an", "the", "of", "in", "on", "with", "and"))


@dataclass(frozen=True)
class CleaningLimits:
    """How many phrases a class keeps, how strict the doubtful rule is, and what encoders read.

    Args:
        keep, keep_stuff: most phrases of a thing and of stuff.
        min_keep: with fewer than these a class stands alone.
        strict: `not_visible` drops too, so that C1-C8, C11, C12, C16 and C18 hold; else it only reports.
        suffix: encoders read the class name behind a subclass that does not name its class.
        known: (class, phrase) keys of single nouns that need no suffix; see `cleaning.known_nouns`.
    """

    keep: int = 7
    keep_stuff: int = 5
    min_keep: int = 2
    strict: bool = False
    suffix: bool = False
    known: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)


class Item(NamedTuple):
    """A phrase that is still in use: where it stands, what it is compared by, who typed it, what it is."""

    owner: int
    position: int
    text: str
    words: tuple[str, ...]
    key: str
    typed: bool
    kind: str = "subclasses"


class Names:
    """The classes by what they are called, in English and as typed; found by key or by word."""

    def __init__(self, classes: Sequence[ClassName]) -> None:
        self.classes = classes
        self.wordings = [
            [fold_words(text) for text in dict.fromkeys((entry.wording, entry.name, *entry.aliases))]
            for entry in classes
        ]
        self.words = [frozenset(word for wording in own for word in wording) for own in self.wordings]
        self.owners: dict[str, int] = {}
        self.by_rare_word: dict[str, list[tuple[int, frozenset[str]]]] = defaultdict(list)
        usual = Counter(word for own in self.wordings for wording in own for word in wording)
        for label, own in enumerate(self.wordings):
            for wording in filter(None, own):
                self.owners.setdefault("".join(wording), label)
                rare = min(wording, key=lambda word: usual[word])
                self.by_rare_word[rare].append((label, frozenset(wording)))

    def held_classes(self, item: Item) -> Iterator[frozenset[str]]:
        """Wordings of other classes all of whose words occur in a phrase."""
        words = frozenset(item.words)
        for word in words:
            for label, wording in self.by_rare_word.get(word, ()):
                if label != item.owner and wording <= words:
                    yield wording


Rule = Callable[[Sequence[Item], Names, CleaningLimits], Iterable[Item]]


def is_not_visible(item: Item, names: Names) -> bool:
    """Whether a phrase speaks of technology, quality, price or a maker; words of the class itself are free."""
    tokens = {*item.words, *(word.replace("-", "") for word in item.text.split())}
    return not NOT_VISIBLE.isdisjoint(tokens - names.words[item.owner])


def _each(breaks: Callable[[Item, Names], bool]) -> Rule:
    """A rule about one phrase at a time."""

    def rule(items: Sequence[Item], names: Names, limits: CleaningLimits) -> Iterator[Item]:
        return (item for item in items if breaks(item, names))

    return rule


def _is_not_expanded(item: Item, names: Names) -> bool:
    entry = names.classes[item.owner]
    return entry.policy != "expand" or entry.role in ("background", "residual")


def _is_boilerplate(item: Item, names: Names) -> bool:
    return _holds_boilerplate(item.text)


@lru_cache(maxsize=CACHED_PHRASES)
def _holds_boilerplate(text: str) -> bool:
    return BOILERPLATE.search(text) is not None


def _has_odd_letters(item: Item, names: Names) -> bool:
    return FORMS[item.kind].letters.fullmatch(plain_ascii(item.text)) is None


def _has_wrong_length(item: Item, names: Names) -> bool:
    fewest, most = FORMS[item.kind].characters
    return not (fewest <= len(item.text) <= most and len(item.text.split()) <= FORMS[item.kind].words)


def _is_class_name(item: Item, names: Names) -> bool:
    return names.owners.get(item.key) == item.owner


def _is_other_class(item: Item, names: Names) -> bool:
    return names.owners.get(item.key, item.owner) != item.owner


def _holds_other_class(item: Item, names: Names) -> bool:
    # This covers a head noun that is another class too. A hot dog is no dog: words of the own name are free.
    # Ending with the own name frees nobody: a "backpack handbag" still looks like a backpack.
    return any(
        not any(_is_part(held, wording) for wording in names.wordings[item.owner]) for held in names.held_classes(item)
    )


def _is_part(words: frozenset[str], wording: tuple[str, ...]) -> bool:
    """Whether the words stand side by side in a wording."""
    size = len(words)
    return any(words == frozenset(wording[start : start + size]) for start in range(len(wording) - size + 1))


def _is_hypernym(item: Item, names: Names) -> bool:
    # A class that is a group itself may well hold groups: "vehicle: car, boat".
    return item.key in HYPERNYMS and not any("".join(own) in HYPERNYMS for own in names.wordings[item.owner])


def _is_stereotype(item: Item, names: Names) -> bool:
    own = names.words[item.owner]
    if own.isdisjoint(PERSON_WORDS):
        return False
    pairs = zip(item.words, item.words[1:], strict=False)
    coloured = any(first in COLOURS and second in PERSON_WORDS for first, second in pairs)
    return coloured or not PEOPLE.isdisjoint({*item.words, item.key} - own)


def _in_two_classes(items: Sequence[Item], names: Names, limits: CleaningLimits) -> Iterator[Item]:
    proposed: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        proposed[item.key].append(item)
    for rivals in proposed.values():
        if len({item.owner for item in rivals}) > 1:
            suffix = {item.owner: _suffix_length(item, names) for item in rivals}
            longest = max(suffix.values())
            ambiguous = longest == 0 or sum(length == longest for length in suffix.values()) > 1
            yield from (item for item in rivals if ambiguous or suffix[item.owner] < longest)


def _suffix_length(item: Item, names: Names) -> int:
    """Number of words of the longest own name that a phrase ends with."""
    own = names.wordings[item.owner]
    return max((len(wording) for wording in own if wording and item.words[-len(wording) :] == wording), default=0)


def _duplicates(items: Sequence[Item], names: Names, limits: CleaningLimits) -> Iterator[Item]:
    return _repeated(items, lambda item: item.key)


def _near_duplicates(items: Sequence[Item], names: Names, limits: CleaningLimits) -> Iterator[Item]:
    return _repeated(
        items, lambda item: frozenset(item.words) - names.words[item.owner] - _FILLERS or frozenset(item.words)
    )


def _repeated(items: Sequence[Item], mark: Callable[[Item], object]) -> Iterator[Item]:
    """Items whose mark an earlier one of the same class has."""
    seen: set[tuple[int, object]] = set()
    for item in items:
        own = (item.owner, mark(item))
        if own in seen:
            yield item
        seen.add(own)


def _not_visible(items: Sequence[Item], names: Names, limits: CleaningLimits) -> Iterator[Item]:
    return (item for item in items if limits.strict and is_not_visible(item, names))


def _beyond_count(items: Sequence[Item], names: Names, limits: CleaningLimits) -> Iterator[Item]:
    kept: Counter[tuple[int, str]] = Counter()
    for item in items:
        kept[item.owner, item.kind] += 1
        most = limits.keep_stuff if names.classes[item.owner].role == "stuff" else limits.keep
        if kept[item.owner, item.kind] > most:
            yield item


def _too_few(items: Sequence[Item], names: Names, limits: CleaningLimits) -> Iterator[Item]:
    kept = Counter((item.owner, item.kind) for item in items)
    least = {kind: 1 if form.may_be_alone else limits.min_keep for kind, form in FORMS.items()}
    return (item for item in items if kept[item.owner, item.kind] < least[item.kind])


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "not_expanded": _each(_is_not_expanded),
        "boilerplate": _each(_is_boilerplate),  # C12, before length: a sentence gets the reason that explains it
        "letters": _each(_has_odd_letters),  # C3
        "length": _each(_has_wrong_length),  # C4
        "class_name": _each(_is_class_name),  # C5
        "other_class": _each(_is_other_class),  # C6
        "other_class_word": _each(_holds_other_class),  # C7
        "two_classes": _in_two_classes,  # C8
        "duplicate": _duplicates,  # C9
        "near_duplicate": _near_duplicates,  # C9
        "hypernym": _each(_is_hypernym),  # C10
        "not_visible": _not_visible,  # C11
        "stereotype": _each(_is_stereotype),  # C18
        "count": _beyond_count,  # C16
        "too_few": _too_few,  # C16
    }
)
