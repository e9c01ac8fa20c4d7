"""One body, however busy the endpoint: tries, pauses, the deadline, parameters given up, and being stopped."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from llm_server import FakeModel, answer, completion, huge, refuses, reset, serve_model, status, strict_about
from werkzeug import Request, Response

from llmseg.errors import LLMError, MissingKeyError, QuotaError, ReplyError, UnreachableError
from llmseg.llm.client import OPTIONAL_PARAMETERS, BusyError, open_endpoint
from llmseg.llm.profiles import LanguageModel, Profile
from llmseg.llm.sending import FRESH_TEMPERATURE, Sender
from llmseg.llm.stored import AnswerStore

MESSAGES = [{"role": "user", "content": "Who are you?"}, {"role": "user", "content": "Well?"}]
FORM = {"type": "json_object"}
GOOD = json.dumps(completion({"items": []}))
PATIENCE = 10.0  # seconds after which a test that waits for something fails


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModel]:
    with serve_model() as model:  # one for all: it takes half a second to stop
        yield model


@pytest.fixture
def model(server: FakeModel) -> FakeModel:
    """The server as it was at first."""
    server.forget()
    return server


def with_sender(
    language_model: LanguageModel, root: Path, use: Callable[[Sender], Awaitable[Any]], *, fresh: int = 0
) -> Any:
    """What comes of a use of a new sender."""

    async def run() -> Any:
        async with open_endpoint(language_model) as endpoint:
            sender = Sender(endpoint, language_model, AnswerStore(language_model, root), fresh=fresh)
            return await asyncio.wait_for(use(sender), 3 * PATIENCE)

    return asyncio.run(run())


def send(language_model: LanguageModel, root: Path, count: int = 1, *, fresh: int = 0) -> tuple[list[str], int]:
    """The bodies of so many requests at once, and how many were made for them."""

    async def use(sender: Sender) -> tuple[list[str], int]:
        bodies = await asyncio.gather(*(sender.send(MESSAGES, FORM) for _ in range(count)))
        return list(bodies), sender.requests

    bodies, requests = with_sender(language_model, root, use, fresh=fresh)
    return bodies, requests


def sent(model: FakeModel) -> list[dict[str, Any]]:
    """The parameters of every request."""
    return [{name: body[name] for name in OPTIONAL_PARAMETERS if name in body} for body in model.requests]


async def until(done: Callable[[], bool]) -> None:
    """Wait for something that happens in the server."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


# --- what is asked ---


@pytest.mark.parametrize(("fresh", "temperature"), [(0, 0.0), (1, FRESH_TEMPERATURE), (7, FRESH_TEMPERATURE)])
def test_parameters(fresh: int, temperature: float, model: FakeModel, tmp_path: Path) -> None:
    assert send(model.language_model(), tmp_path, fresh=fresh) == ([GOOD], 1)
    assert sent(model) == [{"temperature": temperature, "seed": fresh, "response_format": FORM}]
    assert model.requests[0]["messages"] == MESSAGES


# --- busy endpoints ---

TROUBLES: dict[str, list[Any]] = {
    "500 three times": [status(500), status(502), status(503)],
    "too many requests": [status(429), status(429)],
    "reset": [reset, reset],
    "all sorts": [reset, status(500), status(429, retry_after="0"), status(408)],
}


@pytest.mark.parametrize("script", TROUBLES.values(), ids=TROUBLES)
def test_trouble_passes(script: list[Any], model: FakeModel, tmp_path: Path) -> None:
    model.script = list(script)
    assert send(model.language_model(), tmp_path) == ([GOOD], len(script) + 1)
    assert sent(model) == [{"temperature": 0.0, "seed": 0, "response_format": FORM}] * (len(script) + 1)


def test_slow_reply_is_asked_for_again(model: FakeModel, tmp_path: Path) -> None:
    release = threading.Event()

    def stuck(request: Request, model: FakeModel) -> Response:
        release.wait(PATIENCE)
        return status(500)(request, model)

    model.script = [stuck]
    assert send(model.language_model(timeout=0.5), tmp_path) == ([GOOD], 2)
    release.set()


