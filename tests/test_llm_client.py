"""The real client against real servers: what goes over the wire, where the key goes, and what each answer means."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import socket
import threading
import traceback
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from llm_server import FakeModel, answer, completion, endless, huge, refuses, reply, reset, says, serve_model, status
from werkzeug import Request, Response

from llmseg.errors import LLMError, MissingKeyError, QuotaError, ReplyError, UnreachableError
from llmseg.llm.client import OPTIONAL_PARAMETERS, BusyError, RefusedParameterError, open_endpoint
from llmseg.llm.profiles import LanguageModel, Profile

KEY = "sk-verysecret-0123456789abcdef"
VARIABLE = "LLMSEG_TEST_KEY"
MESSAGES = [{"role": "system", "content": "You answer."}, {"role": "user", "content": "Who are you?"}]
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
PARAMETERS = {"temperature": 0.0, "seed": 0, "response_format": FORM}


# --- servers ---


class Wiretap:
    """A port of loopback where nobody should call: it counts connections, keeps what they say, answers nothing."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.calls: list[bytes] = []
        self.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:  # the test is over
                return
            with connection:
                connection.settimeout(1)
                try:
                    self.calls.append(connection.recv(65536))
                except OSError:
                    self.calls.append(b"")


@pytest.fixture
def wiretap() -> Iterator[Wiretap]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Wiretap(server)


@contextmanager
def serve_bytes(data: bytes) -> Iterator[LanguageModel]:
    """A server that answers every request with exactly these bytes, HTTP or not, and hangs up."""

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test is over
                return
            with connection:
                got = b""
                while not (head := re.search(rb"content-length: (\d+)\r\n(?:.*?\r\n)?\r\n", got, re.I | re.S)):
                    got += connection.recv(65536)
                while len(got) < head.end() + int(head[1]):
                    got += connection.recv(65536)
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        yield LanguageModel(Profile("fake", url, "fake-1", key_variable=VARIABLE, timeout=5.0), "fake-1")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and nothing else that a client may read."""
    for variable in ("OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_LOG"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv(VARIABLE, KEY)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModel]:
    with serve_model() as model:  # one for all: it takes half a second to stop
        yield model


@pytest.fixture
def model(server: FakeModel) -> FakeModel:
    """The server as it was at first."""
    server.forget()
    return server


def raw(body: str | bytes, code: int = 200, kind: str = "application/json", **headers: str) -> Any:
    """A body as it is."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda request, model: Response(body, code, named, content_type=kind)


def ask(language_model: LanguageModel, **parameters: Any) -> str:
    async def complete() -> str:
        async with open_endpoint(language_model) as endpoint:
            return await endpoint.complete(MESSAGES, parameters)

    return asyncio.run(complete())


def ask_fake(model: FakeModel, behaviour: Any = answer, parameters: dict[str, Any] | None = None, **limits: Any) -> str:
    """The body that the fake model gives with a behaviour."""
    model.always = behaviour
    return ask(model.language_model(**{"key_variable": VARIABLE, **limits}), **(parameters or {}))


def refused(model: FakeModel, behaviour: Any, parameters: dict[str, Any] | None = None, **limits: Any) -> LLMError:
    """The error that comes of it."""
    with pytest.raises(LLMError) as caught:
        ask_fake(model, behaviour, parameters, **limits)
    return caught.value


# --- what is sent ---


def test_body_is_what_was_asked_and_no_more(model: FakeModel) -> None:
    ask_fake(model, parameters=PARAMETERS)
    assert model.requests == [{"model": "fake-1", "messages": MESSAGES, **PARAMETERS}]


