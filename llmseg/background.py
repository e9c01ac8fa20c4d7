"""What is in a picture beside what was asked for: names of usual surroundings, and negatives that only compete.

A pixel that shows none of the classes still gets the likeliest of them. Three ways out: a threshold on the class's
probability (`labels`); a background class described by what usually surrounds things; and negatives, names that
compete with the classes and are then left out, their pixels becoming background, else unknown.

Not here: encoding (`text_bank`), the decision (`labels`). Sources: the names are SCLIP's for PASCAL VOC
(arXiv:2312.01597), which NACLIP, SC-CLIP and LPOSS share; negatives as in "test-time contrastive concepts"
(arXiv:2407.05061).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from .errors import InputError, lookup
from .names import parse_names
from .options import BACKGROUND
from .types import ClassExpansion, ClassName, Expansion, Phrase

__all__ = ["SURROUNDINGS", "add_background"]

NAME = "background"
SURROUNDINGS = (
    *("sky", "wall", "tree", "wood", "grass", "road", "sea", "river", "mountain", "sands", "desk", "bed", "building"),
    *("cloud", "lamp", "door", "window", "wardrobe", "ceiling", "shelf", "curtain", "stair", "floor", "hill", "rail"),
    "fence",
)


def add_background(
    expansion: Expansion,
    background: str = BACKGROUND.default,
    negatives: str = "",
    *,
    known: Callable[[str], bool] = bool,
) -> Expansion:
    """Add what competes with the classes that were asked for; labels of those stay as they are.

    Args:
        expansion: the classes.
        background: a name in `options.BACKGROUND`; with surroundings the background class, a new one at the end if
            there is none, is given the names in `SURROUNDINGS` that no class uses.
        negatives: further names, as in `names.parse_names`; each becomes a class of role negative at the end.
        known: whether the encoder knows a name.

    Raises:
        InputError: a negative is also the name, an alias or a phrase of a class.
        UnknownNameError: no such background.
    """
    lookup(BACKGROUND.names, background, place="background")
    classes = list(expansion.classes)
    used = _wordings(classes)
    if background == "surroundings":
        phrases = tuple(
            Phrase(name, source="surroundings") for name in SURROUNDINGS if name not in used and known(name)
        )
        classes = _extend_background(classes, phrases)
    for entry in parse_names(negatives).classes if negatives.strip() else ():
        if entry.name.casefold() in used:
            raise InputError(
                f"{entry.name!r} is asked for as well; expected names of other things. Remove it from one of them.",
                place="negatives",
            )
        classes.append(ClassExpansion(replace(entry, role="negative", policy="keep")))
    return replace(expansion, classes=tuple(classes))


def _wordings(classes: Iterable[ClassExpansion]) -> set[str]:
    """Everything that some class is called, in lower case."""
    return {
        text.casefold()
        for entry in classes
        for text in (entry.class_name.name, entry.class_name.wording, *entry.class_name.aliases, *entry.kept)
    }


def _extend_background(classes: list[ClassExpansion], phrases: tuple[Phrase, ...]) -> list[ClassExpansion]:
    if not phrases:
        return classes
    for number, entry in enumerate(classes):
        if entry.class_name.role == "background":
            extended = replace(entry, subclasses=(*entry.subclasses, *phrases))
            return [*classes[:number], extended, *classes[number + 1 :]]
    # The word itself says little to an encoder, and some do not know it.
    name = ClassName(NAME, role="background", policy="keep", english=phrases[0].text)
    return [*classes, ClassExpansion(name, phrases)]
