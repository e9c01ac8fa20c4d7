"""Letters for legends: the font that comes with Pillow, else a font of this machine that has the script.

Not here: where the letters go (`legends`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

__all__ = ["find_font", "plain_text"]

OWN = ""  # the font that comes with Pillow: the same letters on every machine, Latin ones only
# File names that Windows, macOS and Linux give to fonts with many scripts, the widest first. Only names without a
# folder stand here: Pillow looks for them where the system keeps its fonts.
FAMILIES = (
    "NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc", "YuGothM.ttc", "malgun.ttf",
    "AppleSDGothicNeo.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf",
    "Arial Unicode.ttf", "segoeui.ttf", "Nirmala.ttc", "Nirmala.ttf", "LeelawUI.ttf", "NotoSans-Regular.ttf",
    "NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf", "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf", "NotoSansTamil-Regular.ttf", "NotoSansThai-Regular.ttf", "DejaVuSans.ttf",
    "FreeSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf",
)  # fmt: skip
PROBE_SIZE = 16
NO_LETTER = "\U0010ffff"  # Unicode promises that this is none, so every font draws its sign for "missing"


def plain_text(text: str) -> str:
    """One line that can be drawn: white space, control characters and lone surrogates become single spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def find_font(text: str, size: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, bool]:
    """The first font that has every letter of a text, else the one that has most, and whether it has all of them."""
    best, least = OWN, 0 if text.isascii() else _count_missing(OWN, text)
    for family in _installed() if least else ():
        missing = _count_missing(family, text)
        if missing < least:
            best, least = family, missing
        if not least:
            break
    return _open(best, size), not least


def _count_missing(family: str, text: str) -> int:
    return sum(not _has_letter(family, letter) for letter in set(text) - {" "})


@lru_cache(maxsize=64)
def _open(family: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size) if family == OWN else ImageFont.truetype(family, size)


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    """Those of the families that this machine has."""
    found = []
    for family in FAMILIES:
        try:
            _open(family, PROBE_SIZE)
        except (OSError, ImportError):  # not there, damaged, or a Pillow without FreeType
            continue
        found.append(family)
    return tuple(found)


@lru_cache(maxsize=4096)
def _has_letter(family: str, letter: str) -> bool:
    font = _open(family, PROBE_SIZE)
    drawn, absent = font.getmask(letter), font.getmask(NO_LETTER)
    return (drawn.size, bytes(drawn)) != (absent.size, bytes(absent))
