"""A folder for each image of a batch, below the output folder: sub-folders and names as they were, but distinct.

Names of files on this computer are kept. Names of objects in a store are whatever somebody gave them; they are made
into names that every system can have, which lead nowhere else.

Not here: which images there are (`batch`), putting files there (`places`).
Source: "Naming Files, Paths, and Namespaces" of Microsoft, for what no file of Windows can be called.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .store import content_hash

__all__ = ["MANIFEST", "OWN_FOLDER", "clean_name", "distinct_places"]

OWN_FOLDER, MANIFEST = ".llmseg", "manifest.jsonl"  # of a batch itself, in the output folder
LONGEST_NAME = 120  # bytes; file systems take 255, and results add to the names of their images
LONGEST_SUFFIX = 12

_IMPOSSIBLE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\/\ud800-\udfff]')
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])[ .]*(\..*)?")


def clean_name(key: str) -> Path:
    """What an object is called in a store, as a relative path that stays below its folder on every system.

    >>> clean_name("../a:b/CON.png").as_posix()
    '__/a_b/_CON.png'
    """
    *folders, name = key.split("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    # The suffix may be left out of the folder's name: what is before it has to be possible alone.
    return Path(*map(_clean_part, folders), _clean_part(stem) + dot + _clean_part(suffix) if dot else _clean_part(stem))


def _clean_part(part: str) -> str:
    text = _IMPOSSIBLE.sub("_", part)
    bare = text.rstrip(". ")  # Windows drops them
    text = (bare + "_" * (len(text) - len(bare))) or "_"
    if _DEVICE.fullmatch(text):
        text = f"_{text}"
    if len(text.encode()) > LONGEST_NAME:
        text = f"{text.encode()[: LONGEST_NAME - 9].decode(errors='ignore')}-{content_hash(part)[:8]}"
    return text


def distinct_places(seen: Sequence[Path]) -> list[Path]:
    """A folder for each image: its name without the suffix, with it where two would share one.

    Args:
        seen: each image as seen from what the person named.
    """
    stems = Counter(_folded(path.with_suffix("")) for path in seen)
    whole = Counter(_folded(path) for path in seen)
    numbers: Counter[str] = Counter()
    taken: set[str] = set()
    places = []
    for path in seen:
        place = path.with_suffix("") if stems[_folded(path.with_suffix(""))] == 1 else path
        if whole[_folded(path)] > 1:  # the same name below two folders that the person named
            numbers[_folded(path)] += 1
            place = path.with_name(f"{path.name}_{numbers[_folded(path)]}")
        if place.parts[0].casefold() in (OWN_FOLDER, MANIFEST):
            place = Path(f"_{place.parts[0]}", *place.parts[1:])
        places.append(_free(place, taken))
    return places


def _free(place: Path, taken: set[str]) -> Path:
    """`place`, with a number where an image before has it: one may be called what another became."""
    number, candidate = 2, place
    while _folded(candidate) in taken:
        number, candidate = number + 1, place.with_name(f"{place.name}_{number}")
    taken.add(_folded(candidate))
    return candidate


def _folded(path: Path) -> str:
    """What two names have in common that are one on Windows or on macOS."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path.as_posix()).casefold())