def check_headers(model: FakeModel, key: str = KEY) -> None:
    """The headers that came are the expected ones and no others."""
    headers = dict(model.headers[0])
    assert headers.pop("user-agent")
    assert int(headers.pop("content-length")) > 50
    assert headers == {
        "host": model.base_url.removeprefix("http://").removesuffix("/v1"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        **({"authorization": f"Bearer {key}"} if key else {}),
    }


def test_headers_are_exactly_the_expected_ones(model: FakeModel) -> None:
    ask_fake(model)
    check_headers(model)


@pytest.mark.parametrize("key_variable", [VARIABLE, ""])
def test_environment_changes_nothing(
    key_variable: str, model: FakeModel, wiretap: Wiretap, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, wiretap.url)
        monkeypatch.setenv(variable.lower(), wiretap.url)
    monkeypatch.setenv("OPENAI_BASE_URL", wiretap.url + "/v1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Spy: yes\nAuthorization: Bearer other\nOpenAI-Beta: x\nCookie: a=b")
    for variable in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{variable}", "sk-of-the-environment")
    ask_fake(model, key_variable=key_variable)
    check_headers(model, KEY if key_variable else "")
    assert len(model.requests) == 1
    assert wiretap.calls == []


def test_netrc_is_not_read(model: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("default login spy password sk-of-the-netrc\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(path))
    ask_fake(model, key_variable="")
    assert "authorization" not in model.headers[0]


def test_each_key_goes_to_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"LLMSEG_TEST_A": "key-of-a", "LLMSEG_TEST_B": "key-of-b", "": ""}
    with ExitStack() as stack:
        models = {variable: stack.enter_context(serve_model()) for variable in keys}
        for variable, key in keys.items():
            if variable:
                monkeypatch.setenv(variable, key)
        for variable, model in models.items():
            ask_fake(model, key_variable=variable)
        sent = {variable: model.headers[0].get("authorization", "") for variable, model in models.items()}
    assert sent == {variable: f"Bearer {key}" if key else "" for variable, key in keys.items()}


def test_key_is_in_no_other_header_and_not_in_the_body(model: FakeModel) -> None:
    ask_fake(model, parameters=PARAMETERS)
    assert [name for name, value in model.headers[0].items() if KEY in value] == ["authorization"]
    assert KEY not in json.dumps(model.requests)


def test_key_of_a_file(model: FakeModel, tmp_path: Path) -> None:
    path = tmp_path / "fake.key"
    path.write_text("key-of-the-file\n", encoding="utf-8")
    path.chmod(0o600)
    ask_fake(model, key_file=str(path))
    assert model.headers[0]["authorization"] == "Bearer key-of-the-file"


def test_no_key_no_request(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    assert isinstance(refused(model, answer), MissingKeyError)
    assert model.requests == []


# --- what comes back ---


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{}", "{}"),
        (b"", ""),
        (b"not json at all", "not json at all"),
        (json.dumps(completion("\u00e9t\u00e9")).encode(), json.dumps(completion("\u00e9t\u00e9"))),
        ("\u00e9t\u00e9".encode(), "\u00e9t\u00e9"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
    ],
    ids=["object", "empty", "text", "completion", "letters", "no utf-8", "deep"],
)
def test_body_comes_as_it_is(body: bytes, text: str, model: FakeModel) -> None:
    assert ask_fake(model, raw(body)) == text


@pytest.mark.parametrize("kind", ["text/html; charset=latin-1", "text/event-stream", "application/json; charset=zlib"])
def test_body_is_utf_8_whatever_its_kind(kind: str, model: FakeModel) -> None:
    assert ask_fake(model, raw("\u00e9t\u00e9", kind=kind)) == "\u00e9t\u00e9"


def test_one_endpoint_for_many_requests(model: FakeModel) -> None:
    async def complete() -> list[str]:
        async with open_endpoint(model.language_model(concurrency=4)) as endpoint:
            return await asyncio.gather(*(endpoint.complete(MESSAGES, {"seed": seed}) for seed in range(20)))

    assert asyncio.run(complete()) == [json.dumps(completion({"items": []}))] * 20
    assert sorted(body["seed"] for body in model.requests) == list(range(20))


# --- limits ---


@pytest.mark.parametrize(("code", "size"), [(200, 1001), (200, 10**6), (400, 1001), (401, 1001), (500, 10**6)])
def test_long_reply_is_not_read(code: int, size: int, model: FakeModel) -> None:
    error = refused(model, raw(b"x" * size, code), reply_bytes=1000)
    assert isinstance(error, ReplyError)
    assert str(error) == "llm: a reply of more than 1000 bytes; expected a few thousand."


def test_longest_reply(model: FakeModel) -> None:
    assert ask_fake(model, raw(b"x" * 1000), reply_bytes=1000) == "x" * 1000


def test_ten_megabytes(model: FakeModel) -> None:
    assert str(refused(model, huge)) == "llm: a reply of more than 2097152 bytes; expected a few thousand."


@pytest.mark.parametrize(
    ("code", "encoding", "data"),
    [
        (200, "gzip", gzip.compress(b"{}", mtime=0)),
        (200, "deflate", zlib.compress(b"{}")),
        (200, "br", b"{}"),
        (200, "identity, gzip", gzip.compress(b"{}", mtime=0)),
        (400, "gzip", gzip.compress(b"{}", mtime=0)),
        (401, "deflate", b"{}"),
        (500, "gzip", gzip.compress(b"x" * 10**7, mtime=0)),
    ],
)
def test_compressed_reply_is_refused(code: int, encoding: str, data: bytes, model: FakeModel) -> None:
    error = refused(model, raw(data, code, content_encoding=encoding))
    assert isinstance(error, ReplyError)
    assert str(error) == "llm: a compressed reply, which was not asked for."


def test_slow_endpoint(model: FakeModel) -> None:
    model.delay = 3.0
    error = refused(model, answer, timeout=0.3)
    assert isinstance(error, BusyError)
    assert str(error) == "llm: no reply in 0.3 s."
    assert (error.wait, error.connected) == (None, True)


@pytest.mark.parametrize("code", [200, 400, 500])
def test_endless_body(code: int, model: FakeModel) -> None:
    def behave(request: Request, model: FakeModel) -> Response:
        response: Response = endless(request, model)
        response.status_code = code
        return response

    assert str(refused(model, behave, timeout=0.5)) == "llm: no reply in 0.5 s."


# --- broken connections ---


def test_reset_in_the_middle_of_a_body(model: FakeModel) -> None:
    error = refused(model, reset)
    assert isinstance(error, BusyError)
    assert str(error) == "llm: the connection to 127.0.0.1 broke."
    assert error.connected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
    ids=["nothing", "ssh", "header", "long header", "chunk", "short", "two lengths", "upgrade"],
)
def test_server_that_does_not_speak_http(data: bytes) -> None:
    with serve_bytes(data) as language_model, pytest.raises(BusyError) as caught:
        ask(language_model)
    assert str(caught.value) == "llm: the connection to 127.0.0.1 broke."


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    with pytest.raises(BusyError) as caught:
        ask(LanguageModel(Profile("fake", url), "fake-1"))
    assert str(caught.value) == "llm: no connection to 127.0.0.1 (All connection attempts failed)."
    assert not caught.value.connected


# --- redirects ---


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(code: int, model: FakeModel, wiretap: Wiretap) -> None:
    error = refused(model, raw("", code, location=wiretap.url + "/v1/chat/completions"))
    assert isinstance(error, UnreachableError)
    assert str(error) == (
        "llm: 127.0.0.1 redirects to '127.0.0.1'; expected an answer. Put the final address into base_url."
    )
    assert len(model.requests) == 1
    assert wiretap.calls == []


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://evil.example:8443/v1", "evil.example"),
        ("//evil.example/v1", "evil.example"),
        ("https://user:password@evil.example/v1", "evil.example"),
        ("/v1/chat/completions/", "elsewhere"),
        ("", "elsewhere"),
        ("https://" + "x" * 5000, "x" * 200),
        ("mailto:somebody", "elsewhere"),
        (f"https://{KEY}@evil.example/{KEY}?key={KEY}", "evil.example"),
    ],
)
def test_target_of_a_redirect(location: str, target: str) -> None:
    data = f"HTTP/1.1 307 Elsewhere\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n"
    with serve_bytes(data.encode()) as language_model, pytest.raises(UnreachableError) as caught:
        ask(language_model)
    assert caught.value.problem == (
        f"127.0.0.1 redirects to {target!r}; expected an answer. Put the final address into base_url."
    )


