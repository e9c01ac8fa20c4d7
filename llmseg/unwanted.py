"""What the cleaning rules look for, as tables: words, the form of each kind of phrases, and all reasons.

The words were written for this project and are meant to be short; they are compared in the form that
`folding` gives, except the pattern.

Not here: the rules (`cleaning_rules`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .folding import fold
from .options import SENTENCES

__all__ = [
    "BOILERPLATE", "COLOURS", "FORMS", "HYPERNYMS", "NOT_VISIBLE", "PEOPLE", "PERSON_WORDS", "REASONS", "Form",
    "explain_reason",
]  # fmt: skip


def _keys(text: str) -> frozenset[str]:
    return frozenset(fold(word) for word in text.split())


# "can" alone is a tin; "can have" is a sentence.
BOILERPLATE = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|had|may|might|could|would|should|will|can(?= (?:be|have|vary|include)\b)"
    r"|include[sd]?|including|consists?|refers?|describe[sd]?|vary|varies|various|several|many|other|others|etc|which"
    r"|that|or|such as|(?:type|kind|sort|variety|form)s? of|for example|e\.g|i\.e|used (?:for|to|in|as)|here|sure"
    r"|following|n/a|none|unknown)\b|[,;:\n]",
    re.IGNORECASE,
)

# What is larger than almost any class; a class that stands here itself may hold the others.
HYPERNYMS = _keys(
    "object item thing product article entity artifact stuff material substance surface element unit structure "
    "animal mammal creature pet livestock rodent organism plant vegetation vehicle transport utensil cutlery "
    "silverware tableware container vessel receptacle tool implement instrument device appliance gadget machine "
    "machinery equipment apparatus electronics hardware furniture furnishing food produce snack meal beverage "
    "clothing garment apparel accessory toy building construction architecture landscape scenery area place "
    "location human being individual"
)

# Technology, quality, price, use and ownership; and makers whose name means nothing else.
NOT_VISIBLE = _keys(
    "wireless bluetooth wifi rf infrared smart 3g 4g 5g lte gps inverter midrange highend lowend entrylevel "
    "entry-level high-end mid-range budget cheap affordable expensive costly premium deluxe luxury quality "
    "high-quality professional pro beginner beginners intermediate advanced expert left-handed right-handed "
    "sensitive hypoallergenic alkaline purified streaming online e-commerce ecommerce cloud software virtual "
    "digital-only waterproof water-resistant energy-saving energy-efficient eco-friendly sustainable refurbished "
    "second-hand used branded generic custom bespoke imported percale organic gluten-free low-fat sugar-free "
    "decaf server mainframe fiction nonfiction non-fiction biography mystery thriller bestselling "
    "nike adidas reebok wilson yonex samsung sony toyota honda bmw audi mercedes volkswagen hyundai gucci ikea"
)

PERSON_WORDS = _keys(
    "person people human man woman child kid boy girl baby adult teenager toddler pedestrian rider lady gentleman "
    "guy crowd"
)

COLOURS = _keys("black white brown yellow red")  # in front of a person word they mean origin, not clothing

# By occupation, by origin or faith, by worth: none can be told from a photo, or should be.
PEOPLE = _keys(
    "doctor nurse surgeon dentist teacher professor student pupil lawyer judge engineer scientist accountant manager "
    "businessman businesswoman businessperson executive secretary clerk cashier salesman waiter waitress chef cook "
    "baker butcher barista bartender farmer fisherman gardener miner worker laborer labourer mechanic electrician "
    "plumber carpenter builder janitor cleaner maid housekeeper driver chauffeur pilot sailor soldier officer "
    "policeman policewoman policeofficer constable firefighter fireman paramedic astronaut artist painter musician "
    "singer dancer actor actress model photographer journalist politician president king queen priest nun monk rabbi "
    "imam postman mailman athlete "
    "african american asian european arab arabic indian chinese japanese korean mexican hispanic latino latina "
    "caucasian native immigrant refugee foreigner ethnic tribal gypsy muslim christian jewish jew hindu buddhist "
    "beggar homeless vagrant hobo bum thug gangster criminal prostitute addict junkie drunk midget dwarf cripple "
    "crippled disabled handicapped retarded insane crazy ugly fat obese rich poor illegal"
)


@dataclass(frozen=True)
class Form:
    """What a kind of phrases looks like.

    Args:
        letters: what the whole text has to match.
        characters: fewest and most.
        words: most.
        may_be_alone: whether one of them does no harm; else the least number is that of the limits.
        exempt: rules that do not apply.
    """

    letters: re.Pattern[str] = re.compile(r"(?![0-9 -]+$)[a-z0-9]+'?(?:[-' ][a-z0-9]+'?)*")
    characters: tuple[int, int] = (2, 40)
    words: int = 4
    may_be_alone: bool = False
    exempt: frozenset[str] = frozenset()


# A sentence may name other classes ("smaller than a bus"). One alone does not narrow its class; nor does a synonym.
_SENTENCE = Form(
    letters=re.compile(r"(?=.*[A-Za-z])[ -~]+"),
    characters=(10, 300),
    words=300,
    may_be_alone=True,
    exempt=frozenset(
        ("boilerplate", "other_class", "other_class_word", "near_duplicate", "hypernym", "not_visible", "stereotype")
    ),
)

FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "subclasses": Form(),
        "synonyms": Form(may_be_alone=True, exempt=frozenset(("near_duplicate",))),
        **dict.fromkeys(SENTENCES, _SENTENCE),
    }
)

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "not_expanded": "the class is kept whole: background, residual, or its policy says so",
        "boilerplate": 'a remark about kinds instead of a kind: "such as", "various", "type of"',
        "letters": "letters or signs that a phrase of this kind may not hold",
        "length": "too short or too long for a phrase of its kind",
        "class_name": "the class itself or its alias, in whatever number and spelling",
        "other_class": "another class or its alias",
        "other_class_word": 'holds all words of another class: "backpack handbag" beside a class backpack',
        "two_classes": "proposed for two classes; stays where it ends with the class name",
        "duplicate": "the same wording as an earlier phrase of the class",
        "near_duplicate": 'says no more than an earlier phrase: "tabby cat" after "tabby"',
        "hypernym": 'a group that holds more than the class: "vehicle" for car',
        "not_visible": 'cannot be seen in a photo: "wireless"; only reported, unless limits are strict',
        "stereotype": "people by occupation, origin or worth instead of clothing, pose or age",
        "edited": "removed by hand",
        "count": "beyond the number that is kept",
        "too_few": "so few were left that the class does better alone",
        # By an encoder (`affinity`, `text_bank`).
        "closer_to_other_class": "the model finds it at least as close to another class as to its own",
        "outlier": "the model finds it far from the other phrases of its class",
        "unknown_word": "holds a word that the model was never shown",
        "too_long": "longer than the model reads",
        # By a language model that reads the list once more.
        "not_a_kind": "not every such thing is one of the class",
        "fits_other_class": "fits another class of the list as well",
        "not_in_photo": "cannot be told from a photo",
    }
)


def explain_reason(reason: str) -> str:
    """One line for people on why a phrase was dropped; a reason of somebody else's is its own explanation.

    >>> explain_reason("unknown_word")
    'holds a word that the model was never shown'
    """
    return REASONS.get(reason, reason)
