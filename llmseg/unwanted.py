"""Words that the cleaning rules look for; written for this project, meant to be short.

All are compared in the form that `folding` gives, except the pattern.

Not here: the rules (`cleaning`).
"""

from __future__ import annotations

import re

from .folding import fold

__all__ = ["BOILERPLATE", "COLOURS", "HYPERNYMS", "NOT_VISIBLE", "PEOPLE", "PERSON_WORDS"]


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
    "decaf fiction nonfiction non-fiction biography mystery thriller bestselling "
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