# --- what a status means ---

INSUFFICIENT = {
    "error": {
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "type": "insufficient_quota",
        "code": "insufficient_quota",
    }
}

# Behaviour -> class of the error and its problem.
MEANINGS: dict[str, tuple[Any, type[LLMError], str]] = {
    "401": (status(401), MissingKeyError, "HOST refuses the key of 'fake' (401). Set LLMSEG_TEST_KEY to a valid key."),
    "403": (status(403), MissingKeyError, "HOST refuses the key of 'fake' (403). Set LLMSEG_TEST_KEY to a valid key."),
    "402": (
        status(402),
        QuotaError,
        "the account of 'fake' has no quota left. It says 'status 402'. Check its billing.",
    ),
    "402 without a word": (status(402, {}), QuotaError, "the account of 'fake' has no quota left. Check its billing."),
    "403 of an account": (
        status(403, {"error": {"message": "Your credit balance is too low."}}),
        QuotaError,
        "the account of 'fake' has no quota left. It says 'Your credit balance is too low'. Check its billing.",
    ),
    "429 of an account": (
        status(429, INSUFFICIENT),
        QuotaError,
        "the account of 'fake' has no quota left. It says 'You exceeded your current quota, please check your plan and "
        "billing details'. Check its billing.",
    ),
    "429 by its code alone": (
        status(429, {"error": {"message": "No.", "code": "insufficient_quota"}}),
        QuotaError,
        "the account of 'fake' has no quota left. It says 'No'. Check its billing.",
    ),
    "404": (
        status(404, {"error": {"message": "model 'fake-1' not found"}}),
        LLMError,
        "HOST knows no model 'fake-1'. It says \"model 'fake-1' not found\". Name one that it serves.",
    ),
    "404 of a web server": (
        raw("<html>Not\n found</html>", 404, "text/html"),
        LLMError,
        "HOST knows no model 'fake-1'. It says '<html>Not found</html>'. Name one that it serves.",
    ),
    **{
        str(code): (status(code), BusyError, f"HOST answered {code}. It says 'status {code}'.")
        for code in (408, 409, 425, 429, 500, 502, 503, 504, 529)
    },
    **{
        str(code): (status(code), LLMError, f"HOST answered {code}. It says 'status {code}'.")
        for code in (400, 405, 413, 418, 422)
    },
}