@pytest.mark.parametrize(
    ("tries", "behaviour", "problem"),
    [
        (1, status(500), "127.0.0.1 answered 500. It says 'status 500'."),
        (4, status(500), "127.0.0.1 answered 500. It says 'status 500'."),
        (3, status(429, retry_after_ms="1"), "127.0.0.1 answered 429. It says 'status 429'."),
        (2, reset, "the connection to 127.0.0.1 broke."),
    ],
)
def test_trouble_stays(tries: int, behaviour: Any, problem: str, model: FakeModel, tmp_path: Path) -> None:
    model.always = behaviour
    with pytest.raises(UnreachableError) as caught:
        send(model.language_model(tries=tries), tmp_path)
    assert str(caught.value) == f"llm: {problem} Tried {tries} times."
    assert len(model.requests) == tries


def test_every_request_has_its_own_tries(model: FakeModel, tmp_path: Path) -> None:
    model.script = [status(500)] * 4
    assert send(model.language_model(tries=5), tmp_path, 4) == ([GOOD] * 4, 8)


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    language_model = LanguageModel(Profile("ollama", url, pause=0.01, tries=5), "fake-1")

    async def use(sender: Sender) -> tuple[str, int]:
        with pytest.raises(UnreachableError) as caught:
            await sender.send(MESSAGES, FORM)
        return str(caught.value), sender.requests

    assert with_sender(language_model, tmp_path, use) == (
        "llm: no connection to 127.0.0.1 (All connection attempts failed). Tried 2 times. "
        "Start the service of profile 'ollama', or choose a library.",
        2,
    )


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (status(401), MissingKeyError),
        (status(403), MissingKeyError),
        (status(402), QuotaError),
        (status(429, {"error": {"message": "No.", "code": "insufficient_quota"}}), QuotaError),
        (status(404), LLMError),
        (status(400), LLMError),
        (status(302, location="https://evil.example"), UnreachableError),
        (status(200, content_encoding="gzip"), ReplyError),
        (huge, ReplyError),
    ],
    ids=["401", "403", "402", "quota", "404", "400", "redirect", "compressed", "huge"],
)
def test_what_waiting_would_not_mend(behaviour: Any, kind: type[LLMError], model: FakeModel, tmp_path: Path) -> None:
    model.always = behaviour
    with pytest.raises(LLMError) as caught:
        send(model.language_model(), tmp_path)
    assert type(caught.value) is kind
    assert len(model.requests) == 1


# --- pauses ---


def timed(times: list[float], behaviour: Any) -> Any:
    """The behaviour, and when it was asked for."""

    def behave(request: Request, model: FakeModel) -> Response:
        times.append(time.monotonic())
        response: Response = behaviour(request, model)
        return response

    return behave


@pytest.mark.parametrize(
    ("code", "headers"),
    [(429, {"retry_after": "0.2"}), (503, {"retry_after": "0.2"}), (429, {"retry_after_ms": "200"})],
)
def test_server_is_given_the_time_it_asks_for(
    code: int, headers: dict[str, str], model: FakeModel, tmp_path: Path
) -> None:
    times: list[float] = []
    model.script = [timed(times, status(code, **headers)), timed(times, answer)]
    assert send(model.language_model(pause=0.0), tmp_path) == ([GOOD], 2)
    assert times[1] - times[0] >= 0.19


def test_server_is_given_the_time_until_a_date(model: FakeModel, tmp_path: Path) -> None:
    date = datetime.now(timezone.utc) + timedelta(seconds=1.5)  # a date has no parts of a second
    model.script = [status(429, retry_after=format_datetime(date, usegmt=True)), answer]
    assert send(model.language_model(pause=0.0), tmp_path) == ([GOOD], 2)
    assert datetime.now(timezone.utc) >= date.replace(microsecond=0)


def test_own_pause_without_a_word_of_the_server(model: FakeModel, tmp_path: Path) -> None:
    times: list[float] = []
    model.script = [timed(times, status(500)), timed(times, status(500)), timed(times, answer)]
    send(model.language_model(pause=0.2), tmp_path)
    first, second = times[1] - times[0], times[2] - times[1]
    assert first >= 0.09, "half of the pause, by chance"
    assert second >= 0.19, "doubled"


def test_word_of_the_server_goes_before_the_own_pause(model: FakeModel, tmp_path: Path) -> None:
    model.script = [status(429, retry_after="0")]
    assert send(model.language_model(pause=25.0), tmp_path) == ([GOOD], 2)


