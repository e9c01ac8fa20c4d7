"""The transport under the client: one host, our own headers, the key at the last moment, short replies only.

What a client builds from the environment (addresses, headers, proxies, organisations) ends here: of its
request only the body goes on. Of a reply only what is needed comes back.

Not here: what a status means (`client`).
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from .. import __version__
from ..errors import ReplyError, UnreachableError
from .keys import Secret
from .profiles import Profile

__all__ = ["REDIRECT_TARGET", "hidden_in_logs", "http_library", "open_wire"]

REDIRECT_TARGET = "llmseg-redirect-target"

# Of a reply, under these names: a client that saw a location would read it, and fail on a strange one.
KEPT_HEADERS = {"location": REDIRECT_TARGET, "retry-after": "retry-after", "retry-after-ms": "retry-after-ms"}
# Libraries below us that log the headers of replies, in which an endpoint could repeat a key.
TALKATIVE = ("httpcore.http11", "httpcore.http2", "httpcore2.http11", "httpcore2.http2")


@lru_cache(maxsize=1)
def http_library() -> Any:
    """The HTTP library that the installed `openai` speaks: httpx2 since version 3, httpx before."""
    import openai

    base = openai.DefaultAsyncHttpxClient.__mro__[1]
    return importlib.import_module(base.__module__.partition(".")[0])


def open_wire(profile: Profile, key: Secret) -> Any:
    """A transport for the endpoint of a profile; raises `LLMError`s of its own out of a request."""
    http = http_library()
    allowed = http.URL(profile.base_url)
    wire = http.AsyncHTTPTransport(
        verify=_certificates() if allowed.scheme == "https" else False,
        trust_env=False,
        limits=http.Limits(max_connections=profile.concurrency),
    )

    class Capped(http.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in self.stream:
                size += len(part)
                if size > profile.reply_bytes:
                    raise ReplyError(
                        f"a reply of more than {profile.reply_bytes} bytes; expected a few thousand.", place="llm"
                    )
                yield part

        async def aclose(self) -> None:
            await self.stream.aclose()

    class Guard(http.AsyncBaseTransport):  # type: ignore[misc, name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            url = request.url
            if (url.scheme, url.host, url.port) != (allowed.scheme, allowed.host, allowed.port):
                raise UnreachableError(f"a request to {url.host!r}; expected {allowed.host!r} only.", place="llm")
            body = await request.aread()
            # A request of its own: errors carry the client's about, and that one never has the key.
            sent = http.Request("POST", url, headers=_headers(key), content=body, extensions=request.extensions)
            response = await wire.handle_async_request(sent)
            if response.headers.get("content-encoding", "identity") != "identity":
                await response.aclose()
                raise ReplyError("a compressed reply, which was not asked for.", place="llm")
            kept = [(ours, response.headers[name]) for name, ours in KEPT_HEADERS.items() if name in response.headers]
            response.headers = http.Headers([*kept, ("content-type", "application/json; charset=utf-8")])
            response.extensions.pop("reason_phrase", None)  # free text, which clients log
            response.stream = Capped(response.stream)
            return response

        async def aclose(self) -> None:
            await wire.aclose()

    return Guard()


@contextmanager
def hidden_in_logs(key: Secret) -> Iterator[None]:
    """Keep a key out of what the libraries below log about replies."""

    def hide(record: logging.LogRecord) -> bool:
        record.msg, record.args = key.hide(record.getMessage()), ()
        return True

    loggers = [logging.getLogger(name) for name in TALKATIVE]
    for logger in loggers:
        logger.addFilter(hide)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(hide)


def _headers(key: Secret) -> dict[str, str]:
    headers = {
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": f"llmseg/{__version__}",
    }
    return {**headers, "authorization": f"Bearer {key.reveal()}"} if key.reveal() else headers


@lru_cache(maxsize=1)
def _certificates() -> Any:
    """The certificates that are trusted, read once: it takes a twentieth of a second."""
    return http_library().create_ssl_context(trust_env=False)