@pytest.mark.parametrize(("behaviour", "kind", "problem"), MEANINGS.values(), ids=MEANINGS)
def test_meaning_of_a_status(behaviour: Any, kind: type[LLMError], problem: str, model: FakeModel) -> None:
    error = refused(model, behaviour, PARAMETERS)
    assert type(error) is kind
    assert str(error) == "llm: " + problem.replace("HOST", "127.0.0.1")
    assert len(model.requests) == 1, "the client never tries again by itself"


def test_refused_key_of_a_file(model: FakeModel, tmp_path: Path) -> None:
    path = tmp_path / "fake.key"
    path.write_text(KEY, encoding="utf-8")
    path.chmod(0o600)
    error = refused(model, status(401), key_variable="", key_file=str(path))
    assert error.problem == f"127.0.0.1 refuses the key of 'fake' (401). Put a valid key into {str(path)!r}."


def test_key_is_wanted_where_none_is_named(model: FakeModel) -> None:
    error = refused(model, status(401), key_variable="")
    assert (
        error.problem
        == "127.0.0.1 refuses the key of 'fake' (401). Name a key by key_variable under [profiles.fake] in llmseg.toml."
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "one   two\\n three"}}', "'one two three'"),
        ('{"error": "a text"}', "'a text'"),
        ('{"message": "on top"}', "'on top'"),
        ('{"error": {"message": 7}}', "'7'"),
        ("plain", "'plain'"),
        ("A sentence.", "'A sentence'"),
        ("[1, 2]", "'[1, 2]'"),
        ("x" * 1000, repr("x" * 200)),
        ('{"error": {"message": "\\u001b[31mred\\u0000"}}', r"'\x1b[31mred\x00'"),
        ('{"error": {"message": "\\ud800"}}', r"'\ud800'"),
        ("[" * 100_000, repr("[" * 200)),
    ],
    ids=["object", "text", "message", "number", "plain", "sentence", "list", "long", "control", "surrogate", "deep"],
)
def test_complaint_is_one_short_line(body: str, said: str, model: FakeModel) -> None:
    assert refused(model, raw(body, 418)).problem == f"127.0.0.1 answered 418. It says {said}."


@pytest.mark.parametrize("body", ["", "{}", '{"error": {}}', " \n"])
def test_no_complaint_at_all(body: str, model: FakeModel) -> None:
    assert refused(model, raw(body, 418)).problem == "127.0.0.1 answered 418."


# --- parameters that are not taken ---


@pytest.mark.parametrize("parameter", OPTIONAL_PARAMETERS)
def test_refused_parameter(parameter: str, model: FakeModel) -> None:
    error = refused(model, refuses(parameter), PARAMETERS)
    assert isinstance(error, RefusedParameterError)
    assert error.parameter == parameter
    assert str(error) == f"llm: the endpoint refuses {parameter!r}."


