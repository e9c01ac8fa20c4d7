"""API keys: read when a request is made, shown to nobody.

Not here: which profile has which key (`profiles`), the header that carries it (`client`).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from pathlib import Path

from ..errors import MissingKeyError
from .profiles import Profile

__all__ = ["Secret", "read_key"]

LONGEST_KEY = 4096  # characters
SHORTEST_SECRET = 8  # characters; a shorter one ("EMPTY", "none") is no secret, but may be a part of any reply


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
        """The text without the key, should an endpoint have repeated it, in any case and as JSON spells it."""
        if len(self._value) < SHORTEST_SECRET:
            return text
        escaped = json.dumps(self._value)[1:-1]
        spellings = {self._value, escaped, escaped.replace("/", "\\/")}
        return re.sub("|".join(map(re.escape, spellings)), "***", text, flags=re.IGNORECASE)


def read_key(profile: Profile) -> Secret:
    """The key of a profile, empty where it needs none.

    Raises:
        MissingKeyError: the variable or the file holds no key, or others may read the file.
    """
    if profile.key_file:
        return _check_key(_read_key_file(profile), f"the file {profile.key_file!r}", profile)
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


def _read_key_file(profile: Profile) -> str:
    path = Path(profile.key_file)
    try:
        text = path.read_bytes()[: 2 * LONGEST_KEY].decode("utf-8-sig")
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError) as error:
        # The path is not shown: people paste the key itself there.
        detail = getattr(error, "strerror", None) or "no text"
        raise MissingKeyError(
            f"the key file of {profile.name!r} cannot be read ({detail}). Correct key_file in llmseg.toml.", place="llm"
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise MissingKeyError(
            f"others may read the key file {profile.key_file!r}. Run: chmod 600 {shlex.quote(profile.key_file)}",
            place="llm",
        )
    return text
