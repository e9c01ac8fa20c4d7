"""Every word of the embedded world: 42 superclasses, their drawings with all their names, 10 backgrounds.

The words stand in ``words.txt`` beside this module, are read once on import, and must keep the rules of
`parse_words`. Ids are positions: drawings first, in the order of the file, then the backgrounds.
A drawing that is held out has an id but is never trained, so its names are not known to the model.

Not here: the drawings themselves (`sprites`), the expansion file made from this list (`make_data`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from llmseg.errors import InputError, lookup

__all__ = [
    "BACKGROUNDS",
    "FINE",
    "OTHER_SHARE",
    "SHARES",
    "SUPERCLASSES",
    "TEMPLATE_WORDS",
    "UNUSED",
    "Fine",
    "class_share",
    "known_names",
    "known_words",
    "label_ids",
    "members",
    "parse_words",
    "plural",
]

UNUSED = 65535  # value of a 16-bit label picture for "no name", never produced here
BACKGROUNDS = ("grass", "sand", "water", "sky", "snow", "brick", "wood", "night", "rock", "dirt")
# Words of the training captions that name nothing: "a photo of an owl and a pie in front of snow".
TEMPLATE_WORDS = (
    "a", "an", "and", "front", "image", "in", "of", "on", "photo", "picture", "scene", "with",
)  # fmt: skip

# How often a caption says the superclass for a typical drawing (see `class_share`), and for another.
SHARES = (0.03, 0.20, 0.50)
OTHER_SHARE = 0.03

WORDS_FILE = Path(__file__).with_name("words.txt")
TYPICAL = 2  # drawings of each superclass
MEMBERS = (4, 14)  # fewest and most drawings of a superclass
WORDINGS = (3, 6)  # fewest and most names of a drawing
HELD_OUT = 10  # drawings, each in a superclass of its own
HELD_OUT_MEMBERS = 7  # fewest drawings of a superclass with one held out
WORDING = re.compile(r"[a-z'-]+(?: [a-z'-]+){0,3}")

# Plurals: only what the words of this world need.
_PREPOSITIONS = frozenset({"at", "in", "of", "on", "with"})
_IRREGULAR = {
    "buffalo": "buffaloes", "cactus": "cacti", "caiman": "caimans", "die": "dice", "goose": "geese",
    "half": "halves", "knife": "knives", "larva": "larvae", "loaf": "loaves", "mango": "mangoes",
    "monarch": "monarchs", "mosquito": "mosquitoes", "mouse": "mice", "ox": "oxen", "potato": "potatoes",
    "scarf": "scarves", "tomato": "tomatoes", "wolf": "wolves",
}  # fmt: skip
_UNCHANGED = {
    # Uncountable, or one word for one and many.
    "bamboo", "beef", "bolognese", "bowling", "bread", "broccoli", "broccolini", "calabrese", "calamari",
    "candlelight", "caribou", "cattle", "choy", "christmas", "claus", "cod", "corn", "cutlery", "deer",
    "elk", "flatware", "garlic", "kale", "krill", "luggage", "mail", "maize", "nigiri", "pasta", "popcorn",
    "reindeer", "rice", "salmon", "salt", "sashimi", "sheep", "shrimp", "silverware", "spaghetti",
    "spinach", "squid", "sushi", "sweetcorn", "swine", "tempura", "toast", "trout", "tuna", "udon",
    # Plurals by themselves.
    "bags", "blueberries", "boxers", "cherries", "chips", "chopsticks", "dice", "drums", "earphones",
    "eyes", "fries", "gloves", "grapes", "headphones", "jeans", "maracas", "mittens", "noodles", "pancakes",
    "pants", "scissors", "shears", "shoes", "shorts", "slippers", "socks", "stockings", "trousers",
    "trunks",
}  # fmt: skip


class Fine(NamedTuple):
    """One drawing: what it is called, the class that it is a kind of, its emoji, and its part in training."""

    name: str
    superclass: str
    emoji: str
    wordings: tuple[str, ...] = ()  # every name, the canonical one first
    typical: bool = False  # one of the first of its superclass
    held_out: bool = False  # never trained


def plural(phrase: str) -> str:
    """The plural of a name: of its last word, or of the last word before "of", "with" and their like.

    >>> plural("glass of milk"), plural("kitchen knife"), plural("blue jeans")
    ('glasses of milk', 'kitchen knives', 'blue jeans')
    """
    words = phrase.split(" ")
    tails = (index for index, word in enumerate(words) if index and word in _PREPOSITIONS)
    head = next(tails, len(words)) - 1
    words[head] = _plural_word(words[head])
    return " ".join(words)


def _plural_word(word: str) -> str:
    if word in _UNCHANGED or word.endswith("fish"):
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("man"):
        return word[:-3] + "men"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")


def parse_words(text: str) -> tuple[Fine, ...]:
    """Read the file of words: headings ``[superclass]``, drawings ``emoji name | name``, comments ``#``.

    Raises:
        InputError: a line that cannot be read; a name, heading or emoji twice, plurals included; a name that
            is a superclass or a background; too few or too many names or drawings; held-out drawings
            (``!``) that are not ten in ten large superclasses, or are typical. The place is the line.
    """
    headings: dict[str, int] = {}
    drawings: dict[int, Fine] = {}
    sizes: dict[str, int] = {}
    superclass = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            superclass = _parse_heading(line, number, headings)
            headings[superclass], sizes[superclass] = number, 0
            continue
        if not superclass:
            raise _wrong(number, f"drawing {line!r} before any heading; expected '[superclass]' first.")
        drawings[number] = _parse_drawing(line, number, superclass, typical=sizes[superclass] < TYPICAL)
        sizes[superclass] += 1
    _check_unique(headings, drawings)
    _check_sizes(headings, sizes)
    _check_held_out(drawings, sizes)
    return tuple(drawings.values())


def _wrong(number: int, problem: str) -> InputError:
    return InputError(problem, place=f"words.txt, line {number}")


def _parse_heading(line: str, number: int, headings: dict[str, int]) -> str:
    name = line.strip()[1:-1]
    if not line.strip().endswith("]") or not WORDING.fullmatch(name):
        raise _wrong(number, f"heading {line!r}; expected '[superclass]' of 1..4 lower-case words.")
    if name in headings:
        raise _wrong(number, f"superclass {name!r} again; expected once. It stands in line {headings[name]}.")
    return name


def _parse_drawing(line: str, number: int, superclass: str, *, typical: bool) -> Fine:
    held_out = line.startswith("!")
    emoji, _, names = line.lstrip("! ").partition(" ")
    wordings = tuple(name.strip() for name in names.split("|"))
    if not emoji or emoji.isascii():
        raise _wrong(number, f"drawing {emoji!r}; expected an emoji, a space, and names between bars.")
    bad = next((wording for wording in wordings if not WORDING.fullmatch(wording)), None)
    if bad is not None:
        raise _wrong(number, f"name {bad!r}; expected 1..4 words of a-z, hyphen and apostrophe.")
    if not WORDINGS[0] <= len(wordings) <= WORDINGS[1]:
        wanted = f"expected {WORDINGS[0]}..{WORDINGS[1]}"
        raise _wrong(number, f"{len(wordings)} names for {wordings[0]!r}; {wanted}.")
    return Fine(wordings[0], superclass, emoji, wordings, typical, held_out)


def _check_unique(headings: dict[str, int], drawings: dict[int, Fine]) -> None:
    classes = {form for name in (*headings, *BACKGROUNDS) for form in (name, plural(name))}
    emojis: dict[str, int] = {}
    owners: dict[str, int] = {}
    for number, fine in drawings.items():
        if fine.emoji in emojis:
            raise _wrong(number, f"emoji {fine.emoji!r} again; expected once. It stands in line {emojis[fine.emoji]}.")
        emojis[fine.emoji] = number
        if len(set(fine.wordings)) < len(fine.wordings):
            raise _wrong(number, f"a name of {fine.name!r} stands twice; expected each once.")
        for form in (form for wording in fine.wordings for form in (wording, plural(wording))):
            if form in classes:
                raise _wrong(number, f"name {form!r} is a superclass or a background; expected another.")
            if owners.setdefault(form, number) != number:
                owner = f"It stands in line {owners[form]}."
                raise _wrong(number, f"name {form!r} of a second drawing; expected one drawing a name. {owner}")


def _check_sizes(headings: dict[str, int], sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        if not MEMBERS[0] <= size <= MEMBERS[1]:
            wanted = f"expected {MEMBERS[0]}..{MEMBERS[1]}"
            raise _wrong(headings[name], f"{size} drawings in {name!r}; {wanted}.")


def _check_held_out(drawings: dict[int, Fine], sizes: dict[str, int]) -> None:
    lines: dict[str, int] = {}
    for number, fine in ((number, fine) for number, fine in drawings.items() if fine.held_out):
        if fine.typical:
            raise _wrong(number, f"{fine.name!r} is held out and typical; expected it after the first {TYPICAL}.")
        if sizes[fine.superclass] < HELD_OUT_MEMBERS:
            wanted = f"expected at least {HELD_OUT_MEMBERS}"
            problem = f"{fine.name!r} is held out of {sizes[fine.superclass]} drawings; {wanted}."
            raise _wrong(number, problem)
        if fine.superclass in lines:
            second = f"{fine.name!r} is a second one held out of {fine.superclass!r}; expected one."
            raise _wrong(number, f"{second} The first stands in line {lines[fine.superclass]}.")
        lines[fine.superclass] = number
    if len(lines) != HELD_OUT:
        last = max(drawings, default=1)
        raise _wrong(last, f"{len(lines)} drawings held out in all; expected {HELD_OUT}. Mark them with '!'.")


FINE = parse_words(WORDS_FILE.read_text(encoding="utf-8"))
SUPERCLASSES = tuple(dict.fromkeys(fine.superclass for fine in FINE))
_POSITIONS = {name: index for index, name in enumerate(SUPERCLASSES)}


def members(superclass: str) -> tuple[str, ...]:
    """The trained fine names of one superclass, most typical first."""
    return tuple(fine.name for fine in FINE if fine.superclass == superclass and not fine.held_out)


def class_share(superclass: str) -> float:
    """How often a caption says the superclass for a typical drawing: three shares by turns, 14 classes each.

    Raises:
        UnknownNameError: no such superclass.
    """
    return SHARES[lookup(_POSITIONS, superclass, place="superclass") % len(SHARES)]


def label_ids() -> dict[str, int]:
    """Id of each fine name, held out or not, and of each background, as written into label pictures."""
    names = [fine.name for fine in FINE] + list(BACKGROUNDS)
    return {name: index for index, name in enumerate(names)}


def known_names() -> list[str]:
    """Every phrase that the model has a meaning for: superclasses, names with plurals, backgrounds."""
    trained = (wording for fine in FINE if not fine.held_out for wording in fine.wordings)
    forms = (form for wording in trained for form in (wording, plural(wording)))
    return list(dict.fromkeys((*SUPERCLASSES, *forms, *BACKGROUNDS)))


def known_words() -> list[str]:
    """Every single word that the model has heard, sorted; a hyphen parts words, as it does in the encoder."""
    return sorted({*TEMPLATE_WORDS, *re.findall(r"[^\W_]+", " ".join(known_names()))})