@pytest.mark.parametrize(
    ("headers", "pause", "shown"),
    [
        ({"retry_after": "120"}, 0.01, "120"),
        ({"retry_after_ms": "30500"}, 0.01, "30.5"),
        ({"retry_after": "inf"}, 0.01, "inf"),
        ({"retry_after": "1e400"}, 0.01, "inf"),
    ],
)
def test_wait_beyond_the_deadline(
    headers: dict[str, str], pause: float, shown: str, model: FakeModel, tmp_path: Path
) -> None:
    model.always = status(429, **headers)
    with pytest.raises(UnreachableError) as caught:
        send(model.language_model(deadline=30.0, pause=pause), tmp_path)
    assert str(caught.value) == (
        f"llm: 127.0.0.1 answered 429. It says 'status 429'. A wait of {shown} s would pass the deadline of 30 s. "
        "Try again later."
    )
    assert len(model.requests) == 1


def test_own_pause_beyond_the_deadline(model: FakeModel, tmp_path: Path) -> None:
    model.always = status(500)
    with pytest.raises(UnreachableError, match=r" s would pass the deadline of 30 s\. Try again later\.$"):
        send(model.language_model(pause=1000.0), tmp_path)
    assert len(model.requests) == 1


def test_deadline_in_the_middle_of_a_request(model: FakeModel, tmp_path: Path) -> None:
    model.delay = 3.0
    with pytest.raises(UnreachableError) as caught:
        send(model.language_model(timeout=5.0, deadline=0.5), tmp_path)
    assert str(caught.value) == "llm: no answer within 0.5 s."


def test_deadline_is_for_all_requests(model: FakeModel, tmp_path: Path) -> None:
    """Those that wait for their turn have no more time than the others."""
    model.delay = 0.4

    async def use(sender: Sender) -> list[str]:
        results = await asyncio.gather(*(sender.send(MESSAGES, FORM) for _ in range(6)), return_exceptions=True)
        assert sender.remaining() < 0.6
        return [str(result) for result in results]

    results = with_sender(model.language_model(concurrency=1, deadline=1.0), tmp_path, use)
    assert results[0] == GOOD
    assert set(results[2:]) == {"llm: no answer within 1 s."}


# --- parameters that are not taken ---


def test_refused_parameters_are_dropped_in_order_and_remembered(model: FakeModel, tmp_path: Path) -> None:
    model.always = strict_about(*OPTIONAL_PARAMETERS)
    language_model = model.language_model(tries=1)  # a dropped parameter is no try
    assert send(language_model, tmp_path) == ([GOOD], 4)
    assert [list(parameters) for parameters in sent(model)] == [
        ["temperature", "seed", "response_format"],
        ["seed", "response_format"],
        ["response_format"],
        [],
    ]
    assert AnswerStore(language_model, tmp_path).refused() == ("response_format", "seed", "temperature")
    assert send(language_model, tmp_path) == ([GOOD], 1)
    assert sent(model)[4:] == [{}]


@pytest.mark.parametrize("parameter", OPTIONAL_PARAMETERS)
def test_only_the_refused_parameter_is_dropped(parameter: str, model: FakeModel, tmp_path: Path) -> None:
    model.script = [refuses(parameter)]
    language_model = model.language_model()
    assert send(language_model, tmp_path) == ([GOOD], 2)
    assert send(language_model, tmp_path) == ([GOOD], 1)
    left = [name for name in OPTIONAL_PARAMETERS if name != parameter]
    assert [list(parameters) for parameters in sent(model)[1:]] == [left, left]


def test_other_model_is_asked_with_all_parameters(model: FakeModel, tmp_path: Path) -> None:
    model.script = [refuses("seed")]
    first = model.language_model()
    send(first, tmp_path)
    send(LanguageModel(first.profile, "fake-2"), tmp_path)
    assert [list(parameters) for parameters in sent(model)][2] == list(OPTIONAL_PARAMETERS)


def test_refusal_by_many_at_once(model: FakeModel, tmp_path: Path) -> None:
    model.always = strict_about(*OPTIONAL_PARAMETERS)
    language_model = model.language_model(concurrency=4, tries=1)
    bodies, requests = send(language_model, tmp_path, 12)
    assert bodies == [GOOD] * 12
    assert requests == len(model.requests) <= 4 * 4 + 8
    assert AnswerStore(language_model, tmp_path).refused() == ("response_format", "seed", "temperature")


def test_refusal_between_busy_answers(model: FakeModel, tmp_path: Path) -> None:
    model.script = [status(500), refuses("temperature"), status(500), refuses("seed"), status(500)]
    assert send(model.language_model(tries=4), tmp_path) == ([GOOD], 6)


