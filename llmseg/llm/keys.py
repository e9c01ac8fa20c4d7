"""API keys: read when a request is made, shown to nobody.

Not here: which profile has which key (`profiles`), the header that carries it (`client`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import MissingKeyError
from ..store import read_text
from .profiles import Profile

__all__ = ["Secret", "read_key"]

LONGEST_KEY = 4096  # characters


class Secret:
    """A key that shows itself to nobody; only `reveal` gives it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is never pickled")

    def reveal(self) -> str:
        """The key itself, for the one header that needs it."""
        return self._value

    def hide(self, text: str) -> str:
        """The text without the key, should an endpoint have repeated it."""
        return text.replace(self._value, "***") if self._value else text


def read_key(profile: Profile) -> Secret:
    """The key of a profile, empty where it needs none.

    Raises:
        MissingKeyError: the variable or the file holds no key, or others may read the file.
    """
    if profile.key_file:
        return _check_key(_read_key_file(Path(profile.key_file)), f"the file {profile.key_file!r}", profile)
    if profile.key_variable:
        return _check_key(os.environ.get(profile.key_variable, ""), profile.key_variable, profile)
    return Secret("")


def _check_key(text: str, source: str, profile: Profile) -> Secret:
    key = text.strip()
    if not key:
        raise MissingKeyError(
            f"no API key for {profile.name!r}. Set {source}, or choose a shipped library such as 'voc21', "
            "which needs no key.",
            place="llm",
        )
    if len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise MissingKeyError(f"{source} does not hold an API key; expected one word on one line.", place="llm")
    return Secret(key)


def _read_key_file(path: Path) -> str:
    text = read_text(path, place="llm")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise MissingKeyError(f"others may read the key file {str(path)!r}. Run: chmod 600 {path}", place="llm")
    return text