@pytest.mark.parametrize(
    ("code", "words", "parameter"),
    [
        (422, "response_format: value is not supported", "response_format"),
        (400, "response_format: value is not supported", "response_format"),
        (422, "Invalid schema", "response_format"),
        (400, "failed to parse grammar", "response_format"),
        (400, "Seed must be positive", "seed"),
        (422, "temperature, seed and response_format are ignored", "temperature"),
        (400, "response_format and seed", "seed"),
    ],
)
def test_parameter_that_a_complaint_speaks_of(code: int, words: str, parameter: str, model: FakeModel) -> None:
    error = refused(model, status(code, {"error": {"message": words}}), PARAMETERS)
    assert isinstance(error, RefusedParameterError)
    assert error.parameter == parameter


@pytest.mark.parametrize("words", ["temperature", "seed", "response_format", "schema", "max_tokens"])
def test_parameter_that_was_not_sent(words: str, model: FakeModel) -> None:
    error = refused(model, status(400, {"error": {"message": words}}))
    assert type(error) is LLMError
    assert error.problem == f"127.0.0.1 answered 400. It says {words!r}."


# --- how long to wait ---


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 0.5 "}, 0.5),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "nan"}, 0.0),
        ({"retry_after": "inf"}, float("inf")),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "1, 2"}, None),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after_ms": "-1"}, 0.0),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
    ],
)
def test_wait_that_a_server_asks_for(headers: dict[str, str], wait: float | None, model: FakeModel) -> None:
    error = refused(model, status(429, **headers))
    assert isinstance(error, BusyError)
    assert error.wait == wait


def test_wait_until_a_date(model: FakeModel) -> None:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100), usegmt=True)
    error = refused(model, status(429, retry_after=date))
    assert isinstance(error, BusyError)
    assert error.wait is not None
    assert 60 < error.wait <= 100


# --- the key is shown to nobody ---

