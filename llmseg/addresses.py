"""Paths and URLs that a person types, and how a URL is shown: never with what gives access to it.

    s3://bucket/photos      a URL
    C:\\photos, C:/photos    paths: a protocol has more than one letter
    file:///home/photos     a path, said as a URL

A workflow file has no part in this: it can name no URL.

Not here: reading and writing behind a URL (`stores`), addresses of services (`serving`, `llm`).
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import parse_qsl, unquote

__all__ = ["Location", "Url", "guard_logs", "hide_secrets", "is_url", "read_location", "shown_url"]

PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(?:://|::(?=.*://))", re.DOTALL)  # or one around another URL
WEB = ("http", "https")
LOCAL = ("file", "local")
CONTAINERS = ("abfs", "abfss", "az", "adl", "wasb", "wasbs")  # Azure writes container@account; no secret
HIDDEN = "***"
SHOWN = 300  # characters of a foreign message

_SECRET_NAME = r"[\w-]*(?:signature|token|secret|passw|credential|api[-_]?key|access[-_]?key|account[-_]?key|auth|sig)"
_ASSIGNED = re.compile(rf"(?i)({_SECRET_NAME}[\w-]*[\"']?\s*[=:]\s*)(?:bearer\s+|basic\s+)?[^\s&;,]+")
_VARIABLE = re.compile(rf"(?i){_SECRET_NAME}")
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")


@dataclass(frozen=True, repr=False)
class Url:
    """The address of a folder or an object. It joins as a path does, and prints without credentials.

    Args:
        text: as it was typed; it may hold a password.
    """

    text: str = field(repr=False)

    @property
    def protocol(self) -> str:
        """What stands before ``://``, in small letters."""
        match = PROTOCOL.match(self.text)
        assert match is not None
        return match[1].lower()

    def __truediv__(self, name: str | PurePath) -> Url:
        below = PurePath(name).as_posix()
        return self if below == "." else Url(f"{self.text.rstrip('/')}/{below}")

    def __str__(self) -> str:
        return shown_url(self.text)

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"


Location = Path | Url


def is_url(text: str) -> bool:
    """Whether this names something behind a protocol, and no path of Windows."""
    return PROTOCOL.match(text) is not None


def read_location(text: str) -> Location:
    """What a person means by a path or a URL; files of this computer are paths, however they are said.

    >>> read_location("file:///photos/a.png").as_posix(), str(read_location("s3://key:secret@bucket/photos"))
    ('/photos/a.png', 's3://bucket/photos')
    """
    match = PROTOCOL.match(text)
    if match is None:
        return Path(text)
    if match[1].lower() not in LOCAL or "::" in text:
        return Url(text)
    rest = text[match.end() :]
    return Path(rest[1:] if os.name == "nt" and re.match(r"/[A-Za-z]:", rest) else rest)


def shown_url(text: str) -> str:
    """A URL without user, password, query and fragment: what gives access is in one of them.

    A pattern of an object store keeps its ``?``. Where a password may reach into the path, nothing of it is shown.

    >>> shown_url("https://user:password@host/a.png?X-Amz-Signature=abc")
    'https://host/a.png'
    """
    match = PROTOCOL.match(text)
    if match is None:
        return text
    if "::" in text:  # several URLs in one, each with its own secrets
        return f"{match[0]}..."
    whole = text[match.end() :]
    rest = _without_tail(whole, match[1].lower() in WEB)
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    is_torn = ":" in user if at else not re.fullmatch(r"[^:]*(:\d+)?", host)
    if is_torn and "@" in whole[len(rest) :]:  # it may be a password that was cut off
        return f"{match[0]}..."
    if is_torn and (not at or "@" in path):  # a password with a slash in it, or one without "@"
        return match[0] + (path.rpartition("@")[2] if "@" in path else "...")
    keeps_user = at and match[1].lower() in CONTAINERS and ":" not in user
    return match[0] + (authority if keeps_user else host) + slash + path


def _without_tail(rest: str, on_the_web: bool) -> str:
    """Cut off parameters, query and fragment; elsewhere than on the web `?` and `#` may belong to a name."""
    end = next((place for place, letter in enumerate(rest) if letter in "?#;"), len(rest))
    return rest[:end] if on_the_web or "=" in rest[end:] else rest


def hide_secrets(message: str, *urls: Url) -> str:
    """What another program says, in one line, without what might give access.

    Args:
        message: of an exception, say.
        urls: that it may be about; their secrets are known and hidden wherever they stand.
    """
    for url in urls:
        message = message.replace(url.text, str(url)).replace(repr(url.text)[1:-1], str(url))
    for secret in sorted(_secrets_of(urls), key=len, reverse=True):
        message = message.replace(secret, HIDDEN)
    message = _ANY_URL.sub(lambda match: shown_url(match[0]), " ".join(message.split()))
    return _ASSIGNED.sub(rf"\1{HIDDEN}", message)[:SHOWN]


class _WithoutSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args, record.exc_info = hide_secrets(record.getMessage()), (), None
        return True


def guard_logs() -> None:
    """Take the secrets out of what other packages log to standard error, where no program listens to their logs."""
    if logging.lastResort is not None and not logging.lastResort.filters:
        logging.lastResort.addFilter(_WithoutSecrets())


def _secrets_of(urls: tuple[Url, ...]) -> set[str]:
    """User parts and queries of the URLs, and the keys that the environment holds for the packages that read them."""
    found = {value for name, value in os.environ.items() if _VARIABLE.search(name) and len(value) >= 8}
    for url in urls:
        rest = url.text.partition("://")[2]
        user, at, _ = rest.rpartition("@")
        query = rest.partition("?")[2]
        parts = [*(user.split(":", 1) if at else ()), query, *(value for _, value in parse_qsl(query))]
        found |= {form for part in parts for form in (part, unquote(part)) if len(form) >= 4}
    return found
