"""Endpoints of language models: what a profile is, which are built in, which addresses are allowed.

A workflow names a profile and a model, nothing else: no address, no key, no environment variable.

Not here: the user's own profiles (`configuration`), keys (`keys`), the connection (`client`).
"""

from __future__ import annotations

import ipaddress
import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from ..errors import InputError

__all__ = ["PROFILES", "LanguageModel", "Profile", "check_profile", "table_name"]

OFFICIAL = {"OPENAI_API_KEY": "api.openai.com"}  # variables whose key belongs to one host, whatever a file says

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Profile:
    """One OpenAI-compatible endpoint.

    Args:
        name: what a workflow calls it.
        base_url: HTTPS, or plain HTTP on this machine; up to and with `/v1`.
        model: the model to ask where none is named.
        models: the only models that may be named; empty for any.
        key_variable: environment variable that holds the key; empty where no key is needed.
        key_file: file that holds it; empty for none.
        timeout: seconds for one request.
        deadline: seconds for all requests of one expansion.
        concurrency: requests under way at once.
        batch: classes in one request.
        requests: most of them for one question to all classes, whatever a workflow lists.
        tries: requests made before a busy or failing endpoint is given up.
        pause: seconds before the second try; doubled with every further one.
        reply_bytes: the longest reply that is read.
        price_in, price_out: currency units per million tokens read and written, for the preview; 0 for unknown.
    """

    name: str
    base_url: str
    model: str = ""
    models: tuple[str, ...] = ()
    key_variable: str = ""
    key_file: str = ""
    timeout: float = 60.0
    deadline: float = 900.0
    concurrency: int = 8
    batch: int = 12
    requests: int = 1000
    tries: int = 5
    pause: float = 1.0
    reply_bytes: int = 2 * 2**20
    price_in: float = 0.0
    price_out: float = 0.0


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "openai": Profile(
            "openai", "https://api.openai.com/v1", model="gpt-5-mini", key_variable="OPENAI_API_KEY", timeout=120.0
        ),
        # A model on this machine writes one reply at a time, and slowly.
        "ollama": Profile(
            "ollama", "http://127.0.0.1:11434/v1", model="llama3.2", timeout=300.0, deadline=3600.0, concurrency=2
        ),
        "llama.cpp": Profile(
            "llama.cpp", "http://127.0.0.1:8080/v1", model="default", timeout=300.0, deadline=3600.0, concurrency=2
        ),
        "lmstudio": Profile("lmstudio", "http://127.0.0.1:1234/v1", timeout=300.0, deadline=3600.0, concurrency=2),
    }
)


@dataclass(frozen=True)
class LanguageModel:
    """A model at an endpoint: what flows between nodes; holds no key."""

    profile: Profile
    model: str


def check_profile(profile: Profile, place: str) -> None:
    """Refuse an endpoint that could leak: credentials in the address, plain HTTP beyond this machine.

    Raises:
        InputError: the address or the name of the variable cannot be used.
    """
    host = _check_address(profile.base_url, place)
    if profile.key_variable and not _VARIABLE.fullmatch(profile.key_variable):
        # The value is not shown: people paste the key itself here.
        raise InputError(
            "key_variable is not the name of an environment variable; expected one such as WORK_LLM_KEY. "
            "Never write the key itself.",
            place=place,
        )
    official = OFFICIAL.get(profile.key_variable.upper(), host)  # Windows does not tell the case
    if host != official:
        raise InputError(
            f"{profile.key_variable} goes to {official} and nowhere else; use another variable.", place=place
        )


def table_name(name: str) -> str:
    """The name of a profile as TOML wants it: `[profiles."llama.cpp"]`."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _check_address(address: str, place: str) -> str:
    """The host of an address that is allowed."""
    if not address:
        raise InputError("no base_url; expected an address such as https://host/v1.", place=place)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a port that is no number, brackets that do not match
        parts, host, port = urlsplit(""), "", None
    # What is refused here is not shown: it may hold a password, or be a key.
    if "@" in address or parts.query or parts.fragment:
        raise InputError("base_url holds more than an address; expected https://host/v1.", place=place)
    if not host or not parts.scheme or " " in address or not (address.isascii() and address.isprintable()):
        raise InputError("base_url cannot be read; expected an address such as https://host/v1.", place=place)
    allowed = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if port == 0 or not allowed:
        raise InputError(
            f"base_url {reprlib.repr(address)}; expected https://host/v1, or http:// on this machine.", place=place
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