ECHOES: dict[str, Any] = {
    "message": lambda code: raw(json.dumps({"error": {"message": f"bad key {KEY}."}}), code),
    "text": lambda code: raw(f"bad key {KEY}.", code, "text/plain"),
    "code": lambda code: raw(json.dumps({"error": {"message": "no.", "code": KEY, "param": KEY}}), code),
    "twice": lambda code: raw(json.dumps({"error": f"Bearer {KEY}Bearer {KEY}"}), code),
    "quota": lambda code: raw(json.dumps({"error": {"message": f"insufficient_quota {KEY}"}}), code),
    "parameter": lambda code: raw(json.dumps({"error": {"message": f"temperature {KEY}"}}), code),
    "long": lambda code: raw(f"{KEY} " * 1000, code, "text/plain"),
    "too long": lambda code: raw(f"{KEY} " * 100_000, code, "text/plain"),
}


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger says all it has to say."""
    import openai  # noqa: F401 - its loggers are made now

    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def check_hidden(caplog: pytest.LogCaptureFixture) -> None:
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert any(name.startswith("httpcore") for name in names), "the wire is logged"
    assert "openai" in names
    shown = [record.getMessage() for record in caplog.records] + [repr(record.args) for record in caplog.records]
    assert KEY not in "\n".join(shown) + caplog.text


@pytest.mark.parametrize(
    ("echo", "code"),
    [
        *((echo, code) for echo in ECHOES for code in (400, 401, 500)),
        *(("message", code) for code in (302, 402, 403, 404, 418, 422, 429)),
    ],
)
def test_endpoint_that_repeats_the_key(
    echo: str, code: int, model: FakeModel, everything_logged: pytest.LogCaptureFixture
) -> None:
    error = refused(model, ECHOES[echo](code), PARAMETERS)
    shown = "".join(traceback.format_exception(error))
    for text in (str(error), repr(error), repr(vars(error)), shown):
        assert KEY not in text
    check_hidden(everything_logged)


@pytest.mark.parametrize("text", ["I know {}.", "{}{}", '{{"error": "{}"}}'])
def test_body_that_repeats_the_key(text: str, model: FakeModel, everything_logged: pytest.LogCaptureFixture) -> None:
    body = text.format(KEY, KEY)
    assert ask_fake(model, raw(body)) == body.replace(KEY, "***")
    check_hidden(everything_logged)


def test_answer_that_repeats_the_key(model: FakeModel, everything_logged: pytest.LogCaptureFixture) -> None:
    content = json.loads(ask_fake(model, says(f"your key is {KEY}")))["choices"][0]["message"]["content"]
    assert content == "your key is ***"
    check_hidden(everything_logged)


@pytest.mark.parametrize("behaviour", [reset, answer], ids=["reset", "slow"])
def test_broken_connection_shows_no_key(
    behaviour: Any, model: FakeModel, everything_logged: pytest.LogCaptureFixture
) -> None:
    model.delay = 0.0 if behaviour is reset else 3.0
    error = refused(model, behaviour, timeout=0.3 if model.delay else 5.0)
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error)
    check_hidden(everything_logged)


def test_endpoint_shows_no_key(model: FakeModel) -> None:
    async def show() -> str:
        async with open_endpoint(model.language_model(key_variable=VARIABLE)) as endpoint:
            return repr(endpoint) + str(endpoint) + repr(vars(endpoint)) + repr(vars(vars(endpoint)["_client"]))

    assert KEY not in asyncio.run(show())


def test_reply_is_of_one_request(model: FakeModel) -> None:
    """Two endpoints at once share nothing."""

    async def both() -> list[str]:
        own, none = model.language_model(key_variable=VARIABLE), model.language_model()
        async with open_endpoint(own) as first, open_endpoint(none) as second:
            return list(await asyncio.gather(first.complete(MESSAGES, {}), second.complete(MESSAGES, {})))

    model.always = lambda request, model: reply(request.headers.get("Authorization", "none"))
    assert asyncio.run(both()) == ['"Bearer ***"', '"none"']


def test_headers_of_the_environment_do_not_replace_ours(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = "Host: evil.example\nUser-Agent: spy\nAccept: text/spy\nContent-Length: 3\nConnection: close"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", headers)
    ask_fake(model)
    check_headers(model)
    assert "spy" not in json.dumps(model.headers)


@pytest.mark.parametrize("variable", ["OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_letters_in_the_environment_do_no_harm(
    variable: str, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "X-Name: J\u00fcrgen")
    ask_fake(model)
    check_headers(model)


@pytest.mark.parametrize("before", range(170, 200, 3))
def test_key_cut_by_the_end_of_a_complaint(before: int, model: FakeModel) -> None:
    error = refused(model, raw("x" * before + KEY, 400, "text/plain"))
    assert KEY[:3] not in str(error)


def test_key_in_the_host_of_a_redirect() -> None:
    data = f"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: https://{KEY}.evil.example/\r\n\r\n"
    with serve_bytes(data.encode()) as language_model, pytest.raises(UnreachableError) as caught:
        ask(language_model)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "head",
    [
        "307 X\r\nLocation: http://[/x",
        "400 X\r\nContent-Type: text/plain; charset=zlib",
        "400 X\r\nContent-Type: text/plain; charset=utf-16",
        "400 X\r\nContent-Type: text/plain; charset=idna",
        "429 X\r\nRetry-After: Mon, 01 Jan 2024 00:00:00 +99999999999999",
    ],
)
def test_hostile_header_gives_one_of_our_errors(head: str) -> None:
    data = f"HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    with serve_bytes(data) as language_model, pytest.raises(LLMError):
        ask(language_model)


def test_rate_limit_that_mentions_billing_is_no_lack_of_quota(model: FakeModel) -> None:
    message = (
        "Rate limit reached for gpt-5-mini in organization org-x on requests per min (RPM): Limit 3, Used 3, "
        "Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/billing to add a payment method."
    )
    body = {"error": {"message": message, "type": "requests", "code": "rate_limit_exceeded"}}
    error = refused(model, status(429, body, retry_after="20"))
    assert isinstance(error, BusyError)
    assert error.wait == 20.0


def test_log_shows_no_key_of_a_header(everything_logged: pytest.LogCaptureFixture) -> None:
    data = f"HTTP/1.1 200 {KEY}\r\nX-Request-Id: {KEY}\r\nContent-Length: 2\r\n\r\n{{}}"
    with serve_bytes(data.encode()) as language_model:
        assert ask(language_model) == "{}"
    assert KEY not in everything_logged.text


def test_bad_milliseconds_do_not_hide_good_seconds(model: FakeModel) -> None:
    error = refused(model, status(429, retry_after="3", retry_after_ms="soon"))
    assert isinstance(error, BusyError)
    assert error.wait == 3.0


def test_key_with_a_slash_is_hidden_in_json(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "sk/very/secret")
    body = ask_fake(model, raw('{"x": "sk\\/very\\/secret"}'))
    assert json.loads(body) == {"x": "***"}


def test_complaint_of_fastapi(model: FakeModel) -> None:
    assert (
        refused(model, raw('{"detail": "no such thing"}', 418)).problem
        == "127.0.0.1 answered 418. It says 'no such thing'."
    )
