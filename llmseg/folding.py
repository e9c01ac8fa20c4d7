"""Wordings compared: case, plurals, hyphens, accents and British spellings folded away.

`fold` gives keys, not English: a key is only ever compared with another key. That is why the plurals
are ours: `inflect` 7.6 takes as long to import as torch and 100 times as long for a word, and of the 2303
words of the shipped libraries it maims 23 that are no plurals (bus -> bu, octopus -> octopu, ramen -> raman).

Not here: what happens to two wordings that are the same (`cleaning`, `library`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["fold", "fold_words", "plain_ascii", "singular"]

# Plurals that only add an s, where the usual endings say otherwise.
_ADDS_S = (
    "beanie bikini bonsai brie broccoli brownie canoe chili cookie cowrie deli emu fusilli genie hoe hoodie horseshoe "
    "kiwi koi macaroni maki martini maxi menu mini movie necktie nigiri oboe panini pepperoni pickaxe pie pierogi "
    "ravioli salami semi shoe ski smoothie spaghetti sushi taxi temaki tie tiki tipi toe tofu tutu veggie yagi zombie "
    "zucchini"
)

_IRREGULAR = {f"{word}s": word for word in _ADDS_S.split()} | {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "mice": "mouse", "oxen": "ox", "knives": "knife", "leaves": "leaf", "loaves": "loaf",
    "wolves": "wolf", "calves": "calf", "shelves": "shelf", "bookshelves": "bookshelf", "scarves": "scarf",
    "halves": "half", "hooves": "hoof", "elves": "elf", "wives": "wife", "dwarves": "dwarf", "wharves": "wharf",
    "lenses": "lens", "gases": "gas", "canvases": "canvas", "rhinoceroses": "rhinoceros", "thermoses": "thermos",
    "cacti": "cactus", "fungi": "fungus", "dice": "die", "axes": "ax", "moustaches": "mustache",
    "mustaches": "mustache",
}  # fmt: skip

# Not plurals, or plurals whose singular is another thing: glasses are not a glass.
_UNCHANGED = {
    "gas", "lens", "canvas", "atlas", "christmas", "pampas", "series", "species", "glasses", "sunglasses",
    "eyeglasses", "spectacles", "jeans", "pants", "trousers", "shorts", "tights", "leggings", "scissors", "pliers",
    "tongs", "goggles", "binoculars", "clothes", "stairs", "rhinoceros", "thermos", "triceratops",
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

CACHED_WORDINGS = 20_000  # a few megabytes; every list is folded anew for every set of classes

_ES = ("ches", "shes", "xes", "sses", "zzes", "oes")


def plain_ascii(text: str) -> str:
    """Latin letters without their accents; any other text as it is.

    >>> plain_ascii("cr\u00e8me br\u00fbl\u00e9e")
    'creme brulee'
    """
    if text.isascii():
        return text
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


@lru_cache(maxsize=CACHED_WORDINGS)
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
