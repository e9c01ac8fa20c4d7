"""Text typed by a person -> `ClassList`.

    dog, car, tree              commas, semicolons or new lines separate classes
    sofa | couch                aliases of one class
    mouse (computer device)     a sense, where a word has several meanings
    # not read                  a comment line

Not here: subclasses (`expansion`), sentences (`templates`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from .errors import InputError
from .types import ClassList, ClassName

__all__ = ["check_classes", "clean_phrase", "parse_names"]

CLASS_LIMIT = 10_000
NAME_LIMIT = 100  # characters; CLIP reads 77 tokens, a name is a few words

BACKGROUND = {"background"}
RESIDUAL = {"other", "others", "everything else", "stuff"}

_SENSE = re.compile(r"^(?P<name>[^()]*[^()\s])\s*\((?P<sense>[^()]+)\)$")


def clean_phrase(text: str) -> str:
    """Normalise Unicode (NFKC), turn underscores into spaces, collapse white space, drop lone surrogates.

    >>> clean_phrase("  traffic_light ")
    'traffic light'
    """
    writable = text.encode("utf-8", "ignore").decode()  # JSON can hold surrogates, files cannot
    return " ".join(unicodedata.normalize("NFKC", writable).replace("_", " ").split())


def parse_names(text: str) -> ClassList:
    """Read class names, their aliases and senses.

    Raises:
        InputError: no name at all, a name twice, a name too long, or too many names.

    >>> parse_names("dog, sofa | couch").names
    ('dog', 'sofa')
    """
    # NFKC turns full-width commas into plain ones.
    lines = [line for line in unicodedata.normalize("NFKC", text).splitlines() if not line.lstrip().startswith("#")]
    entries = [part for line in lines for part in re.split(r"[,;、]", line)]
    wordings = [[clean_phrase(part) for part in entry.split("|")] for entry in entries]
    classes = tuple(_parse_class([wording for wording in entry if wording]) for entry in wordings if any(entry))
    if not classes:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise InputError(
            f"no class name in {shown!r}; expected names separated by commas, such as 'dog, car, tree'.",
            place="names",
        )
    check_classes(classes, place="names")
    return ClassList(classes)


def check_classes(classes: Sequence[ClassName], *, place: str) -> None:
    """Refuse what no list of classes may have.

    Raises:
        InputError: too many classes, or a name or alias twice.
    """
    if len(classes) > CLASS_LIMIT:
        raise InputError(f"{len(classes)} classes; expected at most {CLASS_LIMIT}.", place=place)
    seen: set[str] = set()
    for entry in classes:
        for wording in (entry.name, *entry.aliases):
            if wording.casefold() in seen:
                raise InputError(
                    f"{wording!r} stands twice; expected every class and alias once. Remove one of them.", place=place
                )
            seen.add(wording.casefold())


def _parse_class(wordings: Sequence[str]) -> ClassName:
    name, sense = wordings[0], ""
    if match := _SENSE.match(name):
        name, sense = match["name"], match["sense"].strip()
    for wording in (name, sense, *wordings[1:]):
        if len(wording) > NAME_LIMIT:
            raise InputError(
                f"a name of {len(wording)} characters, {wording[:20] + '...'!r}; expected at most {NAME_LIMIT}.",
                place="names",
            )
    role = _role(name)
    policy = "keep" if role in ("background", "residual") else "expand"
    return ClassName(name, tuple(wordings[1:]), sense, role, policy)


def _role(name: str) -> str:
    folded = name.casefold()
    if folded in BACKGROUND:
        return "background"
    if folded in RESIDUAL or re.search(r"[- ](other|stuff)$", folded):
        return "residual"  # data sets say "wall-other" for what is left over
    return "thing"