# --- how many at once ---


@pytest.mark.parametrize("bound", [1, 3])
def test_bound_is_reached_and_never_passed(bound: int, model: FakeModel, tmp_path: Path) -> None:
    together, lock = threading.Barrier(bound), threading.Lock()
    under_way = [0]
    most = [0]

    def behave(request: Request, model: FakeModel) -> Response:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        try:
            together.wait(PATIENCE)  # goes on when as many as the bound are here
            time.sleep(0.05)  # long enough for one too many to come
        finally:
            with lock:
                under_way[0] -= 1
        return answer(request, model)

    model.always = behave
    assert send(model.language_model(concurrency=bound, timeout=30.0), tmp_path, 4 * bound) == (
        [GOOD] * 4 * bound,
        4 * bound,
    )
    assert most == [bound]


def test_place_is_free_again_after_a_failure(model: FakeModel, tmp_path: Path) -> None:
    model.script = [status(401), status(404)]

    async def use(sender: Sender) -> list[str]:
        for _ in range(2):
            with pytest.raises(LLMError):
                await sender.send(MESSAGES, FORM)
        return [await sender.send(MESSAGES, FORM)]

    assert with_sender(model.language_model(concurrency=1), tmp_path, use) == [GOOD]


# --- being stopped ---


async def stopped(task: asyncio.Task[str]) -> float:
    """Seconds that a cancelled task takes to end."""
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - started


def test_stopped_in_the_middle_of_a_request(model: FakeModel, tmp_path: Path) -> None:
    release = threading.Event()

    def stuck(request: Request, model: FakeModel) -> Response:
        release.wait(3 * PATIENCE)
        return answer(request, model)

    model.script = [stuck]

    async def use(sender: Sender) -> tuple[float, str]:
        task = asyncio.create_task(sender.send(MESSAGES, FORM))
        await until(lambda: len(model.requests) == 1)
        return await stopped(task), await sender.send(MESSAGES, FORM)

    try:
        seconds, body = with_sender(model.language_model(concurrency=1, timeout=60.0, deadline=600.0), tmp_path, use)
    finally:
        release.set()
    assert seconds < 5
    assert body == GOOD, "its place and its connection are free again"


def test_stopped_in_the_middle_of_a_pause(model: FakeModel, tmp_path: Path) -> None:
    model.script = [status(429, retry_after="300")]

    async def use(sender: Sender) -> tuple[float, str]:
        task = asyncio.create_task(sender.send(MESSAGES, FORM))
        await until(lambda: len(model.requests) == 1)
        await asyncio.sleep(0.3)
        assert not task.done()
        return await stopped(task), await sender.send(MESSAGES, FORM)

    seconds, body = with_sender(model.language_model(concurrency=1, deadline=900.0), tmp_path, use)
    assert seconds < 5
    assert body == GOOD
    assert len(model.requests) == 2


def test_stopped_while_waiting_for_its_turn(model: FakeModel, tmp_path: Path) -> None:
    model.delay = 0.5

    async def use(sender: Sender) -> tuple[float, str]:
        first = asyncio.create_task(sender.send(MESSAGES, FORM))
        await until(lambda: len(model.requests) == 1)
        second = asyncio.create_task(sender.send(MESSAGES, FORM))
        await asyncio.sleep(0.1)
        return await stopped(second), await first

    seconds, body = with_sender(model.language_model(concurrency=1), tmp_path, use)
    assert seconds < 5
    assert body == GOOD
    assert len(model.requests) == 1


def test_nothing_is_asked_after_the_deadline(model: FakeModel, tmp_path: Path) -> None:
    model.delay = 0.4

    async def use(sender: Sender) -> int:
        await asyncio.gather(*(sender.send(MESSAGES, FORM) for _ in range(20)), return_exceptions=True)
        return sender.requests

    # Two or three begin before the deadline, fewer on a machine that is busy; nothing begins after it.
    assert 1 <= with_sender(model.language_model(concurrency=1, deadline=1.0), tmp_path, use) <= 3


def test_pauses_stop_growing_before_they_overflow(model: FakeModel, tmp_path: Path) -> None:
    async def use(sender: Sender) -> list[float]:
        return [sender._pause(BusyError("busy."), tries) for tries in (17, 2000)]

    short, long = with_sender(model.language_model(tries=5000, pause=1e-6), tmp_path, use)
    assert 0 < short <= long * 2 <= 4 * short
