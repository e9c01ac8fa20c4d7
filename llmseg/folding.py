"""Wordings compared: case, plurals, hyphens, accents and British spellings folded away.

`fold` gives keys, not English: a key is only ever compared with another key.

Not here: what happens to two wordings that are the same (`cleaning`, `library`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["fold", "fold_words", "plain_ascii", "singular"]

_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "mice": "mouse", "oxen": "ox", "knives": "knife", "leaves": "leaf", "loaves": "loaf",
    "wolves": "wolf", "calves": "calf", "shelves": "shelf", "scarves": "scarf", "halves": "half", "hooves": "hoof",
    "elves": "elf", "wives": "wife", "skis": "ski", "taxis": "taxi", "kiwis": "kiwi", "bikinis": "bikini",
    "zucchinis": "zucchini", "martinis": "martini", "emus": "emu", "menus": "menu", "lenses": "lens", "gases": "gas",
    "canvases": "canvas", "shoes": "shoe", "horseshoes": "horseshoe", "canoes": "canoe", "toes": "toe", "hoes": "hoe",
    "oboes": "oboe", "pies": "pie", "ties": "tie", "cookies": "cookie", "brownies": "brownie", "hoodies": "hoodie",
    "smoothies": "smoothie", "zombies": "zombie", "genies": "genie", "movies": "movie", "cacti": "cactus",
    "fungi": "fungus", "dice": "die", "axes": "ax", "moustaches": "mustache", "mustaches": "mustache",
}  # fmt: skip

# Not plurals, or plurals whose singular is another thing: glasses are not a glass.
_UNCHANGED = {
    "gas", "lens", "canvas", "atlas", "christmas", "pampas", "series", "species", "glasses", "sunglasses",
    "eyeglasses", "spectacles", "jeans", "pants", "trousers", "shorts", "tights", "leggings", "scissors", "pliers",
    "tongs", "goggles", "binoculars", "clothes", "stairs", "swiss", "chess",
}  # fmt: skip

_SPELLINGS = {
    "aeroplane": "airplane", "aluminium": "aluminum", "armour": "armor", "armoured": "armored", "axe": "ax",
    "catalogue": "catalog", "centre": "center", "checked": "checkered", "chequered": "checkered", "chilli": "chili",
    "colour": "color", "coloured": "colored", "doughnut": "donut", "draught": "draft", "fibre": "fiber",
    "gray": "grey", "harbour": "harbor", "jewellery": "jewelry", "kerb": "curb", "metre": "meter",
    "motorcar": "car", "mould": "mold", "moustache": "mustache", "omelette": "omelet", "plough": "plow",
    "pyjama": "pajama", "sabre": "saber", "sceptre": "scepter", "storey": "story", "theatre": "theater",
    "tyre": "tire", "waggon": "wagon", "whisky": "whiskey", "woollen": "woolen", "yoghurt": "yogurt",
}  # fmt: skip

_ES = ("ches", "shes", "xes", "sses", "zzes", "oes")


def plain_ascii(text: str) -> str:
    """Latin letters without their accents; any other text as it is.

    >>> plain_ascii("cr\u00e8me br\u00fbl\u00e9e")
    'creme brulee'
    """
    marks = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in marks if not unicodedata.combining(letter))
    return plain if plain.isascii() else text


@lru_cache(maxsize=10_000)
def singular(word: str) -> str:
    """A lower-case word without its plural ending; rough, but the same for both numbers.

    >>> [singular(word) for word in ("buses", "glass", "ponies", "snowmen", "tomatoes", "jeans")]
    ['bus', 'glass', 'pony', 'snowman', 'tomato', 'jeans']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCHANGED or len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("men") and len(word) > 6 and word != "specimen":
        return word[:-2] + "an"
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(_ES) or (word.endswith("uses") and not word.endswith("ouses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def fold_words(text: str) -> tuple[str, ...]:
    """The words of a wording, each without case, number, possessive and British spelling.

    >>> fold_words("Grey T-Shirts"), fold_words("men's TYRES")
    (('grey', 't', 'shirt'), ('man', 'tire'))
    """
    words = re.split(r"[\s_-]+", plain_ascii(text.casefold()).replace("\u2019", "'"))
    bare = (re.sub(r"'s?$", "", word) for word in words)
    numbers = (singular(word) for word in bare if word)
    return tuple(_SPELLINGS.get(word, word) for word in numbers)


def fold(text: str) -> str:
    """A key that is equal for wordings which differ only in case, number, hyphens, spaces or spelling.

    >>> fold("Hot-Dogs") == fold("hot dog") == fold("hotdog")
    True
    """
    return "".join(fold_words(text))
