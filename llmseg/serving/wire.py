"""One HTTP request to the server: timeouts, sizes, and every failure as one line.

Redirects are not followed: credentials and pictures go to the host that the person typed.
Not here: what answers mean (`client`), the websocket (`channel`).
"""

from __future__ import annotations

import importlib
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from .address import Address, bare_url
from .limits import Limits
from .untrusted import one_line, parse_json, without_end

__all__ = ["Wire", "certificates", "http_library"]

READY = "expected a running ComfyUI. Start it, or correct the address."
BLOCK = 2**16


def http_library() -> Any:
    """The library below the installed `openai`, without the second that importing `openai` itself takes."""
    for name in ("httpx2", "httpx"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise InputError(
        "no HTTP library; expected httpx, which comes with openai. Run pip install openai.", place="server"
    )


@lru_cache(maxsize=1)
def certificates() -> ssl.SSLContext:
    """Whom to trust, for HTTP and websocket alike; read once, as it takes a twentieth of a second."""
    context: ssl.SSLContext = http_library().create_ssl_context()
    return context


class Wire:
    """Requests to one server over kept connections; every failure is an `InputError`."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self.address = address
        self.limits = limits
        self._http = http_library()
        try:
            self._client = self._http.Client(
                headers={"user-agent": f"llmseg/{__version__}", "accept-encoding": "identity", **address.headers},
                timeout=self._http.Timeout(limits.answer, connect=limits.connect),
                follow_redirects=False,
                verify=certificates(),
            )
        except (OSError, ValueError, ImportError, self._http.InvalidURL) as error:  # said without values: passwords
            raise self._error(
                f"the environment names proxies or certificates that cannot be used ({type(error).__name__}); "
                "expected valid HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE, or none."
            ) from error

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def get(self, route: str, **options: Any) -> Any:
        """The JSON that a route answers."""
        with self._request("GET", route, **options) as response:
            return self._json(response, f"GET {route}")

    def post(self, route: str, body: object, *, refusal: int) -> tuple[int, Any]:
        """Send JSON; answers the status, 200 or `refusal`, and the JSON that came back."""
        with self._request("POST", route, refusal=refusal, **_as_json(body)) as response:
            return response.status_code, self._json(response, f"POST {route}")

    def tell(self, route: str, body: object, seconds: float) -> None:
        """Send JSON and wait so long for any sign that it was taken."""
        with self._request("POST", route, timeout=seconds, **_as_json(body)):
            pass

    def upload(self, path: Path, subfolder: str) -> Any:
        """Send a file into the server's input folder, from the disk as it goes; answers where it is now."""
        try:
            with path.open("rb") as file:
                parts = {"image": (path.name, file, "application/octet-stream")}
                fields = {"type": "input", "subfolder": subfolder, "overwrite": "false"}
                with self._request("POST", "/upload/image", files=parts, data=fields) as response:
                    return self._json(response, f"the upload of {path.name!r}")
        except OSError as error:
            raise InputError(f"cannot read {path.name!r} ({error.strerror or error}).", place="input") from error

    @contextmanager
    def download(self, query: dict[str, str]) -> Iterator[Iterator[bytes]]:
        """The content of a result, in blocks."""
        with self._request("GET", "/view", params=query) as response:
            yield response.iter_raw(BLOCK)

    @contextmanager
    def _request(self, method: str, route: str, *, refusal: int = 0, **options: Any) -> Iterator[Any]:
        http = self._http
        try:
            with self._client.stream(method, self.address.base + route, **options) as response:
                self._check(response, f"{method} {route}", refusal)
                yield response
        except http.TimeoutException as error:
            raise self._error(f"no answer to {method} {route} in time; {READY}") from error
        except (http.HTTPError, http.InvalidURL, http.StreamError, UnicodeError) as error:
            detail = without_end(error) or type(error).__name__
            raise self._error(f"no connection ({detail}); {READY}") from error

    def _check(self, response: Any, what: str, refusal: int) -> None:
        code = response.status_code
        if response.is_redirect or 300 <= code < 400:
            target = bare_url(response.headers.get("location", ""))
            raise self._error(f"{what} is redirected to {target}; expected an answer. Give the final address.")
        if code in (401, 407):
            raise self._error(f"access denied ({code}); expected credentials. Write http://USER:PASSWORD@HOST.")
        if code == 413:
            raise self._error(f"{what} is refused as too large (413). Start it with a larger --max-upload-size.")
        if not 200 <= code < 300 and code != refusal:
            raise self._error(f"{what} answered {code}; {READY}")
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise self._error(f"{what} answered in {one_line(encoding, 20)!r}; expected plain bytes, as asked for.")

    def _json(self, response: Any, what: str) -> Any:
        return self._parse(response, self._read(response, what), what)

    def _read(self, response: Any, what: str) -> bytes:
        data = bytearray()
        for block in response.iter_raw(BLOCK):
            data += block
            if len(data) > self.limits.json_bytes:
                raise self._error(f"{what} answered more than {self.limits.json_bytes} bytes; expected fewer.")
        return bytes(data)

    def _parse(self, response: Any, data: bytes, what: str) -> Any:
        try:
            return parse_json(data)
        except ValueError as error:
            kind = one_line(response.headers.get("content-type", "no type").partition(";")[0], 40)
            raise self._error(f"{what} answered {kind} that is no JSON; expected a ComfyUI server.") from error

    def _error(self, problem: str) -> InputError:
        return InputError(problem, place=self.address.place)


def _as_json(body: object) -> dict[str, Any]:
    # Not the library's own encoder: it refuses NaN and lone surrogates, which workflows hold and the server takes.
    return {"content": json.dumps(body).encode("ascii"), "headers": {"content-type": "application/json"}}
