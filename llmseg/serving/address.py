"""The URL of a server: taken apart once, credentials kept out of everything that is shown or logged.

Not here: requests (`wire`, `channel`).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ..errors import InputError
from ..graph.places import shown

__all__ = ["Address", "bare_url", "parse_address"]

EXPECTED = "expected http://HOST:PORT or https://HOST, a path after it if the server has one"


@dataclass(frozen=True)
class Address:
    """Where a server is.

    Args:
        base: scheme, host, port and path without a slash at the end; no credentials.
        authorization: value of the header, empty if the URL has no user; never shown.
    """

    base: str
    authorization: str = field(default="", repr=False)

    @property
    def websocket(self) -> str:
        """The URL of the websocket: ws for http, wss for https."""
        return f"ws{self.base.removeprefix('http')}/ws"

    @property
    def place(self) -> str:
        """How messages name it."""
        return f"server {self.base}"

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": self.authorization} if self.authorization else {}


def parse_address(url: str) -> Address:
    """Read the URL that a person typed.

    Raises:
        InputError: not an http(s) URL, or with parts that a server's address cannot have.
    """
    url = url.strip()
    # A URL with credentials is not repeated, not even a broken one.
    value = "an address with credentials" if "@" in url else shown(url.partition("?")[0].partition("#")[0])
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{value} is no address; {EXPECTED}.", place="server") from error
    if parts.scheme not in ("http", "https"):
        hint = f" Did you mean http://{url}?" if re.fullmatch(r"[\w.-]+(:\d+)?(/[\w./-]*)?", url) else ""
        raise InputError(f"{value} has no http or https; {EXPECTED}.{hint}", place="server")
    if not host or not re.fullmatch(r"[^\s\\%\"<>^`{|}]+", host):
        raise InputError(f"{value} names no host; {EXPECTED}.", place="server")
    if parts.query or parts.fragment:
        raise InputError(f"{value} goes on with '?' or '#'; {EXPECTED}.", place="server")
    if re.search(r"[\x00-\x20\x7f\\]", parts.path):
        raise InputError(f"{value} has a blank or a backslash in its path; {EXPECTED}.", place="server")
    name = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    return Address(base, _basic(parts.username, parts.password))


def bare_url(url: str) -> str:
    """A URL of somebody else without credentials and query, for a message."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "'...'"
    return shown(f"{parts.scheme}://{host}{parts.path}" if host else parts.path)


def _basic(user: str | None, password: str | None) -> str:
    if user is None:
        return ""
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode("utf-8", "surrogatepass")).decode("ascii")
