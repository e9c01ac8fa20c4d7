"""A language model service on loopback, real HTTP and all, that plays whatever a test wants.

Each request takes the next behaviour of the script; when that is empty, the model answers well.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmseg.llm.profiles import LanguageModel, Profile

LOOKS = ("red", "small", "tall", "old", "wooden", "striped", "round", "wet")
TARGET = re.compile(r"^(\d+): (.*?) \| SENSE: (.*?)(?: \| (.*))?$", re.MULTILINE)

Behaviour = Callable[[Request, "FakeModel"], Response]


@dataclass
class FakeModel:
    """The server, what it was asked, and what it is to do."""

    server: HTTPServer
    script: list[Behaviour] = field(default_factory=list)
    always: Behaviour | None = None
    delay: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lists: dict[str, list[str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base_url(self) -> str:
        return self.server.url_for("/v1")

    def language_model(self, **limits: Any) -> LanguageModel:
        """The model behind this server, patient for a tenth of a second only."""
        limits = {"timeout": 5.0, "deadline": 30.0, "pause": 0.01, **limits}
        return LanguageModel(Profile("fake", self.base_url, "fake-1", **limits), "fake-1")

    def handle(self, request: Request) -> Response:
        with self.lock:
            self.requests.append(request.get_json())
            self.headers.append({key.lower(): value for key, value in request.headers.items()})
            behaviour = self.script.pop(0) if self.script else self.always or answer
        time.sleep(self.delay)
        return behaviour(request, self)

    def forget(self) -> None:
        """As if it had just been started."""
        self.script, self.always, self.delay, self.lists = [], None, 0.0, {}
        self.requests, self.headers = [], []

    def asked(self) -> list[list[str]]:
        """The class names of every request."""
        return [targets(body) for body in self.requests]


@contextmanager
def serve_model() -> Iterator[FakeModel]:
    """A fake model on a free port of loopback; stopped in the end."""
    server = HTTPServer(host="127.0.0.1", threaded=True)
    model = FakeModel(server)
    server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(model.handle)
    server.start()
    try:
        yield model
    finally:
        server.stop()


def targets(body: dict[str, Any]) -> list[str]:
    return [match[2] for match in TARGET.finditer(body["messages"][1]["content"])]


def completion(content: Any, *, finish: str = "stop", refusal: str | None = None, **more: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "fake-1-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}, **more,
    }  # fmt: skip


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, headers, content_type="application/json")


def items(body: dict[str, Any], model: FakeModel) -> list[dict[str, Any]]:
    """A good answer to every target of a request, whatever its kind."""
    prompt = body["messages"][1]["content"]
    made = []
    for match in TARGET.finditer(prompt):
        number, name, rest = match[1], match[2], match[4] or ""
        phrases = model.lists.get(name, [f"{look} {name}" for look in LOOKS])
        if '"subclasses"' in prompt:
            made.append({"id": number, "sense": f"a {name}", "policy": "expand", "subclasses": phrases})
        elif '"synonyms"' in prompt:
            made.append({"id": number, "synonyms": model.lists.get(name, [f"{name}let"])})
        elif '"descriptions"' in prompt:
            made.append({"id": number, "descriptions": [f"A photo that shows a {p}, seen from near." for p in phrases]})
        elif '"definition"' in prompt:
            made.append({"id": number, "definition": f"A {name} is a thing that looks like a {name}."})
        elif '"english"' in prompt:
            made.append({"id": number, "english": model.lists.get(name, ["thing"])[0]})
        else:
            listed = rest.removeprefix("PHRASES: ").split("; ")
            bad = model.lists.get("critic", [])
            made.append({"id": number, "verdicts": [
                {"phrase": p, "kind_of_class": p not in bad, "other_class": None, "visible": True} for p in listed
            ]})  # fmt: skip
    return made


# --- behaviours ---


def answer(request: Request, model: FakeModel) -> Response:
    return reply(completion({"items": items(request.get_json(), model)}))


def says(content: Any, **more: Any) -> Behaviour:
    """The model writes exactly this."""
    return lambda request, model: reply(completion(content, **more))


def status(code: int, body: Any = None, **headers: str) -> Behaviour:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda request, model: reply(
        body if body is not None else {"error": {"message": f"status {code}"}}, code, named
    )


def refuses(parameter: str) -> Behaviour:
    """The 400 of a model that takes only the default of a parameter."""
    message = f"Unsupported value: '{parameter}' does not support 0 with this model."
    error = {"message": message, "type": "invalid_request_error", "param": parameter, "code": "unsupported_value"}
    return status(400, {"error": error})


def strict_about(*parameters: str) -> Behaviour:
    """Answers only where none of the parameters is sent."""

    def behave(request: Request, model: FakeModel) -> Response:
        sent = [name for name in parameters if name in request.get_json()]
        return refuses(sent[0])(request, model) if sent else answer(request, model)

    return behave


def wrapped(before: str, after: str) -> Behaviour:
    """A good answer with something around it."""
    return lambda request, model: reply(
        completion(before + json.dumps({"items": items(request.get_json(), model)}) + after)
    )


def truncated(request: Request, model: FakeModel) -> Response:
    text = json.dumps({"items": items(request.get_json(), model)})
    return reply(completion(text[: len(text) * 2 // 3], finish="length"))


def reset(request: Request, model: FakeModel) -> Response:
    """The connection breaks in the middle of the body."""
    whole = json.dumps(completion("never seen whole"))

    def body() -> Iterator[bytes]:
        yield whole[:40].encode()
        raise ConnectionAbortedError

    response = Response(body(), 200, content_type="application/json")
    response.headers["Content-Length"] = str(len(whole))
    return response


def endless(request: Request, model: FakeModel) -> Response:
    """A body that never ends, a few bytes at a time."""

    def body() -> Iterator[bytes]:
        for _ in range(200):
            yield b" "
            time.sleep(0.05)

    return Response(body(), 200, content_type="application/json")


def huge(request: Request, model: FakeModel) -> Response:
    return Response((b"x" * 65536 for _ in range(160)), 200, content_type="application/json")


def only(behaviour: Behaviour, bad: str) -> Behaviour:
    """Misbehaves where one class is among the targets, and answers well otherwise."""
    return lambda request, model: (behaviour if bad in targets(request.get_json()) else answer)(request, model)
